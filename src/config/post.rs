//! `[mail]`: the server that notices to staff go by.

use std::net::IpAddr;

use super::document::Section;
use crate::mail::{Security, Settings};

/// Without a server nobody is told by mail, and nothing else may be missing.
pub(super) fn mail(section: &mut Section<'_, '_>) -> Option<Settings> {
    let words =
        [("starttls", Security::Starttls), ("tls", Security::Tls), ("none", Security::None)];
    let security = section.choice("security", Security::Starttls, &words);
    let server = section.some_text("server");
    let (from, user) = (section.some_text("from"), section.some_text("user"));
    let password_file = section.optional_path("password_file");
    let page = section.base_url("address");
    let trust = section.paths("trust", &[]);
    let server = server?;
    let Some((host, port)) = host_and_port(&server) else {
        let expected = "a name and a port, such as \"smtp.example.se:587\"";
        section.fault("server", format!("expected {expected}, found {server:?}"));
        return None;
    };
    if security == Security::None && !is_here(&host) {
        let text = "mail goes in the clear only to this machine (localhost); use \"starttls\" or \
                    \"tls\"";
        section.fault("security", text.to_owned());
    }
    if from.as_deref().is_none_or(|it| !it.contains('@')) {
        let text = "is needed to send mail, such as \"klagomal@region.example.se\"";
        section.fault("from", text.to_owned());
    }
    if page.is_none() {
        let text = "is needed for the links in mails: where browsers reach the staff page";
        section.fault("address", text.to_owned());
    }
    if user.is_some() != password_file.is_some() {
        section.fault("password_file", "goes together with `user`".to_owned());
    }
    let (from, page) = (from.unwrap_or_default(), page.unwrap_or_default());
    Some(Settings { host, port, security, from, user, password_file, trust, page })
}

fn host_and_port(text: &str) -> Option<(String, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let port = port.parse().ok().filter(|port| *port > 0)?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    (!host.is_empty()).then(|| (host.to_owned(), port))
}

fn is_here(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|it| it.is_loopback())
}
