//! Builds every part in floor order, runs them, and stops them from the top down.

mod alarms;
mod callers;
mod descriptions;
mod desk;
mod figures;
mod follow;
mod handover;
mod leave;
mod live;
mod login;
mod notices;
mod silence;
mod sockets;
mod status;
mod stored;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::admin::{self, Controls};
use crate::backup::BackupError;
use crate::backup::make::{self, Made, Wanted};
use crate::backup::restore::{self, FirstStartError};
use crate::cases::Cases;
use crate::cases::remove::RemoveError;
use crate::clock::Clock;
use crate::config::{Config, HsaIdAttribute, Tls};
use crate::delivery::Delivery;
use crate::gateway::{self, Evidence, Gateway, Proxy};
use crate::limits;
use crate::listen::{self, Leave};
use crate::mail::MailError;
use crate::oidc::OidcError;
use crate::rivta::wsdl::Library;
use crate::routing::generations::{GenerationError, Generations};
use crate::routing::picture::SharedDesk;
use crate::routing::{Content, Current, RoutingError};
use crate::spans::{Spans, SpansError};
use crate::staff::Staff;
use crate::store::blobs::BlobError;
use crate::store::engine::StoreError;
use crate::tak::{Finding, Severity};
use crate::telemetry::Chain;
use crate::telemetry::metrics::Metrics;
use crate::tls::{self, Reloads, ServerTls, TlsError};
use callers::Connections;
use descriptions::DescriptionsError;
use handover::Waiting;
pub use handover::{HandOverError, Successor};
pub use leave::{HandedOver, Lasting};
use sockets::Sockets;

/// Why the gateway could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("the routing configuration")]
    Routing(#[source] RoutingError),
    #[error("the kept routing configurations")]
    Generations(#[source] GenerationError),
    #[error("the certificates of the https door")]
    Tls(#[source] TlsError),
    #[error("the certificates of the staff door")]
    StaffTls(#[source] TlsError),
    /// As it says.
    #[error("the certificates that the login service ([oidc]) is called with")]
    LoginTls(#[source] TlsError),
    /// As it says.
    #[error("the mail server ([mail])")]
    Mail(#[source] MailError),
    /// As it says.
    #[error("the login service ([oidc])")]
    Login(#[source] OidcError),
    #[error("the store")]
    Store(#[source] StoreError),
    #[error("the attachments")]
    Blobs(#[source] BlobError),
    /// A removal of cases that was cut off cannot be finished.
    #[error("finishing the removal of cases")]
    Removals(#[source] RemoveError),
    #[error("the first start of a restored store")]
    Restored(#[source] FirstStartError),
    #[error("[public] wsdl_folder")]
    Descriptions(#[source] DescriptionsError),
    #[error("the spans")]
    Spans(#[source] SpansError),
    #[error("the doors")]
    Bind(#[source] listen::BindError),
    #[error("taking over")]
    HandOver(#[source] HandOverError),
}

/// A gateway that runs.
#[derive(Debug)]
pub struct Running {
    /// Where the `https` door listens.
    pub https: SocketAddr,
    /// Where the `admin` door listens.
    pub admin: SocketAddr,
    /// Where the `proxied` door listens, if it is open.
    pub proxied: Option<SocketAddr>,
    /// Where the `staff` door listens, if it is open.
    pub staff: Option<SocketAddr>,
    cases: Cases,
    doors: TaskTracker,
    work: TaskTracker,
    stop_doors: CancellationToken,
    stop_admin: CancellationToken,
    stop_work: CancellationToken,
    leave: Leave,
    /// Where another process asks to take over; absent where the file system does not let it.
    waiting: Option<Waiting>,
    sockets: Sockets,
    parts: Parts,
}

/// A gateway whose settings, routing and certificates are read and good. Nothing is touched yet.
#[derive(Debug)]
pub struct Prepared {
    config: Arc<Config>,
    base: PathBuf,
    clock: Arc<dyn Clock>,
    routing: Current,
    content: Content,
    tls: Arc<ServerTls>,
    staff_tls: Option<Arc<ServerTls>>,
    login: Option<login::Login>,
    library: Library,
    spans: Option<Spans>,
}

/// Everything below the doors.
#[derive(Debug, Clone)]
struct Parts {
    config: Arc<Config>,
    clock: Arc<dyn Clock>,
    routing: Current,
    tls: Arc<ServerTls>,
    /// The `staff` door's, if it is open.
    staff_tls: Option<Arc<ServerTls>>,
    login: Option<login::Login>,
    cases: Cases,
    connections: Arc<Connections>,
    delivery: Delivery,
    /// Asks for a fetch from the live TAK.
    fetches: mpsc::Sender<live::Ask>,
    metrics: Metrics,
    spans: Option<Spans>,
    /// The alarms that go on.
    alarms: alarms::Board,
    doors: Doors,
    library: Arc<ArcSwap<Library>>,
}

/// Where the doors are.
#[derive(Debug, Clone, Copy, Default, serde::Serialize)]
struct Doors {
    https: Option<SocketAddr>,
    admin: Option<SocketAddr>,
    proxied: Option<SocketAddr>,
    staff: Option<SocketAddr>,
}

/// Starts everything. `base` is the folder that relative paths in the routing start from.
pub async fn start(
    config: Config,
    base: PathBuf,
    clock: Arc<dyn Clock>,
) -> Result<Running, StartError> {
    prepare(config, base, clock)?.start().await
}

/// Reads and checks all that a gateway starts from, and changes nothing. `base` is the folder that
/// relative paths in the routing start from. To be called within a runtime, which exports spans.
pub fn prepare(
    config: Config,
    base: PathBuf,
    clock: Arc<dyn Clock>,
) -> Result<Prepared, StartError> {
    let config = Arc::new(config);
    let (routing, findings, content) =
        Current::open(&config.tak.dir, clock.now()).map_err(StartError::Routing)?;
    tell_findings(&findings);
    let tls =
        ServerTls::new(tls_settings(&config.tls), Arc::clone(&clock)).map_err(StartError::Tls)?;
    let staff_tls = match config.server.staff {
        Some(_) => {
            let mut settings = tls_settings(&config.staff);
            settings.optional = config.oidc.is_some();
            Some(ServerTls::new(settings, Arc::clone(&clock)).map_err(StartError::StaffTls)?)
        }
        None => None,
    };
    let login = login::of(&config, &clock)?;
    let (library, left) = descriptions::read(config.public.wsdl_folder.as_deref())
        .map_err(StartError::Descriptions)?;
    left.iter().for_each(|line| tracing::warn!("wsdl_folder: {line}"));
    let spans = spans(&config, &routing)?;
    Ok(Prepared { config, base, clock, routing, content, tls, staff_tls, login, library, spans })
}

impl Prepared {
    /// Opens the store and the doors.
    pub async fn start(self) -> Result<Running, StartError> {
        let cases = stored::open(&self.config, &self.routing, &self.clock)?;
        let server = self.config.server.clone();
        let (parts, asked) = self.on(cases).await?;
        let sockets = Sockets::open(&server, Vec::new()).await.map_err(StartError::Bind)?;
        run(parts, asked, sockets)
    }

    /// Takes the doors and the store over from the gateway that has them, without a connection being
    /// refused; where none runs, starts as [`Prepared::start`] does. An error before the other one
    /// has left changes nothing for it; after that it opens its doors again.
    pub async fn take_over(self) -> Result<Running, StartError> {
        let asked = handover::ask(&self.config.store.dir).await.map_err(StartError::HandOver)?;
        let Some((mut predecessor, taken)) = asked else {
            tracing::info!("no gateway runs with this store: nothing is taken over");
            return self.start().await;
        };
        let server = &self.config.server;
        let sockets = Sockets::open(server, taken).await.map_err(StartError::Bind)?;
        predecessor.leave().await.map_err(StartError::HandOver)?;
        let cases = leave::open_store_soon(&self.config, &self.routing, &self.clock).await?;
        let (parts, asked) = self.on(cases).await?;
        let running = run(parts, asked, sockets)?;
        predecessor.ready().await;
        Ok(running)
    }

    async fn on(self, cases: Cases) -> Result<(Parts, mpsc::Receiver<live::Ask>), StartError> {
        let Self { config, base, clock, routing, content, tls, staff_tls, login, library, spans } =
            self;
        let generations = Generations::open(&config.store.dir).map_err(StartError::Generations)?;
        routing.keep_in(generations, &content, clock.now()).map_err(StartError::Generations)?;
        let first = restore::first_start(&cases, &config.store.dir).await;
        if let Some(first) = first.map_err(StartError::Restored)? {
            tracing::warn!(
                held = first.held,
                numbers_skipped = first.numbers_skipped,
                "the store was restored: decide about each letter to the inbox that is held; \
                 registration numbers are left out, so that none is given twice"
            );
        }
        let outbound = config.outbound.clone();
        let connections = Arc::new(Connections::new(outbound, base, Arc::clone(&clock)));
        // Before anyone calls. What is wrong is told by who follows them.
        let _faults = connections.read(routing.get().table.systems().map(AsRef::as_ref));
        let delivery = Delivery::new(cases.clone(), routing.clone(), Arc::clone(&connections) as _)
            .told_to(spans.clone())
            .mailing(notices::mailer(&config)?);
        routing.note_fetches_in(&config.store.dir, clock.now());
        let (fetches, asked) = mpsc::channel(limits::TAK_FETCH_ASKED_MAX);
        let parts = Parts {
            config,
            clock,
            routing,
            tls,
            staff_tls,
            login,
            cases,
            connections,
            delivery,
            fetches,
            metrics: Metrics::new(),
            spans,
            alarms: alarms::Board::default(),
            doors: Doors::default(),
            library: Arc::new(ArcSwap::from_pointee(library)),
        };
        Ok((parts, asked))
    }
}

fn run(
    mut parts: Parts,
    asked: mpsc::Receiver<live::Ask>,
    sockets: Sockets,
) -> Result<Running, StartError> {
    let (https, https_address) = sockets.named("https")?;
    let (admin, admin_address) = sockets.named("admin")?;
    let proxied = sockets.door("proxied").map_err(StartError::Bind)?;
    let proxied_address = proxied.as_ref().map(|(_, address)| *address);
    let staff = sockets.door("staff").map_err(StartError::Bind)?;
    let staff_address = staff.as_ref().map(|(_, address)| *address);
    parts.doors = Doors {
        https: Some(https_address),
        admin: Some(admin_address),
        proxied: proxied_address,
        staff: staff_address,
    };
    let (stop_doors, stop_work) = (CancellationToken::new(), CancellationToken::new());
    let (stop_admin, leave) = (stop_doors.child_token(), Leave::default());
    let (doors, work) = (TaskTracker::new(), TaskTracker::new());
    let mut kept: Vec<Arc<dyn Reloads>> = vec![Arc::clone(&parts.tls) as _];
    kept.extend(parts.staff_tls.iter().map(|it| Arc::clone(it) as _));
    kept.extend(parts.login.iter().map(|it| Arc::clone(&it.tls) as _));
    // The watch ends with the work; what it has loaded stays.
    let (clock, metrics) = (Arc::clone(&parts.clock), parts.metrics.clone());
    let _watch = tls::watch(kept, clock, metrics, stop_work.clone());
    work.spawn(parts.delivery.clone().run(stop_work.clone()));
    work.spawn(follow::follow_routing(parts.clone(), stop_work.clone()));
    work.spawn(live::follow_tak(parts.clone(), asked, stop_work.clone()));
    work.spawn(follow::keep_decisions(parts.clone(), stop_work.clone()));
    work.spawn(follow::sweep_files(parts.clone(), stop_work.clone()));
    work.spawn(alarms::watch(parts.clone(), stop_work.clone()));
    work.spawn(notices::remind(parts.clone(), stop_work.clone()));
    work.spawn(follow_identities(parts.clone(), stop_work.clone()));
    let gateway = gateway_of(&parts);
    if let Some((listener, _)) = proxied {
        let gateway = gateway.behind(proxy(&parts));
        let end = (stop_doors.clone(), leave.clone());
        doors.spawn(serve_riv_ta(parts.clone(), listener, false, gateway, end));
    }
    let end = (stop_doors.clone(), leave.clone());
    doors.spawn(serve_riv_ta(parts.clone(), https, true, gateway, end));
    if let Some((listener, _)) = staff {
        let end = (stop_doors.clone(), leave.clone());
        doors.spawn(serve_staff(parts.clone(), listener, end));
    }
    doors.spawn(serve_admin(parts.clone(), admin, stop_admin.clone(), leave.bind()));
    doors.close();
    work.close();
    tracing::info!(
        https = %https_address, admin = %admin_address,
        proxied = proxied_address.map(tracing::field::display),
        staff = staff_address.map(tracing::field::display),
        generation = %parts.routing.get().table.generation(), "the gateway is up"
    );
    let cases = parts.cases.clone();
    Ok(Running {
        https: https_address,
        admin: admin_address,
        proxied: proxied_address,
        staff: staff_address,
        cases,
        doors,
        work,
        stop_doors,
        stop_admin,
        stop_work,
        leave,
        waiting: leave::wait_in(&parts.config.store.dir),
        sockets,
        parts,
    })
}

impl Running {
    /// The cases, for the demo.
    #[must_use]
    pub fn cases(&self) -> &Cases {
        &self.cases
    }

    /// Reads certificates, revocation lists and routing again; what came of it goes to the log.
    pub async fn reload(&self) {
        let parts = self.parts.clone();
        for line in tokio::task::spawn_blocking(move || reload(&parts)).await.unwrap_or_default() {
            tracing::info!("reload: {line}");
        }
    }

    /// Stops in order: no new calls, those begun are answered, what is being delivered is recorded,
    /// the store is closed. Each step has its bound.
    pub async fn stop(self) {
        tracing::info!("stopping: no new calls are taken");
        // Not a moment longer: who comes now is refused, and does not wait for nobody.
        drop(self.sockets);
        if let Some(waiting) = self.waiting {
            waiting.close();
        }
        self.stop_doors.cancel();
        // The doors keep bounds of their own; this one holds whatever they do.
        let longest = limits::STOP_TIME_MAX + limits::ADMIN_STOP_TIME_MAX;
        if tokio::time::timeout(longest, self.doors.wait()).await.is_err() {
            tracing::warn!("a door is still open; its calls are left");
        }
        self.stop_work.cancel();
        let patience = limits::STOP_TIME_MAX;
        if tokio::time::timeout(patience, self.work.wait()).await.is_err() {
            tracing::warn!("deliveries under way are left; the next start settles them");
        }
        self.cases.engine().close().await;
        leave::stop_spans(self.parts.spans).await;
        tracing::info!("stopped");
    }
}

fn tls_settings(from: &Tls) -> tls::Settings {
    let mut settings = tls::Settings::new(&from.certificate, &from.key, &from.trust);
    settings.lists.clone_from(&from.crl);
    settings.attribute = attribute(from);
    settings
}

fn attribute(from: &Tls) -> tls::Attribute {
    match from.hsa_id_attribute {
        HsaIdAttribute::SerialNumber => tls::Attribute::default(),
        HsaIdAttribute::OrganizationalUnit => {
            "OU".parse().unwrap_or_else(|_| tls::Attribute::default())
        }
    }
}

fn tell_findings(findings: &[Finding]) {
    for it in findings {
        let place = format!("{}:{}:{}", it.file, it.line, it.column);
        match it.severity {
            Severity::Error => tracing::error!(place, "routing: {}", it.message),
            Severity::Warning => tracing::warn!(place, "routing: {}", it.message),
        }
    }
}

fn gateway_of(parts: &Parts) -> Gateway {
    let base_url = parts.config.public.base_url.clone();
    let (cases, routing) = (parts.cases.clone(), parts.routing.clone());
    let pools = Arc::clone(&parts.connections) as _;
    let evidence = Evidence { metrics: parts.metrics.clone(), spans: parts.spans.clone() };
    Gateway::new(cases, routing, pools, base_url, &parts.config.limits)
        .told_to(evidence)
        .describing(Arc::clone(&parts.library))
}

/// The collector of the settings, where there is one.
fn spans(config: &Config, routing: &Current) -> Result<Option<Spans>, StartError> {
    let Some(url) = &config.telemetry.otlp else { return Ok(None) };
    let instance = routing.get().table.platform().instance.clone();
    Spans::to(url, &instance).map(Some).map_err(StartError::Spans)
}

fn proxy(parts: &Parts) -> Proxy {
    let settings = parts.config.proxied.clone();
    for warning in &settings.warnings {
        tracing::warn!("{warning}");
    }
    Proxy::new(settings, attribute(&parts.config.tls))
}

/// The `https` door, or without TLS the `proxied` one.
async fn serve_riv_ta(
    parts: Parts,
    listener: TcpListener,
    secure: bool,
    gateway: Gateway,
    (stop, leave): (CancellationToken, Leave),
) {
    let mut settings = listen::Settings::new(if secure { "https" } else { "proxied" });
    settings.connections_max = parts.config.limits.connections;
    settings.metrics = parts.metrics.door(settings.name);
    let tls = secure.then(|| Arc::clone(&parts.tls));
    let stopped = listen::serve_until_left(listener, tls, settings, gateway, stop, leave).await;
    if stopped.cut > 0 {
        tracing::warn!(cut = stopped.cut, "calls were cut off at the stop");
    }
}

async fn serve_staff(
    parts: Parts,
    listener: TcpListener,
    (stop, leave): (CancellationToken, Leave),
) {
    let mut settings = listen::Settings::new("staff");
    settings.connections_max = limits::STAFF_CONNECTIONS_MAX;
    settings.metrics = parts.metrics.door(settings.name);
    let (cases, routing) = (parts.cases.clone(), parts.routing.clone());
    let login = parts.login.as_ref().map(|it| it.service.clone());
    let page = Staff::new(cases, routing, Arc::new(gateway::grounds), login);
    let tls = parts.staff_tls.clone();
    let stopped = listen::serve_until_left(listener, tls, settings, page, stop, leave).await;
    if stopped.cut > 0 {
        tracing::warn!(cut = stopped.cut, "calls to the staff page were cut off at the stop");
    }
}

async fn serve_admin(
    parts: Parts,
    listener: TcpListener,
    stop: CancellationToken,
    bound: TaskTrackerToken,
) {
    let router = admin::router(parts.cases.clone(), controls(&parts, &stop));
    if let Err(error) = admin::serve(listener, router, stop).await {
        tracing::error!("the admin door is shut: {}", Chain(&error));
    }
    drop(bound);
}

fn controls(parts: &Parts, stop: &CancellationToken) -> Controls {
    let (one, two, three, four) = (parts.clone(), parts.clone(), parts.clone(), parts.clone());
    let (five, six, seven, stop) = (parts.clone(), parts.clone(), parts.clone(), stop.clone());
    Controls {
        not_ready: Arc::new(move || status::not_ready(&one)),
        status: Arc::new(move || status::status(&two)),
        reload: Arc::new(move || reload(&three)),
        grounds: Arc::new(move || gateway::grounds(&four.routing.get())),
        routing: SharedDesk(Arc::new(desk::RunningDesk(parts.clone()))),
        backup: Arc::new(move |wanted| back_up(&five, &stop, wanted)),
        metrics: Arc::new(move || figures::text(&six)),
        receivers: Arc::new(move || status::receivers(&seven)),
    }
}

/// Makes a backup of the store; it ends early when the gateway stops.
fn back_up(parts: &Parts, stop: &CancellationToken, wanted: &Wanted) -> Result<Made, BackupError> {
    let generation = parts.routing.get().table.generation().full().to_string();
    let made = make::make(
        &make::Source {
            store: &parts.config.store.dir,
            reader: &parts.cases.engine().reader(),
            keys: parts.cases.keys(),
            routing: parts.routing.folder(),
            generation: &generation,
            now: parts.clock.now(),
            stop: &|| stop.is_cancelled(),
        },
        wanted,
    );
    match &made {
        Ok(made) => tracing::info!(records = made.records, files = made.files, "a backup is made"),
        Err(error) => tracing::error!("a backup came to nothing: {}", Chain(error)),
    }
    made
}

/// Reads certificates, revocation lists and routing again; what came of it.
fn reload(parts: &Parts) -> Vec<String> {
    let now = parts.clock.now();
    let mut lines: Vec<String> = Vec::new();
    let doors = [("https", Some(&parts.tls)), ("staff", parts.staff_tls.as_ref())];
    for (door, tls) in doors.iter().filter_map(|(door, tls)| Some((door, (*tls)?))) {
        let reloaded = tls.reload(now);
        parts.metrics.reloaded("certificates", reloaded.faults.is_empty());
        lines.extend(reloaded.changed.iter().map(|part| format!("{door} door: {part} is new")));
        let faults = reloaded.faults.iter();
        lines.extend(faults.map(|(part, error)| format!("{door} door: {part}: {}", Chain(error))));
    }
    match descriptions::read(parts.config.public.wsdl_folder.as_deref()) {
        Ok((library, left)) => {
            parts.library.store(Arc::new(library));
            lines.extend(left.into_iter().map(|line| format!("wsdl_folder: {line}")));
        }
        Err(error) => lines.push(format!("wsdl_folder: the old one goes on: {}", Chain(&error))),
    }
    lines.push(match follow::read(parts) {
        Ok(true) => format!("routing: generation {}", parts.routing.get().table.generation()),
        Ok(false) => "routing: unchanged".to_owned(),
        Err(error) => format!("routing: the old one goes on: {}", Chain(&error)),
    });
    // Last, as the routing configuration says which there are.
    lines.extend(identities(parts));
    lines
}

/// Reads the certificates that calls are made with again; what is wrong with them.
fn identities(parts: &Parts) -> Vec<String> {
    let routing = parts.routing.get();
    parts.connections.read(routing.table.systems().map(AsRef::as_ref))
}

/// Looks at the certificates that calls are made with, which the routing configuration names and so
/// are not among the watched ones. What is wrong is told when it begins.
async fn follow_identities(parts: Parts, stop: CancellationToken) {
    let mut told = Vec::new();
    loop {
        let reader = parts.clone();
        let found = tokio::task::spawn_blocking(move || identities(&reader)).await;
        let found = found.unwrap_or_default();
        for line in found.iter().filter(|line| !told.contains(*line)) {
            tracing::error!("{line}");
        }
        told = found;
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(limits::WATCH_POLL) => {}
        }
    }
}
