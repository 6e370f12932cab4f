//! The files of the demo: the example routing and fixtures as shipped, settings made for it.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

use super::DemoError;

/// A case for Testvårdcentralen Exempelstad.
pub(super) const TO_BUILT_IN_STORE: &str =
    include_str!("../../fixtures/ProcessComplaint/demo-to-built-in-store.request.xml");
/// A case for Testkliniken Exempelstad.
pub(super) const TO_OWN_SYSTEM: &str =
    include_str!("../../fixtures/ProcessComplaint/demo-to-own-system.request.xml");

/// The example routing, file by file.
const ROUTING: [(&str, &str); 11] = [
    ("platform.toml", include_str!("../../tak-config/platform.toml")),
    ("systems.toml", include_str!("../../tak-config/systems.toml")),
    ("units.toml", include_str!("../../tak-config/units.toml")),
    ("routes.toml", include_str!("../../tak-config/routes.toml")),
    ("permissions.toml", include_str!("../../tak-config/permissions.toml")),
    ("staff.toml", include_str!("../../tak-config/staff.toml")),
    (
        "code-lists/standardsvar-1.0.toml",
        include_str!("../../tak-config/code-lists/standardsvar-1.0.toml"),
    ),
    (
        "code-lists/huvud-och-delproblem-1.0.toml",
        include_str!("../../tak-config/code-lists/huvud-och-delproblem-1.0.toml"),
    ),
    (
        "code-lists/verksamhetsomrade-1.0.toml",
        include_str!("../../tak-config/code-lists/verksamhetsomrade-1.0.toml"),
    ),
    (
        "code-lists/upplevt-problem-1.0.toml",
        include_str!("../../tak-config/code-lists/upplevt-problem-1.0.toml"),
    ),
    ("code-lists/kon-1.0.toml", include_str!("../../tak-config/code-lists/kon-1.0.toml")),
];

/// Where the example routing says that the two systems are.
const REGION: &str = "https://localhost:9443/rivta";
const INKORG: &str = "https://localhost:9444/inkorg";

/// Writes one file of the demo.
pub(super) fn write(folder: &Path, name: &str, text: &str) -> Result<(), DemoError> {
    let failed = |cause| DemoError::Folder { folder: folder.to_owned(), cause };
    let path = folder.join(name);
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(failed)?;
    }
    fs::write(path, text).map_err(failed)
}

/// The example routing, with the addresses of this demo's simulators.
pub(super) fn write_routing(folder: &Path, region: &str, inkorg: &str) -> Result<(), DemoError> {
    for (name, text) in ROUTING {
        let text = text
            .replace(&format!("\"{REGION}\""), &format!("\"{region}\""))
            .replace(&format!("\"{INKORG}\""), &format!("\"{inkorg}\""));
        write(folder, &format!("tak-config/{name}"), &text)?;
    }
    Ok(())
}

/// Settings for the demo: on loopback only.
pub(super) fn settings(https_port: u16) -> String {
    format!(
        "[server]\nhttps = \"127.0.0.1:{https_port}\"\nadmin = \"127.0.0.1:0\"\n\
         staff = \"127.0.0.1:0\"\n\n[staff]\ntrust = [\"certs/person-ca.crt\"]\n\n[tls]\n\
         certificate = \"certs/gateway.crt\"\nkey = \"certs/gateway.key\"\n\
         trust = [\"certs/ca.crt\"]\ncrl = [\"certs/revoked.crl\"]\n\n[store]\ndir = \"store\"\n"
    )
}

/// A port that is free now: the region's system must know where the gateway will be before either
/// has started.
pub(super) fn free_port(folder: &Path) -> Result<u16, DemoError> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(|cause| DemoError::Folder { folder: folder.to_owned(), cause })
}
