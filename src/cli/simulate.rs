//! `klagomal simulate`: the other side, until it is stopped.

use std::future::pending;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Subcommand;

use super::{Failed, Outcome, block_on};
use crate::clock::SystemClock;
use crate::id::HsaId;
use crate::simulators::{
    Course, Inkorg, InkorgSettings, Place, Portal, PortalSettings, Region, RegionSettings, Script,
    StartError,
};
use crate::telemetry::{self, Chain};
use crate::tls;

#[derive(Debug, Subcommand)]
pub(super) enum Simulate {
    /// The 1177 platform: is told of every event of the handling, and sends made-up complaints.
    #[command(name = "1177")]
    Portal(PortalArguments),
    /// A region's own system: takes cases, and sends its handling of them to the gateway.
    Region(RegionArguments),
    /// 1177 Inkorg: the citizens' inboxes.
    Inkorg(InkorgArguments),
}

#[derive(Debug, clap::Args)]
pub(super) struct Common {
    /// Where to listen.
    #[arg(long, value_name = "ADDRESS")]
    listen: SocketAddr,
    /// Own certificate with its intermediates, PEM.
    #[arg(long, value_name = "FILE", required_unless_present = "plain")]
    cert: Option<PathBuf>,
    /// Its private key, PEM.
    #[arg(long, value_name = "FILE", required_unless_present = "plain")]
    key: Option<PathBuf>,
    /// Who may have issued the other side's certificate, PEM.
    #[arg(long, value_name = "FILE", required_unless_present = "plain")]
    ca: Vec<PathBuf>,
    /// Plain HTTP instead of mutual TLS.
    #[arg(long, conflicts_with_all = ["cert", "key", "ca"])]
    plain: bool,
    /// A control door on loopback: GET /received, /sent or /messages, POST /behave, POST /step.
    #[arg(long, value_name = "127.0.0.1:PORT")]
    control: Option<SocketAddr>,
    /// What to do with calls: normal, late:5s, lost-answer (processed), twice, error,
    /// error:APPLICATION_ERROR, fault, fault:VP009, http:503, none, close (not processed), garbage.
    /// Several with commas are for one call each, and the last one for all that follow.
    #[arg(long, value_name = "BEHAVIOUR,...", default_value = "normal")]
    behave: Course,
}

#[derive(Debug, clap::Args)]
pub(super) struct PortalArguments {
    #[command(flatten)]
    common: Common,
    /// Where complaints are sent (POST /step on the control door).
    #[arg(long, value_name = "URL")]
    gateway: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct RegionArguments {
    #[command(flatten)]
    common: Common,
    /// Where its handling is sent; without, it only receives.
    #[arg(long, value_name = "URL")]
    gateway: Option<String>,
    /// The logical address of its handling.
    #[arg(long, value_name = "HSA-ID", default_value = "SE0000000000-1177")]
    platform: String,
    /// Who handles.
    #[arg(long, value_name = "HSA-ID", default_value = "SE0000000000-H1")]
    handler: String,
    /// What it does with a new case: acknowledge, partial-reply, question (waits for the answer),
    /// reply, closure, transfer:HSA-ID, place-correction:HSA-ID, wait:5s; none. Attached files:
    /// reply:1000, reply:3x1000.
    #[arg(long, value_name = "STEP,...", default_value = "acknowledge,reply")]
    script: Script,
    /// Milliseconds before each step.
    #[arg(long, value_name = "MS", default_value_t = 1000)]
    pause: u64,
    /// Keep attachments here; otherwise they are gone at the end.
    #[arg(long, value_name = "FOLDER")]
    attachments: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(super) struct InkorgArguments {
    #[command(flatten)]
    common: Common,
    /// A person who is not an active user; may be given several times.
    #[arg(long, value_name = "PERSON-ID")]
    inactive: Vec<String>,
    /// As --behave, for IsActiveUser; --behave is for AddMessageToPatientPortalInbox.
    #[arg(long, value_name = "BEHAVIOUR,...", default_value = "normal")]
    behave_when_asked: Course,
}

impl Common {
    fn place(&self) -> Result<Place, Failed> {
        let tls = match (&self.cert, &self.key) {
            (Some(certificate), Some(key)) => Some(tls::Settings::new(certificate, key, &self.ca)),
            _ if self.plain => None,
            _ => return Err(Failed("--cert, --key and --ca belong together".to_owned())),
        };
        let clock = Arc::new(SystemClock);
        Ok(Place { listen: self.listen, tls, control: self.control, clock })
    }
}

impl Simulate {
    pub(super) fn run(self, out: &mut dyn Write) -> Outcome {
        telemetry::start(telemetry::Format::Text, telemetry::Level::Info);
        match self {
            Self::Portal(arguments) => arguments.run(out),
            Self::Region(arguments) => arguments.run(out),
            Self::Inkorg(arguments) => arguments.run(out),
        }
    }
}

impl PortalArguments {
    fn run(self, out: &mut dyn Write) -> Outcome {
        let mut settings = PortalSettings::new(self.common.place()?, self.gateway);
        settings.course = self.common.behave;
        block_on(async {
            let running = Portal::start(settings).await.map_err(not_started)?;
            say(out, "1177 platform", &running.url(), running.control())?;
            until_stopped().await;
            running.stop().await;
            Ok(ExitCode::SUCCESS)
        })?
    }
}

impl RegionArguments {
    fn run(self, out: &mut dyn Write) -> Outcome {
        let id = |name: &str, text: &str| {
            HsaId::parse(text).map_err(|error| Failed(format!("--{name} is no HSA-id: {error}")))
        };
        let (platform, handler) = (id("platform", &self.platform)?, id("handler", &self.handler)?);
        let place = self.common.place()?;
        let mut settings = RegionSettings::new(place, self.gateway, platform, handler);
        settings.course = self.common.behave;
        settings.script = self.script;
        settings.script.pause = std::time::Duration::from_millis(self.pause);
        settings.folder = self.attachments;
        block_on(async {
            let running = Region::start(settings).await.map_err(not_started)?;
            say(out, "own system of a region", &running.url(), running.control())?;
            until_stopped().await;
            running.stop().await;
            Ok(ExitCode::SUCCESS)
        })?
    }
}

impl InkorgArguments {
    fn run(self, out: &mut dyn Write) -> Outcome {
        let mut settings = InkorgSettings::new(self.common.place()?);
        settings.course = self.common.behave;
        settings.course_of_is_active_user = self.behave_when_asked;
        settings.inactive = self.inactive.into_iter().collect();
        block_on(async {
            let running = Inkorg::start(settings).await.map_err(not_started)?;
            say(out, "1177 Inkorg", &running.url(), running.control())?;
            until_stopped().await;
            running.stop().await;
            Ok(ExitCode::SUCCESS)
        })?
    }
}

fn not_started(error: StartError) -> Failed {
    Failed(Chain(&error).to_string())
}

fn say(
    out: &mut dyn Write,
    what: &str,
    url: &str,
    control: Option<SocketAddr>,
) -> Result<(), Failed> {
    writeln!(out, "{what} (simulated): {url}")?;
    if let Some(at) = control {
        writeln!(out, "control: http://{at}/")?;
    }
    writeln!(out, "Ctrl-C stops it.")?;
    Ok(out.flush()?)
}

/// Until Ctrl-C, or until the system asks (SIGTERM).
async fn until_stopped() {
    let interrupted = async {
        if tokio::signal::ctrl_c().await.is_err() {
            // Without signals, only the end of the process ends it.
            pending::<()>().await;
        }
    };
    tokio::select! {
        () = interrupted => {}
        () = terminated() => {}
    }
}

#[cfg(unix)]
async fn terminated() {
    use tokio::signal::unix::{SignalKind, signal};
    if let Ok(mut signals) = signal(SignalKind::terminate()) {
        signals.recv().await;
    } else {
        pending::<()>().await;
    }
}

#[cfg(not(unix))]
async fn terminated() {
    pending::<()>().await;
}
