//! The simulators against each other, over real sockets with mutual TLS.

use std::collections::BTreeSet;
use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::*;
use crate::clock::{Clock as _, SystemClock};
use crate::complaint::message::{FromComplainant, ProcessComplaint};
use crate::id::HsaId;
use crate::pki;
use crate::producer::{Body, Call, Judgement, Loss, Producer, Seen, Stage};
use crate::rivta::patient_portal_v1 as inbox;
use crate::rivta::{Answer, ErrorCode, NotAnswer, ResultCode};
use crate::soap::FaultCode;
use crate::tls::{ClientTls, Settings};

mod calls;
mod delivery;
mod handling;
mod inkorg;

const PATIENCE: Duration = Duration::from_secs(20);

fn certificates() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    pki::make(&dir.path().join("pki"), SystemClock.now()).unwrap();
    dir
}

fn files(dir: &Path, who: &str) -> Settings {
    let file = |name: String| dir.join("pki").join(name);
    Settings::new(
        &file(format!("{who}.crt")),
        &file(format!("{who}.key")),
        &[file("ca.crt".into())],
    )
}

fn place(dir: &Path, who: &str) -> Place {
    Place {
        listen: "127.0.0.1:0".parse().unwrap(),
        tls: Some(files(dir, who)),
        control: Some("127.0.0.1:0".parse().unwrap()),
        clock: Arc::new(SystemClock),
    }
}

fn id(text: &str) -> HsaId {
    HsaId::parse(text).unwrap()
}

/// A region that sends its handling to `gateway`.
async fn region(dir: &Path, gateway: Option<String>, script: &str) -> Region {
    let (platform, handler) = (id("SE0000000000-1177"), id("SE0000000000-H1"));
    let mut settings = RegionSettings::new(place(dir, "region"), gateway, platform, handler);
    settings.script = script.parse().unwrap();
    settings.retry_pause = Duration::from_millis(10);
    settings.timeout = Duration::from_millis(1500);
    Region::start(settings).await.unwrap()
}

async fn portal(dir: &Path, to: Option<String>) -> Portal {
    let mut settings = PortalSettings::new(place(dir, "1177"), to);
    settings.timeout = Duration::from_millis(1500);
    Portal::start(settings).await.unwrap()
}

fn complaint() -> ProcessComplaint {
    // Whole seconds, as on the wire.
    let now = jiff::Timestamp::from_second(SystemClock.now().as_second()).unwrap();
    sample::complaint(&id("SE0000000000-VC2"), "99", now)
}

async fn send(portal: &Portal, message: &ProcessComplaint) -> Outcome {
    portal.send(message, &id("SE0000000000-VC2")).await.unwrap()
}

async fn until<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let found = timeout(PATIENCE, async {
        loop {
            if let Some(found) = look() {
                return found;
            }
            sleep(Duration::from_millis(5)).await;
        }
    });
    found.await.expect("it did not happen in time")
}

/// The same for a list: until it has `count` entries.
async fn until_there_are<T>(count: usize, mut look: impl FnMut() -> Vec<T>) -> Vec<T> {
    until(|| Some(look()).filter(|found| found.len() >= count)).await
}

fn answer(outcome: &Outcome) -> &Answer {
    outcome.answer().unwrap_or_else(|| panic!("{outcome:?}"))
}

/// One plain HTTP request; status and body.
async fn http(at: SocketAddr, head: &str, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(at).await.unwrap();
    let length = body.len();
    let request = format!(
        "{head} HTTP/1.1\r\nHost: {at}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
}

async fn stopped(stop: impl Future<Output = ()>) {
    timeout(Duration::from_secs(5), stop).await.expect("a simulator stops at once");
}
