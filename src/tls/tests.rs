//! Trust, revocation and reload, without a network.

use std::fs;

use jiff::Timestamp;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{PrivateKeyDer, ServerName};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::clock::{self, HandClock};
use crate::pki;
use crate::telemetry::metrics::Metrics;

pub(crate) const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Test certificates in a folder, and the time they were made.
#[derive(Debug)]
pub(crate) struct Certificates {
    pub(crate) dir: TempDir,
    pub(crate) clock: HandClock,
}

impl Certificates {
    pub(crate) fn make() -> Self {
        let now: Timestamp = "2026-11-20T08:00:00Z".parse().unwrap();
        let dir = tempfile::tempdir().unwrap();
        pki::make(dir.path(), now).unwrap();
        Self { dir, clock: HandClock::at(now) }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn copy(&self, from: &str, to: &str) {
        fs::copy(self.path(from), self.path(to)).unwrap();
    }

    /// The gateway, trusting the test root, with the lists of `revoked.crl`.
    pub(crate) fn settings(&self) -> Settings {
        let mut settings = Settings::new(
            &self.path("gateway.crt"),
            &self.path("gateway.key"),
            &[self.path("ca.crt")],
        );
        settings.lists = vec![self.path("revoked.crl")];
        settings
    }

    pub(crate) fn server(&self, settings: Settings) -> Arc<ServerTls> {
        ServerTls::new(settings, Arc::new(self.clock.clone())).unwrap()
    }

    pub(crate) fn chain(&self, name: &str) -> Vec<CertificateDer<'static>> {
        CertificateDer::pem_file_iter(self.path(&format!("{name}.crt")))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap()
    }

    /// A caller of its own making: `name`'s certificate (none: empty), one version of TLS.
    pub(crate) fn caller(
        &self,
        name: &str,
        version: &'static rustls::SupportedProtocolVersion,
    ) -> rustls::ClientConfig {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.chain("ca").remove(0)).unwrap();
        let time = Arc::new(Time(Arc::new(self.clock.clone())));
        let builder = rustls::ClientConfig::builder_with_details(provider(), time)
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots);
        if name.is_empty() {
            return builder.with_no_client_auth();
        }
        let key = PrivateKeyDer::from_pem_file(self.path(&format!("{name}.key"))).unwrap();
        builder.with_client_auth_cert(self.chain(name), key).unwrap()
    }
}

fn reason(outcome: Result<(), PeerError>) -> Option<Reason> {
    match outcome {
        Ok(()) => None,
        Err(PeerError::Refused(reason)) => Some(reason),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn every_certificate_of_a_chain_is_looked_up_only_where_every_root_has_a_list() {
    let made = Certificates::make();
    let mut settings = made.settings();
    assert_eq!(made.server(settings.clone()).revocation(), Revocation::Chain);
    // The function CA's list alone: the root has none.
    let pem = fs::read_to_string(made.path("revoked.crl")).unwrap();
    let (root, function) = pem.split_at(pem.rfind("-----BEGIN").unwrap());
    fs::write(made.path("function.crl"), function).unwrap();
    fs::write(made.path("root.crl"), root).unwrap();
    settings.lists = vec![made.path("function.crl")];
    let leaf = made.server(settings.clone());
    assert_eq!(leaf.revocation(), Revocation::Leaf);
    assert_eq!(reason(leaf.recheck(&made.chain("region"), made.now())), None);
    assert_eq!(reason(leaf.recheck(&made.chain("revoked"), made.now())), Some(Reason::Revoked));
    // The root's list alone says nothing of function certificates: unknown is refused.
    settings.lists = vec![made.path("root.crl")];
    let root = made.server(settings.clone());
    let unknown = reason(root.recheck(&made.chain("region"), made.now()));
    assert_eq!(unknown, Some(Reason::RevocationUnknown));
    settings.lists = Vec::new();
    let off = made.server(settings);
    assert_eq!(off.revocation(), Revocation::Off);
    assert_eq!(reason(off.recheck(&made.chain("revoked"), made.now())), None);
}

#[test]
fn of_two_lists_by_one_issuer_the_newer_counts_in_either_order() {
    let made = Certificates::make();
    pki::revoke(made.dir.path(), "region", clock::after(made.now(), Duration::from_secs(60)))
        .unwrap();
    for lists in [["empty.crl", "revoked.crl"], ["revoked.crl", "empty.crl"]] {
        let mut settings = made.settings();
        settings.lists = lists.map(|name| made.path(name)).to_vec();
        let tls = made.server(settings);
        assert_eq!(reason(tls.recheck(&made.chain("region"), made.now())), Some(Reason::Revoked));
        assert_eq!(reason(tls.recheck(&made.chain("1177"), made.now())), None);
    }
}

/// From ten years on, the lists have passed their `nextUpdate`; the certificates are made anew.
fn old_lists() -> (Certificates, Timestamp) {
    let made = Certificates::make();
    let later = clock::after(made.now(), DAY * 3700);
    let fresh = pki::make_in_memory(later).unwrap();
    for (name, content) in fresh {
        // Old lists are by the old keys: sign them with the new ones, at the old time.
        fs::write(made.path(&name), content).unwrap();
    }
    pki::revoke(made.dir.path(), "bo", made.now()).unwrap();
    (made, later)
}

#[test]
fn a_list_past_its_date_is_used_for_its_grace_and_then_refuses_everybody() {
    let (made, _) = old_lists();
    // `revoked.crl` by the function CA now ends ten years after the first making.
    let mut settings = made.settings();
    settings.list_grace = DAY;
    let tls = made.server(settings.clone());
    let end = tls.expiries().into_iter().filter(|one| one.part == Part::Lists);
    let end = end.map(|one| one.at).min().unwrap();
    assert_eq!(end.to_string(), "2036-11-20T08:00:00Z");
    let chain = made.chain("region");
    // The new certificates are valid a day before they were made, 47 days after the list's end.
    let past = clock::after(end, DAY * 60);
    assert_eq!(reason(tls.recheck(&chain, past)), Some(Reason::ListExpired));
    settings.list_grace = DAY * 60;
    let patient = made.server(settings);
    assert_eq!(reason(patient.recheck(&chain, past)), None);
    assert_eq!(patient.good_until(&chain), past);
    let after = clock::after(past, Duration::from_secs(1));
    assert_eq!(reason(patient.recheck(&chain, after)), Some(Reason::ListExpired));
}

#[test]
fn a_certificate_ends_at_its_end() {
    let made = Certificates::make();
    let mut settings = made.settings();
    settings.lists = Vec::new();
    let tls = made.server(settings);
    let end = tls.good_until(&made.chain("region"));
    assert_eq!(end.to_string(), "2036-11-20T08:00:00Z");
    assert_eq!(reason(tls.recheck(&made.chain("region"), end)), None);
    let after = clock::after(end, Duration::from_secs(1));
    assert_eq!(reason(tls.recheck(&made.chain("region"), after)), Some(Reason::Expired));
}

#[test]
fn a_caller_that_gives_its_own_certificate_alone_is_completed_from_the_trust_list() {
    let made = Certificates::make();
    let alone = made.chain("region")[..1].to_vec();
    let tls = made.server(made.settings());
    assert_eq!(reason(tls.recheck(&alone, made.now())), Some(Reason::UnknownIssuer));
    let mut settings = made.settings();
    settings.trust.push(made.path("function-ca.crt"));
    let tls = made.server(settings.clone());
    assert_eq!(tls.revocation(), Revocation::Chain);
    assert_eq!(reason(tls.recheck(&alone, made.now())), None);
    // The function CA alone is trusted by itself.
    settings.trust.remove(0);
    let tls = made.server(settings);
    assert_eq!(reason(tls.recheck(&alone, made.now())), None);
    let wrong = made.chain("from-wrong-ca");
    assert_eq!(reason(tls.recheck(&wrong, made.now())), Some(Reason::UnknownIssuer));
}

#[test]
fn a_wrong_file_keeps_its_part_and_lets_the_others_change() {
    let made = Certificates::make();
    let tls = made.server(made.settings());
    assert!(tls.reload(made.now()).changed.is_empty());
    assert_eq!(tls.generation(), 1);
    made.copy("bo.crt", "gateway.crt");
    pki::revoke(made.dir.path(), "region", made.now()).unwrap();
    let reload = tls.reload(made.now());
    assert_eq!(reload.changed, [Part::Lists]);
    assert!(matches!(reload.faults[..], [(Part::Identity, TlsError::Pair { .. })]));
    assert_eq!(tls.faults().len(), 1);
    assert_eq!(tls.generation(), 2);
    assert_eq!(
        reason(tls.recheck(&made.chain("region"), made.now())),
        Some(Reason::Revoked),
        "the list did not wait for the certificate"
    );
    made.copy("bo.key", "gateway.key");
    assert_eq!(tls.reload(made.now()).changed, [Part::Identity]);
    assert!(tls.faults().is_empty());
}

type Change<'a> = &'a dyn Fn(&mut Settings);

#[test]
fn every_kind_of_bad_file_is_refused_by_name() {
    let made = Certificates::make();
    let read = |change: Change<'_>| {
        let mut settings = made.settings();
        change(&mut settings);
        ServerTls::new(settings, Arc::new(made.clock.clone())).map(|_| ()).unwrap_err().to_string()
    };
    fs::write(made.path("junk"), "not a certificate").unwrap();
    fs::write(made.path("empty"), "").unwrap();
    let sealed =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    fs::write(made.path("sealed.key"), sealed).unwrap();
    // The function CA's list, signed by another key of the same name.
    let other = Certificates::make();
    fs::copy(other.path("revoked.crl"), made.path("forged.crl")).unwrap();
    let table: [(&str, Change<'_>); 9] = [
        ("cannot read", &|s| s.certificate = made.path("gone.crt")),
        ("cannot be read", &|s| s.certificate = made.path("junk")),
        ("encrypted", &|s| s.key = made.path("sealed.key")),
        ("not PEM", &|s| s.key = made.path("junk")),
        ("used together", &|s| s.key = made.path("bo.key")),
        ("not an authority", &|s| s.trust = vec![made.path("bo.crt")]),
        ("no trusted authority", &|s| s.trust = Vec::new()),
        ("cannot be read", &|s| s.lists = vec![made.path("empty")]),
        ("not signed by", &|s| s.lists = vec![made.path("forged.crl")]),
    ];
    for (told, change) in table {
        let error = read(change);
        assert!(error.contains(told), "{error:?} does not say {told:?}");
    }
}

#[test]
fn an_own_certificate_that_is_not_valid_does_not_push_out_one_that_is() {
    let made = Certificates::make();
    let tls = made.server(made.settings());
    for name in ["expired", "not-yet-valid"] {
        made.copy(&format!("{name}.crt"), "gateway.crt");
        made.copy(&format!("{name}.key"), "gateway.key");
        let reload = tls.reload(made.now());
        assert!(matches!(reload.faults[..], [(Part::Identity, TlsError::NotNow { .. })]));
        assert_eq!(tls.generation(), 1);
    }
}

#[test]
fn the_hsa_id_may_stand_in_another_attribute() {
    let made = Certificates::make();
    let leaf = &made.chain("region")[0];
    let peer = Peer::read(leaf, &"serialNumber".parse().unwrap()).unwrap();
    assert_eq!(peer.hsa_id.as_str(), "SE0000000000-REGION");
    assert_eq!(peer.issuer, "Testfunktions CA");
    assert_eq!(peer.not_after.to_string(), "2036-11-20T08:00:00Z");
    assert_eq!(peer.fingerprint.len(), 64);
    let common = Peer::read(leaf, &"2.5.4.3".parse().unwrap()).unwrap();
    assert_eq!(common.hsa_id.as_str(), "region");
    let ou: Attribute = "OU".parse().unwrap();
    assert_eq!(Peer::read(leaf, &ou), Err(PeerError::NoHsaId(ou)));
    assert!("hsaid".parse::<Attribute>().is_err());
}

#[test]
fn what_runs_out_is_listed_with_its_file() {
    let made = Certificates::make();
    let expiries = made.server(made.settings()).expiries();
    let files: Vec<_> = expiries
        .iter()
        .map(|one| {
            (one.part, one.file.file_name().unwrap().to_str().unwrap(), one.subject.as_str())
        })
        .collect();
    assert_eq!(
        files,
        [
            (Part::Identity, "gateway.crt", "gateway"),
            (Part::Identity, "gateway.crt", "Testfunktions CA"),
            (Part::Trust, "ca.crt", "Testrot CA"),
            (Part::Lists, "revoked.crl", "Testrot CA"),
            (Part::Lists, "revoked.crl", "Testfunktions CA"),
        ]
    );
}

/// One handshake in memory: what the caller made of the server's certificate.
async fn call(server: &Arc<ServerTls>, client: &ClientTls, host: &'static str) -> Option<Reason> {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let acceptor = tokio_rustls::TlsAcceptor::from(server.accepting().config);
    let accept = tokio::spawn(async move { acceptor.accept(far).await.is_ok() });
    let connector = tokio_rustls::TlsConnector::from(client.config());
    let outcome = connector.connect(ServerName::try_from(host).unwrap(), near).await;
    let fault = outcome.err().map(|error| HandshakeFault::read(&error).reason);
    assert_eq!(accept.await.unwrap(), fault.is_none());
    fault
}

#[tokio::test]
async fn a_server_is_verified_by_issuer_name_date_and_list() {
    let made = Certificates::make();
    let mut settings = made.settings();
    settings.certificate = made.path("region.crt");
    settings.key = made.path("region.key");
    let client = ClientTls::new(settings, Arc::new(made.clock.clone())).unwrap();
    let table = [
        ("gateway", "localhost", None),
        ("wrong-key-usage", "127.0.0.1", None),
        ("gateway", "elsewhere.example", Some(Reason::WrongName)),
        ("revoked", "localhost", Some(Reason::Revoked)),
        ("expired", "localhost", Some(Reason::Expired)),
        ("not-yet-valid", "localhost", Some(Reason::NotYetValid)),
        ("from-wrong-ca", "localhost", Some(Reason::UnknownIssuer)),
    ];
    for (name, host, expected) in table {
        let mut settings = made.settings();
        settings.certificate = made.path(&format!("{name}.crt"));
        settings.key = made.path(&format!("{name}.key"));
        assert_eq!(call(&made.server(settings), &client, host).await, expected, "{name} {host}");
    }
    pki::revoke(made.dir.path(), "gateway", made.now()).unwrap();
    let server = made.server(made.settings());
    assert_eq!(call(&server, &client, "localhost").await, None, "not read again yet");
    assert_eq!(client.reload(made.now()).changed, [Part::Lists]);
    assert_eq!(call(&server, &client, "localhost").await, Some(Reason::Revoked));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_file_is_taken_into_use_by_itself() {
    let made = Certificates::make();
    let tls = made.server(made.settings());
    let mut changes = tls.changes();
    let stop = CancellationToken::new();
    let kept: Arc<dyn Reloads> = Arc::<ServerTls>::clone(&tls);
    let watch = watch(vec![kept], Arc::new(made.clock.clone()), Metrics::new(), stop.clone());
    watch.trigger();
    tokio::time::sleep(limits::WATCH_QUIET * 2).await;
    assert_eq!(tls.generation(), 1, "nothing had changed");
    pki::revoke(made.dir.path(), "region", made.now()).unwrap();
    let waited = tokio::time::timeout(Duration::from_secs(10), changes.changed()).await;
    assert!(waited.is_ok(), "the watch did not see the new list");
    assert_eq!(reason(tls.recheck(&made.chain("region"), made.now())), Some(Reason::Revoked));
    stop.cancel();
}
