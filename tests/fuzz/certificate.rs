//! The certificate in a proxy's header: in every form it names whom the certificate names, or nobody.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use klagomal::config::Proxied;
use klagomal::gateway::Proxy;
use klagomal::id::HsaId;
use klagomal::tls::{Attribute, Peer};
use rustls_pki_types::CertificateDer;

/// When the certificates of the corpus hold.
const NOW: i64 = 1_800_000_000;

pub fn try_one(data: &[u8]) {
    let proxy = proxy();
    if let Ok(text) = std::str::from_utf8(data) {
        in_text(&proxy, text);
    }
    // A certificate, one that is nearly one, or none.
    let der =
        text_of(data).map_or_else(|| data.to_vec(), |it| STANDARD.decode(it).unwrap_or_default());
    let direct = named_directly(&der);
    let plain = STANDARD.encode(&der);
    let lines: Vec<&str> =
        (0..plain.len()).step_by(64).map(|at| &plain[at..plain.len().min(at + 64)]).collect();
    for between in ["", " ", "\t", "\n", "\r\n", "\n  "] {
        let body = lines.join(between);
        let pem =
            format!("-----BEGIN CERTIFICATE-----{between}{body}{between}-----END CERTIFICATE-----");
        assert_eq!(named(&proxy, &pem), direct, "PEM between {between:?}");
        assert_eq!(named(&proxy, &format!("{pem}{between}{pem}")), direct, "a chain");
    }
    if plain.starts_with("MII") {
        assert_eq!(named(&proxy, &plain), direct, "bare");
        assert_eq!(named(&proxy, &format!("{plain},MIIB")), direct, "bare, with a chain");
    } else {
        assert_eq!(named(&proxy, &plain), None, "not a form that is read");
    }
}

/// Whatever a header says: who is named is in a certificate that stands in it.
fn in_text(proxy: &Proxy, text: &str) {
    let Some(id) = named(proxy, text) else { return };
    let inside = text_of(text.as_bytes())
        .unwrap_or_else(|| text.split(',').next().unwrap_or_default().to_owned());
    let inside: String = inside.chars().filter(|it| !it.is_ascii_whitespace()).collect();
    let der = STANDARD.decode(&inside).expect("somebody was named, so it was base64");
    assert_eq!(named_directly(&der), Some(id));
}

/// What stands between the lines of a PEM file.
fn text_of(data: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(data).ok()?;
    let (_, rest) = text.split_once("-----BEGIN CERTIFICATE-----")?;
    let (inside, _) = rest.split_once("-----END CERTIFICATE-----")?;
    Some(inside.chars().filter(|it| !it.is_ascii_whitespace()).collect())
}

fn named(proxy: &Proxy, value: &str) -> Option<HsaId> {
    proxy.certified(Some(value), now()).ok()
}

fn named_directly(der: &[u8]) -> Option<HsaId> {
    let peer = Peer::read(&CertificateDer::from(der), &Attribute::default()).ok()?;
    (peer.not_before <= now() && now() <= peer.not_after).then_some(peer.hsa_id)
}

fn now() -> jiff::Timestamp {
    jiff::Timestamp::from_second(NOW).expect("a time")
}

fn proxy() -> Proxy {
    let name = |it: &str| it.to_owned();
    let settings = Proxied {
        sources: Vec::new(),
        warnings: Vec::new(),
        certificate_header: name("x-vp-auth-cert"),
        for_header: name("x-forwarded-for"),
        proto_header: name("x-vp-forwarded-proto"),
        host_header: name("x-vp-forwarded-host"),
        port_header: name("x-vp-forwarded-port"),
        instance_id: None,
    };
    Proxy::new(settings, Attribute::default())
}
