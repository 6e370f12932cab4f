//! Other people's SOAP libraries, given the address of the WSDL and certificates and nothing else.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::support::{Peer, Random, World, case_id, certs, inbox_answer, not_run, region_answer};

fn target() -> PathBuf {
    // .../tmp is the tests' own folder in the target folder.
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().to_owned()
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(name)
}

/// A new case and a reply to it, each by `call`: what, case, message to output.
fn converse(name: &str, call: impl Fn(&World, &str, &str, &str) -> String) {
    let region = Peer::start(certs(), "region", region_answer);
    let inkorg = Peer::start(certs(), "inkorg", inbox_answer);
    let world = World::plan().region(region.address).inkorg(inkorg.address).start();
    let mut random = Random::new(4711);
    let case = case_id(&format!("foreign-{name}"));
    let (first, second) = (random.uuid(), random.uuid());
    let opened = call(&world, "complaint", &case, &first);
    let (code, number) = opened.trim().split_once(' ').unwrap_or_default();
    assert_eq!(code, "OK", "{opened}");
    assert_eq!(world.admin(&format!("/cases/{}", number.trim())).0, 200, "{opened}");
    let again = call(&world, "complaint", &case, &first);
    assert!(again.starts_with(&format!("INFO {}", number.trim())), "{again}");
    let closed = call(&world, "reply", &case, &second);
    assert!(closed.starts_with("OK "), "{closed}");
    let after = call(&world, "reply", &case, &random.uuid());
    assert!(after.starts_with("ERROR") && after.contains("Ärendet är avslutat."), "{after}");
    world.wait_delivered(Duration::from_secs(30));
    assert!(region.calls().iter().any(|call| call.says(&first)));
}

fn run(command: &mut Command) -> String {
    let done = command.output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{out}{err}");
    out.into_owned()
}

#[test]
fn zeep_sends_a_case_and_a_reply_with_the_wsdl_alone() {
    let python = target().join("ci-venv/bin/python");
    if !python.exists() {
        let folder = target().join("ci-venv");
        return not_run(&format!(
            "Python zeep: {0} is missing (python3 -m venv {0} && {0}/bin/pip install zeep==4.3.2)",
            folder.display()
        ));
    }
    converse("zeep", |world, what, case, message| {
        let base = format!("https://localhost:{}", world.https.port());
        let mut command = Command::new(&python);
        command.arg(script("zeep_client.py")).args([what, &base]).arg(certs());
        command.env("PYTHONIOENCODING", "utf-8");
        run(command.args([case, message]))
    });
}

#[test]
fn node_soap_sends_a_case_and_a_reply_with_the_wsdl_alone() {
    let modules = target().join("ci-node/node_modules");
    if !modules.join("soap").exists() {
        let folder = target().join("ci-node");
        return not_run(&format!(
            "Node soap: {0} is missing (npm install --prefix {0} soap@1.13.0)",
            folder.display()
        ));
    }
    converse("node", |world, what, case, message| {
        let base = format!("https://localhost:{}", world.https.port());
        let mut command = Command::new("node");
        command.env("NODE_PATH", &modules).arg(script("soap_client.cjs")).args([what, &base]);
        run(command.arg(certs()).args([case, message]))
    });
}
