//! `klagomal demo`: the whole way on one machine, over real mutual TLS, from form to inbox.
//!
//! Everything that `klagomal serve` runs, and the simulators on the other side. Nothing between is
//! played: certificates are made, messages travel, the store is on disk.

mod files;

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use crate::admin::client::{self, ClientError};
use crate::app::{self, Running};
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::id::HsaId;
use crate::pki;
use crate::simulators::{
    InboxItem, Inkorg, InkorgSettings, Outcome, Place, Portal, PortalSettings, Region,
    RegionSettings, SendError,
};
use crate::telemetry::Chain;
use crate::tls;

/// How long the two replies may take to reach the inbox.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often the inbox is looked into.
const LOOK: Duration = Duration::from_millis(100);

/// The heading of a reply in the inbox.
const REPLY: &str = "Du har fått svar på ditt ärende";

/// Why the demo could not be shown.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    #[error("the folder {folder} cannot be filled")]
    Folder {
        folder: PathBuf,
        #[source]
        cause: std::io::Error,
    },
    #[error("the certificates cannot be made")]
    Certificates(#[source] pki::PkiError),
    #[error("the settings: {0}")]
    Settings(String),
    #[error("a simulator does not start")]
    Simulator(#[from] crate::simulators::StartError),
    #[error("the gateway does not start")]
    Gateway(#[from] app::StartError),
    #[error("the case was not sent")]
    Send(#[from] SendError),
    #[error("the case was not accepted: {0}")]
    NotAccepted(String),
    #[error("the answer was not kept")]
    Answer(#[from] ClientError),
    #[error("the output cannot be written")]
    Output(#[from] std::io::Error),
}

/// Everything that runs in the demo.
#[derive(Debug)]
pub struct Demo {
    folder: PathBuf,
    gateway: Running,
    portal: Portal,
    region: Region,
    inkorg: Inkorg,
}

impl Demo {
    /// Fills `folder` and starts everything in it.
    ///
    /// # Errors
    /// When anything does not start; what is wrong is named.
    pub async fn start(folder: &Path) -> Result<Self, DemoError> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let certs = folder.join("certs");
        pki::make(&certs, clock.now()).map_err(DemoError::Certificates)?;
        let gateway_port = files::free_port(folder)?;
        let gateway_url = format!("https://localhost:{gateway_port}/vp");
        let place = |role: &str| Place {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            tls: Some(identity(&certs, role)),
            control: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))),
            clock: Arc::clone(&clock),
        };
        let inkorg = Inkorg::start(InkorgSettings::new(place("inkorg"))).await?;
        let (platform, handler) = (own("1177")?, own("BO")?);
        let region = Region::start(RegionSettings::new(
            place("region"),
            Some(gateway_url.clone()),
            platform,
            handler,
        ))
        .await?;
        let portal = Portal::start(PortalSettings::new(place("1177"), Some(gateway_url))).await?;
        files::write_routing(folder, &region.url(), &inkorg.url())?;
        let settings = files::settings(gateway_port);
        files::write(folder, "klagomal.toml", &settings)?;
        let config = Config::parse("klagomal.toml", &settings, folder).map_err(|faults| {
            let lines: Vec<String> = faults.iter().map(ToString::to_string).collect();
            DemoError::Settings(lines.join("; "))
        })?;
        let gateway = app::start(config, folder.to_owned(), clock).await?;
        Ok(Self { folder: folder.to_owned(), gateway, portal, region, inkorg })
    }

    /// Sends a case to a unit with the built-in store and one to a unit with an own system, answers
    /// the first, and waits for both replies. Whether both were seen in the inbox.
    ///
    /// # Errors
    /// When a case is not accepted, or its answer is not.
    pub async fn show(&self, out: &mut dyn Write) -> Result<bool, DemoError> {
        writeln!(out, "1177 skickar två ärenden till klagomal över RIV TA med ömsesidig TLS.")?;
        let here =
            self.send(files::TO_BUILT_IN_STORE, "den inbyggda ärendehanteringen", out).await?;
        self.send(files::TO_OWN_SYSTEM, "regionens eget system", out).await?;
        self.answer(&here, out).await?;
        writeln!(out, "\nSvaren på väg till 1177 Inkorg …")?;
        let replies = self.wait_for_replies().await;
        for item in self.inkorg.messages() {
            print(&item, out)?;
        }
        let seen = replies.len() == 2;
        let verdict = if seen {
            "Båda svaren finns i 1177 Inkorg."
        } else {
            "Alla svar kom INTE fram till 1177 Inkorg."
        };
        writeln!(out, "\n{verdict}")?;
        writeln!(
            out,
            "Lagret är inte krypterat: det här är en demonstration med påhittade ärenden."
        )?;
        Ok(seen)
    }

    /// Where to look, while it stays up.
    ///
    /// # Errors
    /// When the output cannot be written.
    pub fn tell_addresses(&self, out: &mut dyn Write) -> Result<(), DemoError> {
        let door = |control: Option<SocketAddr>| {
            control.map(|address| address.to_string()).unwrap_or_default()
        };
        writeln!(out, "\nAllt är igång. Avsluta med Ctrl-C.")?;
        writeln!(out, "  klagomal, RIV TA    https://localhost:{}/vp", self.gateway.https.port())?;
        if let Some(staff) = self.gateway.staff {
            writeln!(out, "  klagomal, personal  https://localhost:{}/", staff.port())?;
            writeln!(
                out,
                "                      med ett kort ur {}, till exempel person-anna.crt och .key",
                self.folder.join("certs").display()
            )?;
        }
        writeln!(out, "  klagomal, drift     http://{}/status", self.gateway.admin)?;
        writeln!(out, "  1177 Inkorg         http://{}/messages", door(self.inkorg.control()))?;
        writeln!(out, "  regionens system    http://{}/received", door(self.region.control()))?;
        writeln!(out, "  filer               {}", self.folder.display())?;
        writeln!(
            out,
            "  ärendena            klagomal cases list --admin http://{}",
            self.gateway.admin
        )?;
        Ok(())
    }

    /// Stops everything, the gateway first.
    pub async fn stop(self) {
        self.gateway.stop().await;
        self.portal.stop().await;
        self.region.stop().await;
        self.inkorg.stop().await;
    }

    async fn send(
        &self,
        fixture: &'static str,
        to: &str,
        out: &mut dyn Write,
    ) -> Result<String, DemoError> {
        let outcome = self.portal.post(fixture, &[]).await?;
        let number = number_of(&outcome);
        let number = number.ok_or_else(|| DemoError::NotAccepted(outcome.summary()))?;
        writeln!(out, "  {}  {number}  till {to}", outcome.summary())?;
        Ok(number)
    }

    /// Answers in the built-in store, through the admin door as an operator does.
    async fn answer(&self, number: &str, out: &mut dyn Write) -> Result<(), DemoError> {
        let admin = format!("http://{}", self.gateway.admin);
        let step = json!({
            "by": "SE0000000000-ANNA", "name": "Anna Påhittad", "title": "verksamhetschef",
            "step": { "answer": {
                "explanation": "PÅHITTAT SVAR. Dina samtal bedömdes vart för sig och ingen såg att \
                                du ringde om samma besvär för tredje gången.",
                "measures": "Den som ringer igen om samma besvär får nu alltid en tid samma dag.",
                "problems": ["1", "1.1"], "area": "3",
            } },
        });
        client::call(&admin, &format!("/cases/{number}/steps"), Some(&step)).await?;
        writeln!(
            out,
            "Handläggaren på Testvårdcentralen svarar på {number}. Regionens system svarar \
                       självt."
        )?;
        Ok(())
    }

    async fn wait_for_replies(&self) -> Vec<InboxItem> {
        let look = async {
            loop {
                let found = replies(self.inkorg.messages());
                if found.len() == 2 {
                    return found;
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        match tokio::time::timeout(PATIENCE, look).await {
            Ok(found) => found,
            Err(_) => replies(self.inkorg.messages()),
        }
    }
}

fn replies(items: Vec<InboxItem>) -> Vec<InboxItem> {
    items.into_iter().filter(|item| item.heading.as_deref() == Some(REPLY)).collect()
}

fn number_of(outcome: &Outcome) -> Option<String> {
    outcome.answer().and_then(|answer| answer.registration_number.clone())
}

fn identity(certs: &Path, role: &str) -> tls::Settings {
    let file = |ending: &str| certs.join(format!("{role}.{ending}"));
    tls::Settings::new(&file("crt"), &file("key"), &[certs.join("ca.crt")])
}

fn own(suffix: &str) -> Result<HsaId, DemoError> {
    HsaId::parse(&format!("SE0000000000-{suffix}"))
        .map_err(|error| DemoError::Settings(Chain(&error).to_string()))
}

fn print(item: &InboxItem, out: &mut dyn Write) -> Result<(), DemoError> {
    let heading = item.heading.as_deref().unwrap_or_default();
    writeln!(out, "\n  ┌ {heading}  (från {})", item.unit_name)?;
    for line in item.text.lines() {
        writeln!(out, "  │ {line}")?;
    }
    Ok(())
}
