//! The settings of the process: one file, read whole, checked whole, told whole.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::{IpNet, Ipv4Net};

use crate::limits;
use crate::mail;
use crate::oidc;
use crate::store::keys::master;
use crate::tak::Rate;
use crate::telemetry;
use document::{Document, Section};

mod document;
mod post;

/// The settings that a process runs with. Complete and checked; nothing in them changes.
///
/// Paths are absolute or relative to the current folder, as the settings file's own path was.
/// Whether the files they name are there and usable is for those who read them to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Doors.
    pub server: Server,
    /// Whom the `proxied` door listens to, and what it is told.
    pub proxied: Proxied,
    /// Mutual TLS on the `https` door.
    pub tls: Tls,
    /// Mutual TLS on the `staff` door.
    pub staff: Tls,
    /// Logging in without a card on the `staff` door. `None`: nobody does.
    pub oidc: Option<Oidc>,
    /// The mail server; absent: nobody is told by mail.
    pub mail: Option<mail::Settings>,
    /// Where what was accepted is kept.
    pub store: Store,
    /// Routing.
    pub tak: Tak,
    /// Calls to producers.
    pub outbound: Outbound,
    /// Log lines.
    pub log: Log,
    /// Bounds.
    pub limits: Limits,
    /// How the outside sees us.
    pub public: Public,
    /// What is told to others of calls.
    pub telemetry: Telemetry,
    /// When somebody must look.
    pub alarms: Alarms,
}

/// Doors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// RIV TA over mutual TLS.
    pub https: SocketAddr,
    /// Health, metrics and operator commands; never a wildcard address.
    pub admin: SocketAddr,
    /// RIV TA in the clear, behind a proxy that ends TLS. `None`: shut.
    pub proxied: Option<SocketAddr>,
    /// The staff page, over mutual TLS with the cards of persons. `None`: shut.
    pub staff: Option<SocketAddr>,
}

/// The `proxied` door: whom it listens to, and in which headers the proxy tells what it knows. Names
/// of headers are kept as written, as faults repeat them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proxied {
    /// The networks whose addresses may call.
    pub sources: Vec<IpNet>,
    /// What of `sources` was written as the beginning of an address, and how it was read.
    pub warnings: Vec<String>,
    /// The caller's certificate.
    pub certificate_header: String,
    /// The address that an internal call came from.
    pub for_header: String,
    /// `http` or `https`, as the caller used it.
    pub proto_header: String,
    /// The host that the caller used.
    pub host_header: String,
    /// The port that the caller used.
    pub port_header: String,
    /// What makes a call internal, in `x-vp-instance-id`. `None`: `[platform] instance`.
    pub instance_id: Option<String>,
}

/// Mutual TLS on the `https` door. All files are PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// Our certificate and those between it and its root.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// Certificates of the issuers whose client certificates are accepted. At least one.
    pub trust: Vec<PathBuf>,
    /// Revocation lists of those issuers. Empty: revocation is not checked.
    pub crl: Vec<PathBuf>,
    /// Where in a client certificate's subject the HSA-id is.
    pub hsa_id_attribute: HsaIdAttribute,
}

/// A login service (OpenID Connect) for the `staff` door.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Oidc {
    /// Who it is and what it must tell.
    pub service: oidc::Settings,
    /// Certificates of the issuers of its server certificate. PEM.
    pub trust: Vec<PathBuf>,
}

/// The attribute of a certificate's subject that holds the HSA-id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HsaIdAttribute {
    /// `serialNumber` (2.5.4.5), as in SITHS function certificates.
    SerialNumber,
    /// `OU` (2.5.4.11), as in some older installations.
    OrganizationalUnit,
}

/// Where what was accepted is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Store {
    /// The folder.
    pub dir: PathBuf,
    /// Free bytes on its disk under which nothing more is taken in.
    pub min_free_bytes: u64,
    /// Where the key comes from that what is kept is sealed under. `None`: it lies in the clear.
    pub master_key: Option<master::Source>,
}

/// Routing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tak {
    /// The folder.
    pub dir: PathBuf,
}

/// Calls to producers. All files are PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outbound {
    /// The certificate that we show to producers, and those between it and its root.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// Certificates of the issuers whose server certificates are accepted. At least one.
    pub trust: Vec<PathBuf>,
}

/// Log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Log {
    /// The least grave kind that is written.
    pub level: telemetry::Level,
    /// How they are written.
    pub format: telemetry::Format,
}

/// Bounds that an operator may need to move. The rest are in [`limits`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// One whole message, bytes.
    pub message_bytes: u64,
    /// Messages being read at once.
    pub calls_in_flight: usize,
    /// Open connections on the `https` door.
    pub connections: usize,
    /// Calls of one consumer, where its system has no `rate_in`. `None`: no bound.
    pub consumer_rate: Option<Rate>,
}

/// How the outside sees us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Public {
    /// What addresses in a WSDL begin with, without a slash at the end. `None`: what the caller
    /// itself called.
    pub base_url: Option<String>,
    /// Packages of contracts whose WSDLs are given out beside our own.
    pub wsdl_folder: Option<PathBuf>,
}

/// What is told to others of calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Telemetry {
    /// The collector that spans are sent to (OTLP/HTTP), as `http://host:4318`. `None`: nowhere.
    pub otlp: Option<String>,
}

/// When somebody must look. What needs a person at once has no setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Alarms {
    /// How often it is looked.
    pub every: Duration,
    /// The oldest message to a receiver is owed for longer than this.
    pub oldest: Duration,
    /// A receiver is paused for longer than this.
    pub paused: Duration,
    /// A certificate runs out within so many days.
    pub certificate_days: u64,
    /// Units that have gone silent against their usual traffic are told of.
    pub silence: bool,
}

/// One thing that is wrong in a settings file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    /// The file, as it was named.
    pub file: String,
    /// The line, from 1; 0 where the fault is of the whole file.
    pub line: usize,
    /// What was found and what is expected.
    pub text: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.file, self.text),
            line => write!(f, "{}:{line}: {}", self.file, self.text),
        }
    }
}

impl std::error::Error for Fault {}

/// A settings file with every key, its default value, and what it is for.
#[must_use]
pub fn example() -> &'static str {
    include_str!("config/example.toml")
}

/// Reads the settings file at `path`.
///
/// # Errors
/// Everything that is wrong in it, in the order of its lines.
pub fn read(path: &Path) -> Result<Config, Vec<Fault>> {
    let name = path.display().to_string();
    let fault = |text: String| vec![Fault { file: name.clone(), line: 0, text }];
    let size = std::fs::metadata(path).map_err(|e| fault(format!("cannot be read: {e}")))?.len();
    if size > limits::SETTINGS_BYTES_MAX {
        let most = limits::SETTINGS_BYTES_MAX;
        return Err(fault(format!("{size} bytes is no settings file; at most {most} are read")));
    }
    let text = std::fs::read_to_string(path).map_err(|e| fault(format!("cannot be read: {e}")))?;
    Config::parse(&name, &text, path.parent().unwrap_or(Path::new("")))
}

impl Config {
    /// Reads settings from `text`. `name` is what faults call the file; relative paths in it are
    /// taken from `base`.
    ///
    /// # Errors
    /// Everything that is wrong in it, in the order of its lines.
    pub fn parse(name: &str, text: &str, base: &Path) -> Result<Self, Vec<Fault>> {
        let mut document = Document::parse(name, text, base);
        let config = Self::ask(&mut document);
        document.finish(config)
    }

    fn ask(document: &mut Document<'_>) -> Self {
        let tls = tls(&mut document.section("tls"));
        let server = server(&mut document.section("server"));
        let outbound = outbound(&mut document.section("outbound"), &tls);
        let oidc = oidc(&mut document.section("oidc"), &outbound);
        let by_card_only = server.staff.is_some() && oidc.is_none();
        let staff = staff(&mut document.section("staff"), &tls, by_card_only);
        Self {
            server,
            staff,
            oidc,
            mail: post::mail(&mut document.section("mail")),
            proxied: proxied(&mut document.section("proxied")),
            outbound,
            tls,
            store: store(&mut document.section("store")),
            tak: Tak { dir: document.section("tak").path("dir", "tak-config") },
            log: log(&mut document.section("log")),
            limits: bounds(&mut document.section("limits")),
            public: public(&mut document.section("public")),
            telemetry: told(&mut document.section("telemetry")),
            alarms: alarms(&mut document.section("alarms")),
        }
    }
}

fn server(section: &mut Section<'_, '_>) -> Server {
    let https = section.address("https", SocketAddr::from(([0, 0, 0, 0], 8443)));
    let admin = section.address("admin", SocketAddr::from(([127, 0, 0, 1], 9090)));
    if admin.ip().is_unspecified() {
        let text = "an admin door on every address lets the whole network command the gateway; \
                    name one address, such as 127.0.0.1:9090";
        section.fault("admin", text.to_owned());
    }
    let meet = https.ip() == admin.ip() || https.ip().is_unspecified();
    if meet && https.port() == admin.port() && https.port() != 0 {
        section.fault("admin", format!("port {} is already that of `https`", https.port()));
    }
    let proxied = section.optional_address("proxied");
    let staff = section.optional_address("staff");
    let mut taken = vec![("https", https), ("admin", admin)];
    for (key, address) in [("proxied", proxied), ("staff", staff)] {
        let Some(address) = address else { continue };
        for (name, other) in &taken {
            let meet = other.ip() == address.ip()
                || other.ip().is_unspecified()
                || address.ip().is_unspecified();
            if meet && other.port() == address.port() && address.port() != 0 {
                let text = format!("port {} is already that of `{name}`", address.port());
                section.fault(key, text);
            }
        }
        taken.push((key, address));
    }
    Server { https, admin, proxied, staff }
}

fn proxied(section: &mut Section<'_, '_>) -> Proxied {
    let mut sources = Vec::new();
    let mut warnings = Vec::new();
    for text in section.texts("sources", &["127.0.0.1/32", "::1/128"]) {
        match network(text.trim()) {
            Some((network, as_written)) => {
                if !as_written {
                    warnings.push(format!(
                        "[proxied] sources: \"{text}\" is the beginning of an address and is read \
                         as {network}; write that"
                    ));
                }
                sources.push(network);
            }
            None => section.fault(
                "sources",
                format!("expected networks, such as \"10.1.0.0/16\", found {text:?}"),
            ),
        }
    }
    Proxied {
        sources,
        warnings,
        certificate_header: section.header("certificate_header", "x-vp-auth-cert"),
        for_header: section.header("for_header", "X-Forwarded-For"),
        proto_header: section.header("proto_header", "X-VP-Forwarded-Proto"),
        host_header: section.header("host_header", "X-VP-Forwarded-Host"),
        port_header: section.header("port_header", "X-VP-Forwarded-Port"),
        instance_id: section.some_text("instance_id"),
    }
}

/// A network or a single address, and whether it was written as one. The national platform's list
/// holds beginnings of addresses as texts, where `10.1` is also the beginning of `10.100.0.1`: here
/// a beginning is whole numbers, and `10.1` is 10.1.0.0/16.
fn network(text: &str) -> Option<(IpNet, bool)> {
    if let Ok(network) = text.parse::<IpNet>() {
        return Some((network.trunc(), true));
    }
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some((address.to_canonical().into(), true));
    }
    let mut octets = [0; 4];
    let mut bits = 0;
    let beginning = text.strip_suffix('.').unwrap_or(text);
    let mut places = octets.iter_mut();
    for number in beginning.split('.') {
        *places.next()? = number.parse().ok().filter(|_| !number.starts_with('+'))?;
        bits += 8;
    }
    let network = Ipv4Net::new(octets.into(), bits).ok().filter(|_| bits < 32)?;
    Some((network.into(), false))
}

fn tls(section: &mut Section<'_, '_>) -> Tls {
    let attributes = [
        ("serialNumber", HsaIdAttribute::SerialNumber),
        ("OU", HsaIdAttribute::OrganizationalUnit),
    ];
    Tls {
        certificate: section.path("certificate", "certs/gateway.pem"),
        key: section.path("key", "certs/gateway.key"),
        trust: section.some_paths("trust", &["certs/ca.pem"]),
        crl: section.paths("crl", &[]),
        hsa_id_attribute: section.choice(
            "hsa_id_attribute",
            HsaIdAttribute::SerialNumber,
            &attributes,
        ),
    }
}

/// Cards of persons are trusted apart from the certificates of systems, so nothing is taken over
/// from there but what we show of ourselves.
fn staff(section: &mut Section<'_, '_>, tls: &Tls, by_card_only: bool) -> Tls {
    let trust = section.paths("trust", &[]);
    if by_card_only && trust.is_empty() {
        let text = "the staff door is open ([server] staff) and nobody can log in; name the issuers \
                    of cards, such as [\"certs/siths-person-ca.pem\"], or a login service in [oidc]";
        section.fault("trust", text.to_owned());
    }
    Tls {
        certificate: section.path_or("certificate", tls.certificate.clone()),
        key: section.path_or("key", tls.key.clone()),
        trust,
        crl: section.paths("crl", &[]),
        hsa_id_attribute: HsaIdAttribute::SerialNumber,
    }
}

/// Without an issuer nobody logs in there, and nothing else may be said.
fn oidc(section: &mut Section<'_, '_>, outbound: &Outbound) -> Option<Oidc> {
    let issuer = section.base_url("issuer");
    let address = section.base_url("address");
    let client_id = section.some_text("client_id");
    let rest = Oidc {
        service: oidc::Settings {
            issuer: issuer.clone().unwrap_or_default(),
            client_id: client_id.clone().unwrap_or_default(),
            client_secret_file: section.optional_path("client_secret_file"),
            address: address.clone().unwrap_or_default(),
            scopes: section.texts("scopes", &[]),
            hsa_id_claim: section
                .some_text("hsa_id_claim")
                .unwrap_or_else(|| limits::OIDC_HSA_ID_CLAIM.to_owned()),
            levels: section.texts("levels", &[]),
        },
        trust: section.some_paths_or("trust", outbound.trust.clone()),
    };
    let needed = [("issuer", &issuer), ("client_id", &client_id), ("address", &address)];
    if needed.iter().all(|(_, value)| value.is_none()) {
        return None;
    }
    for (key, value) in needed {
        match value {
            None => section.fault(key, "is needed to log in by a login service".to_owned()),
            Some(text) if key != "client_id" && !text.starts_with("https://") => {
                section.fault(key, format!("expected an https address, found {text:?}"));
            }
            Some(_) => {}
        }
    }
    Some(rest)
}

fn outbound(section: &mut Section<'_, '_>, tls: &Tls) -> Outbound {
    Outbound {
        certificate: section.path_or("certificate", tls.certificate.clone()),
        key: section.path_or("key", tls.key.clone()),
        trust: section.some_paths_or("trust", tls.trust.clone()),
    }
}

fn store(section: &mut Section<'_, '_>) -> Store {
    const TEBIBYTE: u64 = 1 << 40;
    Store {
        dir: section.path("dir", "store"),
        min_free_bytes: section.number(
            "min_free_bytes",
            limits::STORE_FREE_BYTES_MIN,
            0..=TEBIBYTE,
        ),
        master_key: master_key(section),
    }
}

fn master_key(section: &mut Section<'_, '_>) -> Option<master::Source> {
    let file = section.optional_path("master_key_file");
    let command = section.texts("master_key_command", &[]);
    match (file, command.is_empty()) {
        (Some(file), true) => Some(master::Source::File(file)),
        (None, true) => None,
        (None, false) => Some(master::Source::Command(command)),
        (Some(_), false) => {
            let text = "`master_key_file` is set, too; name one of them".to_owned();
            section.fault("master_key_command", text);
            None
        }
    }
}

fn log(section: &mut Section<'_, '_>) -> Log {
    use telemetry::{Format, Level};
    let levels = [
        ("info", Level::Info),
        ("error", Level::Error),
        ("warn", Level::Warn),
        ("debug", Level::Debug),
    ];
    let formats = [("text", Format::Text), ("json", Format::Json)];
    Log {
        level: section.choice("level", Level::Info, &levels),
        format: section.choice("format", Format::Text, &formats),
    }
}

fn bounds(section: &mut Section<'_, '_>) -> Limits {
    const GIBIBYTE: u64 = 1 << 30;
    let least = u64::try_from(limits::SKELETON_BYTES_MAX).unwrap_or(u64::MAX);
    Limits {
        message_bytes: section.number("message_bytes", limits::MESSAGE_BYTES_MAX, least..=GIBIBYTE),
        calls_in_flight: section.count("calls_in_flight", limits::CALLS_IN_FLIGHT_MAX, 1..=4096),
        connections: section.count("connections", limits::CONNECTIONS_MAX, 1..=65536),
        consumer_rate: consumer_rate(section),
    }
}

fn consumer_rate(section: &mut Section<'_, '_>) -> Option<Rate> {
    let text = section.some_text("consumer_rate")?;
    let rate = Rate::parse(&text);
    if rate.is_none() {
        let expected = "expected calls per second, minute or hour, such as \"100/s\"";
        section.fault("consumer_rate", format!("{expected}, found {text:?}"));
    }
    rate
}

fn public(section: &mut Section<'_, '_>) -> Public {
    Public {
        base_url: section.base_url("base_url"),
        wsdl_folder: section.optional_path("wsdl_folder"),
    }
}

fn told(section: &mut Section<'_, '_>) -> Telemetry {
    let otlp = section.base_url("otlp");
    if otlp.as_ref().is_some_and(|it| it.starts_with("https")) {
        let text = "spans are sent over http only: name a collector on this machine or in its \
                    closed network, and let that one send them on";
        section.fault("otlp", text.to_owned());
    }
    Telemetry { otlp }
}

fn alarms(section: &mut Section<'_, '_>) -> Alarms {
    const HOUR: Duration = Duration::from_secs(3600);
    Alarms {
        every: section.time("every", Duration::from_secs(30), limits::ALARM_LOOK_MAX),
        oldest: section.time("oldest", HOUR, 30 * 24 * HOUR),
        paused: section.time("paused", 4 * HOUR, 30 * 24 * HOUR),
        certificate_days: section.number("certificate_days", 30, 1..=365),
        silence: section.choice("silence", true, &[("on", true), ("off", false)]),
    }
}

#[cfg(test)]
mod tests;
