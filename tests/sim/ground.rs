//! What the runs of one thread share: folders for routing and keys, and an empty one of attachments.

use std::fs;
use std::path::{Path, PathBuf};

use klagomal::store::blobs::Blobs;
use tempfile::TempDir;

/// The folders of one thread.
#[derive(Debug)]
pub struct Ground {
    dir: TempDir,
    pub blobs: Blobs,
}

impl Ground {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let blobs = Blobs::keeping_free(&dir.path().join("attachments"), 0).unwrap();
        let lists = dir.path().join("routing/code-lists");
        fs::create_dir_all(&lists).unwrap();
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tak-config/code-lists");
        for file in fs::read_dir(from).unwrap() {
            let file = file.unwrap();
            fs::copy(file.path(), lists.join(file.file_name())).unwrap();
        }
        Self { dir, blobs }
    }

    /// A folder for the keys of one run.
    pub fn keys(&self) -> PathBuf {
        let folder = self.dir.path().join("keys");
        if folder.exists() {
            fs::remove_dir_all(&folder).unwrap();
        }
        folder
    }

    pub fn routing(&self) -> PathBuf {
        self.dir.path().join("routing")
    }
}

/// A routing configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The system that handles the unit; `None` for the built-in store.
    pub vc1: Option<&'static str>,
    pub vc2: Option<&'static str>,
    /// The receiver that VC3's cases are addressed to.
    pub vc3_receiver: &'static str,
    pub port: u16,
    pub region_b: bool,
    pub vc4: bool,
    pub bad: bool,
    /// A bug: what is not known to have come is sent again.
    pub inbox_resends: bool,
}

impl Config {
    pub const fn first() -> Self {
        Self {
            vc1: None,
            vc2: Some("region-a"),
            vc3_receiver: "SE0000000000-KLAGOMAL",
            port: 9443,
            region_b: true,
            vc4: true,
            bad: false,
            inbox_resends: false,
        }
    }

    /// The system that takes the cases of a unit, and the receiver they are addressed to there.
    /// `None` where the unit takes none; `Some(None)` for the built-in store.
    pub fn goes(&self, unit: &str) -> Option<Option<(&'static str, String)>> {
        let system = |id: Option<&'static str>| {
            Some(id.map(|id| (id, unit.to_owned())))
                .filter(|to| to.as_ref().is_none_or(|(id, _)| *id != "region-b" || self.region_b))
        };
        match unit {
            "SE0000000000-PAN99" => Some(None),
            "SE0000000000-VC1" => system(self.vc1),
            "SE0000000000-VC2" => system(self.vc2),
            "SE0000000000-VC3" => Some(Some(("region-a", self.vc3_receiver.to_owned()))),
            _ if self.vc4 && self.region_b => system(Some("region-b")),
            _ => None,
        }
    }

    /// Writes it into the folder.
    pub fn write(&self, folder: &Path) {
        fs::write(folder.join("all.toml"), self.text()).unwrap();
    }

    fn text(&self) -> String {
        let mut text = String::from(
            "[platform]\nhsa_id = \"SE0000000000-GATEWAY\"\ninstance = \"sim\"\n\
             inkorg = \"inkorg\"\nportal = \"SE0000000000-1177\"\nonward = \"plattform\"\n\
             [[county]]\ncode = \"99\"\nname = \"Testlän\"\n\
             patient_advisory_committee = \"SE0000000000-PAN99\"\n\
             [[system]]\nhsa_id = \"SE0000000000-1177\"\nname = \"1177\"\n\
             [[system]]\nhsa_id = \"SE0000000000-STRANGER\"\nname = \"Främling\"\n",
        );
        let resends = if self.inbox_resends { "when_unknown = \"resend\"\n" } else { "" };
        let mut system = |id: &str, hsa: &str, more: &str| {
            text.push_str(&format!(
                "[[system]]\nid = \"{id}\"\nhsa_id = \"SE0000000000-{hsa}\"\nname = \"{id}\"\n\
                 url = \"https://localhost:{}/{id}\"\ndelivery = \"queued\"\ntimeout = \"29s\"\n\
                 retry = [\"4s\", \"20s\", \"2min\", \"10min\"]\n{more}",
                self.port
            ));
        };
        system("inkorg", "INKORG", &format!("rate = \"10/s\"\n{resends}"));
        system("plattform", "PLATTFORM", "");
        system("region-a", "REGION", "rate = \"10/s\"\n");
        if self.region_b {
            system("region-b", "REGIONB", "");
        }
        let mut unit = |id: &str, more: &str, handled: Option<&str>, receiver: &str| {
            let method = match handled {
                None => "method = \"store\"\n".to_owned(),
                Some(system) => format!("method = \"system\"\nsystem = \"{system}\"\n{receiver}"),
            };
            text.push_str(&format!(
                "[[unit]]\nhsa_id = \"SE0000000000-{id}\"\nname = \"Testenheten {id}\"\n\
                 county = \"99\"\nmailbox = \"x@example.se\"\n{more}[[unit.handling]]\n{method}"
            ));
        };
        let provider = "care_provider = \"SE0000000000-VG1\"\noperational_area = \"1\"\n";
        let known = |id: Option<&'static str>| id.filter(|id| *id != "region-b" || self.region_b);
        unit("PAN99", "", None, "");
        unit("VC1", provider, known(self.vc1), "");
        if self.vc2.is_none() || known(self.vc2).is_some() {
            unit("VC2", provider, self.vc2, "");
        }
        unit("VC3", provider, Some("region-a"), &format!("receiver = \"{}\"\n", self.vc3_receiver));
        if self.vc4 && self.region_b {
            unit("VC4", provider, Some("region-b"), "");
        }
        let complaint = "urn:klagomal:supportprocess:patientsafety:complaint";
        let mut permit = |who: &str, contract: &str, address: &str| {
            text.push_str(&format!(
                "[[permission]]\nconsumer = \"SE0000000000-{who}\"\n\
                 contract = \"{complaint}:{contract}Responder:1\"\nlogical_address = \"{address}\"\n"
            ));
        };
        permit("1177", "ProcessComplaint", "*");
        permit("REGION", "ProcessComplaintHandling", "SE0000000000-1177");
        if self.region_b {
            permit("REGIONB", "ProcessComplaintHandling", "SE0000000000-1177");
        }
        if self.bad {
            text.push_str("[[route]]\nthis = \"is no route\"\n");
        }
        text
    }
}
