//! Calls over TLS, with certificates that are right, wrong, old and missing.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::TlsAcceptor;

use super::*;

static MADE: AtomicUsize = AtomicUsize::new(0);

struct Ca(CertifiedIssuer<'static, KeyPair>);

impl Ca {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        let name = format!("Test CA {}", MADE.fetch_add(1, Ordering::SeqCst));
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        roots
    }

    /// A certificate for `name`; for `old.example` one that has expired.
    fn leaf(&self, name: &str) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        let key = KeyPair::generate().unwrap();
        let names = vec![name.replace("old.example", "localhost")];
        let mut params = CertificateParams::new(names).unwrap();
        if name == "old.example" {
            params.not_after = rcgen::date_time_ymd(2020, 1, 1);
        }
        let leaf = params.signed_by(&key, &self.0).unwrap();
        (vec![leaf.der().clone()], PrivatePkcs8KeyDer::from(key.serialize_der()).into())
    }

    fn server(&self, name: &str, clients: Option<&Self>) -> ServerConfig {
        let builder = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(ca) => builder.with_client_cert_verifier(
                WebPkiClientVerifier::builder_with_provider(Arc::new(ca.roots()), provider())
                    .build()
                    .unwrap(),
            ),
        };
        let (chain, key) = self.leaf(name);
        builder.with_single_cert(chain, key).unwrap()
    }

    /// A client that trusts this CA; with `identity`, it has a certificate of that CA.
    fn client(&self, identity: Option<&Self>, versions: Versions) -> Producer {
        let builder = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(self.roots());
        let tls = match identity {
            None => builder.with_no_client_auth(),
            Some(ca) => {
                let (chain, key) = ca.leaf("client.example");
                builder.with_client_auth_cert(chain, key).unwrap()
            }
        };
        Producer::new(tls).unwrap()
    }
}

type Versions = &'static [&'static rustls::SupportedProtocolVersion];
const BOTH: Versions = rustls::DEFAULT_VERSIONS;
const TLS12: Versions = &[&rustls::version::TLS12];

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// The same over TLS; the address says `localhost`.
async fn answering_tls(config: ServerConfig) -> String {
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let url = serve(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            while request(&mut stream).await.is_some() {
                stream.write_all(OK.as_bytes()).await.unwrap();
            }
        }
    })
    .await;
    url.replace("http://127.0.0.1", "https://localhost")
}

#[tokio::test]
async fn mutual_tls_with_the_right_certificates_is_answered() {
    let (ours, theirs) = (Ca::new(), Ca::new());
    let url = answering_tls(theirs.server("localhost", Some(&ours))).await;
    for versions in [BOTH, TLS12] {
        let producer = theirs.client(Some(&ours), versions);
        assert_eq!(answered(producer.call(call(&url)).await).status, 200);
    }
}

#[tokio::test]
async fn a_certificate_that_we_refuse_is_told_with_the_reason() {
    let (theirs, other) = (Ca::new(), Ca::new());
    let url = answering_tls(theirs.server("localhost", None)).await;
    let (stage, why) = not_sent(other.client(None, BOTH).call(call(&url)).await);
    assert_eq!(stage, Stage::Tls);
    assert!(why.starts_with("we refused") && why.contains("unknown issuer"), "{why}");
    let url = answering_tls(theirs.server("elsewhere.example", None)).await;
    let (stage, why) = not_sent(theirs.client(None, BOTH).call(call(&url)).await);
    assert_eq!(stage, Stage::Tls);
    assert!(why.contains("elsewhere.example") && why.contains("localhost"), "{why}");
}

#[tokio::test]
async fn a_certificate_that_has_expired_is_told() {
    let theirs = Ca::new();
    let url = answering_tls(theirs.server("old.example", None)).await;
    let (stage, why) = not_sent(theirs.client(None, BOTH).call(call(&url)).await);
    assert_eq!(stage, Stage::Tls);
    assert_eq!(why, "we refused the producer's certificate: it has expired");
}

#[tokio::test]
async fn a_producer_that_never_shakes_hands_is_given_up_before_the_call_s_own_timeout() {
    let url = serve(|stream| async move {
        std::future::pending::<()>().await;
        drop(stream);
    })
    .await;
    let url = url.replace("http://127.0.0.1", "https://localhost");
    let seen = Ca::new().client(None, BOTH).call(call(&url)).await;
    assert!(
        matches!(seen, Seen::NotSent { stage: Stage::Connect, ms: 1900..4000, .. }),
        "{seen:?}"
    );
}

#[tokio::test]
async fn a_producer_that_refuses_our_certificate_is_told_with_its_reason() {
    let (ours, theirs, other) = (Ca::new(), Ca::new(), Ca::new());
    let url = answering_tls(theirs.server("localhost", Some(&ours))).await;
    for versions in [BOTH, TLS12] {
        let (stage, why) = not_sent(theirs.client(None, versions).call(call(&url)).await);
        assert_eq!(stage, Stage::Tls);
        assert!(why.starts_with("the producer refused us") && why.contains("got none"), "{why}");
        let wrong = theirs.client(Some(&other), versions);
        let (stage, why) = not_sent(wrong.call(call(&url)).await);
        assert_eq!(stage, Stage::Tls);
        assert!(why.starts_with("the producer refused us") && why.contains("issuer"), "{why}");
    }
}

#[tokio::test]
async fn a_plain_server_behind_an_https_address_is_told() {
    let url = serve(|mut stream| async move {
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        stream.read_u8().await.unwrap();
    })
    .await;
    let url = url.replace("http://127.0.0.1", "https://localhost");
    let (stage, why) = not_sent(Ca::new().client(None, BOTH).call(call(&url)).await);
    assert_eq!(stage, Stage::Tls);
    assert!(why.contains("is not TLS"), "{why}");
}

#[tokio::test]
async fn a_refused_certificate_is_told_even_when_a_large_message_was_already_leaving() {
    let (ours, theirs) = (Ca::new(), Ca::new());
    let url = answering_tls(theirs.server("localhost", Some(&ours))).await;
    for _ in 0..20 {
        let mut large = call(&url);
        large.body = megabytes(20);
        let seen = theirs.client(None, BOTH).call(large).await;
        let cut_short = seen.is_cut_short();
        let (Seen::NotSent { why, .. } | Seen::Unknown { why, .. }) = seen else {
            panic!("{seen:?}")
        };
        assert!(why.contains("got none") || (cut_short && why.contains("refuses our certificate")));
    }
}
