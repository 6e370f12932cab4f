//! Where a producer is called: an `http` or `https` URL of the routing configuration.

use http::Uri;
use http::uri::PathAndQuery;

/// An address that can be called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    pub(super) origin: Origin,
    target: PathAndQuery,
}

/// One server: connections to it are shared.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Origin {
    pub(super) https: bool,
    /// Without the brackets of an IPv6 address.
    pub(super) host: String,
    pub(super) port: u16,
}

/// An address that cannot be called.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the address is no http or https URL with a host: {0}")]
pub struct AddressError(String);

impl Address {
    /// Reads a URL; a fragment is left out.
    ///
    /// # Errors
    /// When it is no `http` or `https` URL with a host.
    pub fn parse(url: &str) -> Result<Self, AddressError> {
        let failed = || AddressError(url.to_owned());
        let called = url.split('#').next().unwrap_or_default();
        let uri: Uri = called.parse().map_err(|_| failed())?;
        let https = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            Some(_) | None => return Err(failed()),
        };
        let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(failed)?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        let port = uri.port_u16().unwrap_or(if https { 443 } else { 80 });
        let target = uri.path_and_query().cloned();
        let target = target.unwrap_or_else(|| PathAndQuery::from_static("/"));
        Ok(Self { origin: Origin { https, host, port }, target })
    }

    /// Whether it is called over TLS.
    #[must_use]
    pub const fn is_https(&self) -> bool {
        self.origin.https
    }

    /// The path and query of the request line.
    #[must_use]
    pub const fn target(&self) -> &PathAndQuery {
        &self.target
    }

    /// The value of `Host`: the port is left out where it is the scheme's own.
    #[must_use]
    pub fn host(&self) -> String {
        let Origin { https, host, port } = &self.origin;
        let name = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        if *port == if *https { 443 } else { 80 } { name } else { format!("{name}:{port}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_gives_host_port_path_and_query() {
        let of = |url: &str| {
            let it = Address::parse(url).unwrap();
            (
                it.is_https(),
                it.origin.host.clone(),
                it.origin.port,
                it.host(),
                it.target.to_string(),
            )
        };
        assert_eq!(
            of("https://Region.example.se/rivta?wsdl#x"),
            (
                true,
                "region.example.se".into(),
                443,
                "region.example.se".into(),
                "/rivta?wsdl".into()
            )
        );
        assert_eq!(
            of("http://127.0.0.1:8080"),
            (false, "127.0.0.1".into(), 8080, "127.0.0.1:8080".into(), "/".into())
        );
        assert_eq!(of("http://a:443/").3, "a:443");
        assert_eq!(of("https://[::1]:9443/x").1, "::1");
        assert_eq!(of("https://[::1]:9443/x").3, "[::1]:9443");
        for bad in ["", "/x", "ftp://a/", "https://", "http:///x", "a b"] {
            assert!(Address::parse(bad).is_err(), "{bad}");
        }
    }
}
