//! The operator's chapter of the README: every command in it, in its order, as written.

use std::fs;
use std::path::Path;
use std::process::Command;

use jiff::ToSpan as _;

use crate::routing_walk::console;
use crate::support::{VC1, World, case_id, certs, complaint, copy_folder, program};

/// What a run of the chapter stands on.
struct Walk {
    world: World,
    /// The head that the last backup told.
    head: String,
}

/// The commands of the chapter.
fn commands() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    // The tests also run where there is no README.
    let Ok(readme) = fs::read_to_string(root.join("README.md")) else { return Vec::new() };
    let chapter = readme.split_once("\n## For operators\n").expect("an operator's chapter").1;
    let steps = console(chapter.split("\n## ").next().unwrap());
    steps.into_iter().map(|it| it.command).collect()
}

impl Walk {
    fn begin() -> Self {
        let mut world = World::plan().write();
        copy_folder(certs(), &world.dir.join("certs"));
        world.start();
        for of in 1..=2 {
            let id = format!("5c1c3a52-61f2-4a44-8f07-00000000000{of}");
            let message = complaint(VC1, &id, &case_id(&format!("op-{of}")), "Ett.", &[]);
            let answer = World::caller("1177").post(world.https, message.as_bytes()).unwrap();
            assert_eq!(answer.outcome(), "OK");
        }
        Self { world, head: String::new() }
    }

    /// With the folders of this world, the head that was noted, and a day that is still to come.
    fn placed(&self, line: &str) -> String {
        let here = self.world.dir.display().to_string();
        let later = jiff::Zoned::now().date().checked_add(18.days()).unwrap().to_string();
        let line = match line.split_once("--expect ") {
            Some((before, _)) => format!("{before}--expect {}", self.head),
            None => line.to_owned(),
        };
        line.replace("/etc/klagomal/master.key", &format!("{here}/first.key"))
            .replace("/etc/klagomal", &here)
            .replace("/backup/", &format!("{here}/backup/"))
            .replace("/srv/klagomal/", &format!("{here}/srv/"))
            .replace("2026-12-18", &later)
    }

    fn run(&mut self, line: &str) {
        if line.starts_with("klagomal serve") {
            // The world runs these very words.
            if line.ends_with(" --take-over") {
                let old = self.world.take_over().expect("it takes over");
                assert!(old.ended(std::time::Duration::from_secs(30)).success());
            }
            return;
        }
        self.prepare(line);
        let good = !line.ends_with("/backup/bad");
        let asks = ["klagomal cases", "klagomal outbox", "klagomal backup /"];
        let admin = match asks.iter().any(|it| line.starts_with(it)) {
            true => format!(" --admin http://{}", self.world.admin),
            false => String::new(),
        };
        let pass = if line.starts_with("openssl") { " -passout pass:" } else { "" };
        let path = program().parent().unwrap().display().to_string();
        let done = Command::new("sh")
            .args(["-c", &format!("{}{admin}{pass}", self.placed(line))])
            .env("PATH", format!("{path}:{}", std::env::var("PATH").unwrap()))
            .current_dir(&self.world.dir)
            .output()
            .unwrap();
        let text = String::from_utf8(done.stdout).unwrap() + &String::from_utf8_lossy(&done.stderr);
        assert_eq!(done.status.success(), good, "{line}: {text}");
        if let Some(head) = text.lines().find_map(|it| it.trim().strip_prefix("head ")) {
            head.clone_into(&mut self.head);
        }
        self.after(line);
    }

    /// What the text says is so before a command.
    fn prepare(&mut self, line: &str) {
        let dir = &self.world.dir;
        for folder in ["backup", "srv"] {
            fs::create_dir_all(dir.join(folder)).unwrap();
        }
        if line.starts_with("klagomal keys rotate") {
            self.world.stop();
        } else if line.ends_with("/backup/bad") {
            copy_folder(&dir.join("backup/tuesday"), &dir.join("backup/bad"));
            let segment = dir.join("backup/bad/journal/00000000000000000001.klj");
            let mut bytes = fs::read(&segment).unwrap();
            bytes[300] ^= 1;
            fs::write(segment, bytes).unwrap();
        }
    }

    /// What the text says is to be done next.
    fn after(&mut self, line: &str) {
        let settings = self.world.dir.join("klagomal.toml");
        if line.starts_with("klagomal keys rotate") {
            let text = fs::read_to_string(&settings).unwrap();
            let set = |file: &str| format!("master_key_file = \"{file}\"");
            fs::write(&settings, text.replace(&set("master.key"), &set("master-2.key"))).unwrap();
            self.world.start();
        } else if line.starts_with("klagomal restore") {
            self.world.stop();
            let before = self.world.store().display().to_string();
            let restored = self.world.dir.join("srv/store").display().to_string();
            let text = fs::read_to_string(&settings).unwrap();
            fs::write(&settings, text.replace(&before, &restored)).unwrap();
            self.world.start();
            assert_eq!(self.world.json("/cases").as_array().unwrap().len(), 2);
        }
    }
}

#[test]
fn every_command_of_the_chapter_does_what_it_says() {
    let mut walk = Walk::begin();
    let (mut here, mut there) = (0, 0);
    for line in commands() {
        // A region that loses its answers has a test of its own, with the same words.
        let of_another_test = line.starts_with("klagomal outbox");
        if of_another_test {
            let words = line.strip_prefix("klagomal ").unwrap().trim_end_matches(" --yes");
            let there_too = include_str!("outbox.rs").contains(&format!("\"{words}"));
            assert!(there_too, "nothing runs {line}");
            there += 1;
        } else {
            walk.run(&line);
            here += 1;
        }
    }
    let without_readme = (here, there) == (0, 0);
    assert!(without_readme || (here >= 20 && there >= 8), "{here} here, {there} there");
}
