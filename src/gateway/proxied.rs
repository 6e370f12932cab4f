//! Who calls through the door without TLS: a proxy of ours tells, and only such a one is believed.
//!
//! As on the national platform, with these differences: sources are networks and not beginnings of
//! texts; every address of an internal call's `X-Forwarded-For` must be a source, not only the
//! beginning of the first; a header that stands there twice is refused, as a proxy that adds to what
//! the caller sent cannot be believed; the certificate must hold that day; WSDLs are for known callers
//! too. Its chain and revocation are for the proxy to verify.

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, header};
use jiff::Timestamp;

use super::forward::headers::{INSTANCE, SENDER, check_history};
use super::refusal::Refusal;
use crate::config::Proxied;
use crate::id::HsaId;
use crate::tls::{Attribute, CertificateDer, Peer, PeerError};

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// What base64 of a certificate begins with: a sequence of more than 255 bytes.
const DER_BEGINNING: &str = "MII";

/// What the platform's faults call the other end of the connection.
const CONNECTION: &str = "CamelNettyRemoteAddress";

/// Who calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sender {
    pub hsa_id: HsaId,
    /// From inside this platform: an earlier part of it has seen the certificate.
    pub internal: bool,
}

impl Sender {
    pub(super) const fn outside(hsa_id: HsaId) -> Self {
        Self { hsa_id, internal: false }
    }
}

/// What is believed of a proxy.
#[derive(Debug)]
pub struct Proxy {
    settings: Proxied,
    attribute: Attribute,
}

impl Proxy {
    /// A proxy by these settings; `attribute` is where a certificate has its HSA-id.
    #[must_use]
    pub fn new(settings: Proxied, attribute: Attribute) -> Self {
        Self { settings, attribute }
    }

    /// Who calls, from the address `from`. Takes the certificate out of `headers`, so that it is not
    /// passed on. `instance` is our own name in routing histories.
    pub(super) fn sender(
        &self,
        from: IpAddr,
        headers: &mut HeaderMap,
        instance: &str,
        now: Timestamp,
    ) -> Result<Sender, Refusal> {
        self.check_listed(from, CONNECTION)?;
        let certificate = only(headers, &self.settings.certificate_header)?;
        headers.remove(self.settings.certificate_header.as_str());
        let own = self.settings.instance_id.as_deref().unwrap_or(instance);
        if only(headers, INSTANCE)?.is_some_and(|it| it == own)
            && let Some(sender) = only(headers, SENDER)?
        {
            self.check_forwarded(headers)?;
            let hsa_id = HsaId::parse(&sender)
                .map_err(|error| Refusal::Peer(format!("httpheader {SENDER}: {error}")))?;
            return Ok(Sender { hsa_id, internal: true });
        }
        let sender = Sender::outside(self.certified(certificate.as_deref(), now)?);
        check_history(headers, instance)?;
        Ok(sender)
    }

    /// Scheme, host and port as the caller used them.
    pub(super) fn base_url(&self, headers: &HeaderMap) -> String {
        let told = |name: &str| only(headers, name).ok().flatten();
        let proto = told(&self.settings.proto_header).map(|it| it.to_ascii_lowercase());
        let proto = proto.filter(|it| it == "https").unwrap_or_else(|| "http".to_owned());
        let host = told(&self.settings.host_header).filter(|it| is_host(it));
        let host = host.or_else(|| told(header::HOST.as_str()));
        let host = host.unwrap_or_else(|| "localhost".to_owned());
        let port = told(&self.settings.port_header).and_then(|it| it.parse::<u16>().ok());
        match port {
            Some(port) => format!("{proto}://{}:{port}", without_port(&host)),
            None => format!("{proto}://{host}"),
        }
    }

    fn check_listed(&self, address: IpAddr, header: &str) -> Result<(), Refusal> {
        // On a door for both, an IPv4 address comes as one of IPv6.
        let address = address.to_canonical();
        if self.settings.sources.iter().any(|it| it.contains(&address)) {
            return Ok(());
        }
        Err(Refusal::NotListed { address: address.to_string(), header: header.to_owned() })
    }

    /// Where an internal call is said to come from. One who calls from outside could say that it is
    /// internal; the proxy has then written its address here.
    fn check_forwarded(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let name = self.settings.for_header.as_str();
        for value in headers.get_all(name) {
            for address in value.to_str().unwrap_or("?").split(',') {
                let address = address.trim();
                match address.parse() {
                    Ok(address) => self.check_listed(address, name)?,
                    Err(_) => {
                        let address = super::reply::visible(address);
                        return Err(Refusal::NotListed { address, header: name.to_owned() });
                    }
                }
            }
        }
        Ok(())
    }

    /// Whom the certificate in the header names, which must hold `now`. It may be PEM with any white
    /// space, or bare base64; of a chain, the first counts.
    ///
    /// # Errors
    /// VP002: no certificate, an unreadable one, one that names nobody, or one that does not hold.
    pub fn certified(&self, value: Option<&str>, now: Timestamp) -> Result<HsaId, Refusal> {
        let header = self.settings.certificate_header.as_str();
        let refused = |text: String| Err(Refusal::Peer(text));
        let Some(value) = value else {
            return refused(format!("No certificate found in httpheader {header}"));
        };
        let unreadable = || {
            Refusal::Peer(format!("Exception occured parsing certificate in httpheader {header}"))
        };
        let Some(text) = leaf(value) else {
            return refused(format!(
                "Exception, unkown certificate type found in httpheader {header}"
            ));
        };
        let der = STANDARD.decode(text).map_err(|_| unreadable())?;
        let peer = Peer::read(&CertificateDer::from(der), &self.attribute);
        let peer = peer.map_err(|error| match error {
            PeerError::Unreadable | PeerError::NoCertificate => unreadable(),
            PeerError::NoHsaId(_) => Refusal::Peer("No senderId found in Certificate".to_owned()),
            PeerError::SeveralHsaIds(_) | PeerError::BadHsaId(_) | PeerError::Refused(_) => {
                Refusal::Peer(format!("No senderId found in Certificate: {error}"))
            }
        })?;
        if now < peer.not_before || peer.not_after < now {
            let (from, to) = (peer.not_before, peer.not_after);
            return refused(format!(
                "The certificate in httpheader {header} is valid from {from} to {to} only"
            ));
        }
        Ok(peer.hsa_id)
    }
}

/// The first certificate in a header, as base64 without white space; `None` for anything else.
fn leaf(value: &str) -> Option<String> {
    let text = match value.split_once(BEGIN).and_then(|(_, rest)| rest.split_once(END)) {
        Some((inside, _)) => inside,
        None if value.starts_with(DER_BEGINNING) => value.split(',').next().unwrap_or_default(),
        None => return None,
    };
    Some(text.chars().filter(|it| !it.is_ascii_whitespace()).collect())
}

/// The one value of a header, trimmed; `None` where it is missing or blank.
fn only(headers: &HeaderMap, name: &str) -> Result<Option<String>, Refusal> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Refusal::Peer(format!("httpheader {name} was sent more than once")));
    }
    let value = String::from_utf8_lossy(value.as_bytes()).trim().to_owned();
    Ok(Some(value).filter(|it| !it.is_empty()))
}

/// Nothing but what a host, with a port or not, is written with.
fn is_host(text: &str) -> bool {
    text.bytes().all(|it| it.is_ascii_alphanumeric() || b".-:[]_".contains(&it))
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if !name.is_empty() && port.bytes().all(|it| it.is_ascii_digit()) => {
            name
        }
        Some(_) | None => host,
    }
}

#[cfg(test)]
mod tests;
