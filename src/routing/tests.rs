//! Facts about the routing folder, what is kept of it, and what it decided.

mod counted;

use std::fs;
use std::os::unix::fs::symlink;

use super::*;
use crate::limits;

const NOW: &str = "2026-05-01T12:00:00Z";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

fn later(seconds: i64) -> Timestamp {
    now() + jiff::SignedDuration::from_secs(seconds)
}

/// The example routing in a folder of its own, and a store beside it.
struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let this = Self { dir: tempfile::tempdir().unwrap() };
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("tak-config");
        for folder in ["", "code-lists"] {
            fs::create_dir_all(this.folder().join(folder)).unwrap();
            for entry in fs::read_dir(example.join(folder)).unwrap() {
                let path = entry.unwrap().path();
                if path.is_file() {
                    let to = this.folder().join(folder).join(path.file_name().unwrap());
                    fs::copy(path, to).unwrap();
                }
            }
        }
        this
    }

    fn folder(&self) -> PathBuf {
        self.dir.path().join("tak-config")
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder().join(name)
    }

    /// Changes the text of a file so that it still loads.
    fn edit(&self, name: &str, line: &str) {
        let text = fs::read_to_string(self.file(name)).unwrap();
        fs::write(self.file(name), format!("{text}{line}\n")).unwrap();
    }

    fn generations(&self) -> Generations {
        Generations::open(&self.dir.path().join("store")).unwrap()
    }

    fn running(&self) -> Current {
        let (current, _, content) = Current::open(&self.folder(), now()).unwrap();
        current.keep_in(self.generations(), &content, now()).unwrap();
        current
    }

    /// Every file that the gateway reads, with its bytes.
    fn bytes(&self) -> Content {
        Content::read(&self.folder()).unwrap()
    }
}

fn name(current: &Current) -> String {
    current.get().table.generation().full().to_owned()
}

/// Reloads and expects that the old one goes on, for one reason.
#[track_caller]
fn refused(current: &Current) -> String {
    let before = name(current);
    assert!(current.reload(later(5)).is_err());
    assert_eq!(name(current), before);
    assert_eq!(current.since(), now());
    let refused = current.refused().unwrap();
    assert_eq!((refused.at, refused.findings.len()), (later(5), 1), "{refused:?}");
    refused.findings[0].clone()
}

#[test]
fn a_link_out_of_the_folder_is_a_fault_and_one_inside_is_followed() {
    let place = Place::new();
    let outside = place.dir.path().join("outside.toml");
    fs::write(&outside, "").unwrap();
    let current = place.running();
    symlink(&outside, place.file("more.toml")).unwrap();
    let said = refused(&current);
    assert!(said.starts_with("more.toml:1:1: the link leads out of the folder, to "), "{said}");
    fs::remove_file(place.file("more.toml")).unwrap();
    // As configuration is mounted: every file a link into a hidden folder.
    fs::create_dir(place.file("..data")).unwrap();
    fs::rename(place.file("units.toml"), place.file("..data/units.toml")).unwrap();
    symlink("..data/units.toml", place.file("units.toml")).unwrap();
    assert!(!current.reload(later(9)).unwrap());
}

#[test]
fn a_link_to_nothing_a_folder_and_a_pipe_are_faults() {
    let place = Place::new();
    let odd = place.file("odd.toml");
    symlink("gone.toml", &odd).unwrap();
    let first = Current::open(&place.folder(), now()).unwrap_err().to_string();
    assert!(first.starts_with("odd.toml:1:1: the link leads to gone.toml, which"), "{first}");
    fs::remove_file(&odd).unwrap();
    let current = place.running();
    fs::create_dir(&odd).unwrap();
    assert_eq!(refused(&current), "odd.toml:1:1: it is not a file");
    fs::remove_dir(&odd).unwrap();
    let made = std::process::Command::new("mkfifo").arg(&odd).status().unwrap();
    assert!(made.success());
    assert_eq!(refused(&current), "odd.toml:1:1: it is not a file");
}

#[test]
fn bytes_that_are_no_text_are_a_fault_at_their_place() {
    let place = Place::new();
    let path = place.file("units.toml");
    let good = fs::read(&path).unwrap();
    let current = place.running();
    fs::write(&path, [&b"# a\n# \xc3\xa5 V\xe5rd\n"[..], &good].concat()).unwrap();
    assert_eq!(refused(&current), "units.toml:2:6: byte 0xe5 is not text in UTF-8");
    fs::write(&path, &good[..good.len() / 2]).unwrap();
    assert!(current.reload(later(5)).is_err(), "half a file");
    fs::write(&path, &good).unwrap();
    assert!(!current.reload(later(9)).unwrap());
    assert_eq!(current.refused(), None);
}

#[test]
fn a_folder_that_is_away_is_a_fault_and_the_old_one_goes_on() {
    let place = Place::new();
    let aside = place.dir.path().join("aside");
    let folder = place.folder();
    let current = place.running();
    fs::rename(&folder, &aside).unwrap();
    let said = refused(&current);
    assert!(said.contains("cannot be read: No such file or directory"), "{said}");
    fs::rename(&aside, &folder).unwrap();
    assert!(!current.reload(later(9)).unwrap());
    assert_eq!(current.refused(), None);
}

#[test]
fn a_fault_in_a_row_is_told_until_it_is_mended() {
    let place = Place::new();
    let text = fs::read_to_string(place.file("routes.toml")).unwrap();
    let current = place.running();
    let route = "[[route]]\ncontract = \"urn:x:1\"\nlogical_address = \"*\"\nsystem = \"regoin\"";
    place.edit("routes.toml", route);
    let said = refused(&current);
    assert!(said.starts_with("routes.toml:29:10: [[route]] names system \"regoin\""), "{said}");
    // The same again is the same change; another fault is another.
    assert!(current.reload(later(6)).is_err());
    assert_eq!(current.refused().unwrap().at, later(5));
    place.edit("routes.toml", "[");
    assert!(current.reload(later(7)).is_err());
    assert_eq!(current.refused().unwrap().at, later(7));
    fs::write(place.file("routes.toml"), &text).unwrap();
    assert!(!current.reload(later(8)).unwrap());
    assert_eq!(current.refused(), None);
    assert_eq!(current.changes(), Changes { taken: 0, refused: 2 });
    place.edit("routes.toml", "# another");
    assert!(current.reload(later(9)).unwrap());
    assert_eq!(current.changes(), Changes { taken: 1, refused: 2 });
}

#[test]
fn what_comes_into_force_is_kept_with_code_lists_and_come_back_to() {
    let place = Place::new();
    let current = place.running();
    let (first, first_bytes) = (name(&current), place.bytes());
    place.edit("code-lists/kon-1.0.toml", "# another");
    fs::write(place.file("more.toml"), "# more\n").unwrap();
    fs::write(place.file("notes.txt"), "not ours").unwrap();
    assert!(current.reload(later(1)).unwrap());
    let (second, second_bytes) = (name(&current), place.bytes());
    assert_ne!(first, second);
    assert_eq!(current.since(), later(1));
    let generations = place.generations();
    let kept: Vec<_> = generations.list().unwrap().into_iter().map(|it| it.generation).collect();
    assert_eq!(kept, [second.clone(), first.clone()]);
    assert_eq!(generations.content(&first).unwrap(), first_bytes);

    // What is in the folder and was never in force is kept too, even if it does not load.
    fs::write(place.file("broken.toml"), b"\xff = [").unwrap();
    let third = place.bytes();
    let (to, taken) = current.roll_back(first.get(..6).unwrap(), later(2)).unwrap();
    assert_eq!((to, taken.unwrap()), (first.clone(), true));
    assert_eq!((place.bytes(), name(&current)), (first_bytes, first.clone()));
    assert!(place.file("notes.txt").exists() && !place.file("more.toml").exists());
    let aside = generations.find(third.generation().full()).unwrap();
    assert_eq!((aside.taken, aside.set_aside), (Vec::new(), Some(later(2))));
    assert_eq!(generations.content(third.generation().full()).unwrap(), third);

    // And there and back again.
    let (to, taken) = current.roll_back(&second, later(3)).unwrap();
    assert_eq!((to, taken.unwrap()), (second.clone(), true));
    assert_eq!(place.bytes(), second_bytes);
    assert_eq!(generations.find(&second).unwrap().taken, [later(1), later(3)]);
}

#[test]
fn a_table_that_a_call_lets_go_of_last_is_not_freed_by_the_call() {
    let place = Place::new();
    let current = place.running();
    let held = current.get();
    let old = Arc::downgrade(&held);
    fs::write(place.file("more.toml"), "# another\n").unwrap();
    assert!(current.reload(later(1)).unwrap());
    drop(held);
    assert!(old.upgrade().is_some(), "freed where the call ended");
    current.free_retired();
    assert!(old.upgrade().is_none(), "never freed");
    // One that nobody holds goes with the reload.
    let old = Arc::downgrade(&current.get());
    fs::write(place.file("more.toml"), "# a third\n").unwrap();
    assert!(current.reload(later(2)).unwrap());
    assert!(old.upgrade().is_none());
}

#[test]
fn nothing_is_rolled_back_to_what_is_not_there_not_one_or_not_good() {
    let place = Place::new();
    let current = place.running();
    let before = place.bytes();
    let why = |prefix: &str| current.roll_back(prefix, later(1)).unwrap_err();
    for prefix in ["", "zz", "../../etc"] {
        assert!(matches!(why(prefix), RollBackError::Kept(GenerationError::NoSuch(_))));
    }
    let generations = place.generations();
    let bad = Content::new([("a.toml".to_owned(), b"x = [".to_vec())].into());
    generations.keep(&bad, &place.folder(), now(), Because::SetAside).unwrap();
    assert!(matches!(why(bad.generation().full()), RollBackError::Faulty { .. }));
    // What a disk has changed is not put back.
    let file = place.dir.path().join("store/generations").join(name(&current)).join("files");
    fs::write(file.join("units.toml"), "").unwrap();
    assert!(matches!(why(&name(&current)), RollBackError::Kept(GenerationError::Damaged(_))));
    assert_eq!(place.bytes(), before);
}

#[test]
fn a_restart_with_the_same_is_no_change_and_removes_what_a_crash_left() {
    let place = Place::new();
    place.running();
    let half = place.dir.path().join("store/generations/.new-abc/files");
    fs::create_dir_all(&half).unwrap();
    let (again, _, content) = Current::open(&place.folder(), later(60)).unwrap();
    again.keep_in(place.generations(), &content, later(60)).unwrap();
    assert_eq!(again.since(), now());
    assert!(!half.exists());
    assert_eq!(place.generations().list().unwrap()[0].taken, [now()]);
}

#[test]
fn the_oldest_go_but_not_the_running_one_nor_what_open_cases_name() {
    let place = Place::new();
    let current = place.running();
    let generations = place.generations();
    let extra = 5;
    let mut names = Vec::new();
    for at in 0..limits::GENERATIONS_MAX + extra {
        let files = [("a.toml".to_owned(), format!("# {at}").into_bytes())];
        let content = Content::new(files.into());
        let time = later(1 + i64::try_from(at).unwrap());
        generations.keep(&content, &place.folder(), time, Because::Taken).unwrap();
        names.push(content.generation().full().to_owned());
    }
    assert_eq!(current.prune(|| None).unwrap(), 0, "unknown what cases name");
    let named = || Some([names[1].get(..12).unwrap().to_owned()].into());
    // Oldest of all is the running one, then the five, of which one is named.
    assert_eq!(current.prune(named).unwrap(), extra - 1);
    let left: Vec<_> = generations.list().unwrap().into_iter().map(|it| it.generation).collect();
    assert_eq!(left.len(), limits::GENERATIONS_MAX + 2);
    assert!(left.contains(&name(&current)) && left.contains(&names[1]));
    assert!(!left.contains(&names[0]) && left.contains(&names[extra]));
}

#[test]
fn a_file_that_is_being_written_is_waited_for() {
    let place = Place::new();
    let whole = fs::read(place.file("units.toml")).unwrap();
    let (path, bytes) = (place.file("units.toml"), whole.clone());
    let (tell, told) = std::sync::mpsc::channel::<()>();
    let writer = std::thread::spawn(move || {
        // A little longer each time, for about half a second.
        for step in 1..=25 {
            fs::write(&path, &bytes[..bytes.len() * step / 50]).unwrap();
            if step == 1 {
                tell.send(()).unwrap();
            }
            std::thread::park_timeout(std::time::Duration::from_millis(20));
        }
        fs::write(&path, &bytes).unwrap();
    });
    told.recv().unwrap();
    let mut read = Content::read(&place.folder());
    // Two readings between two writes may agree; then the next reload is the one that counts.
    while read.as_ref().is_ok_and(|it| it.files()["units.toml"] != whole) {
        read = Content::read(&place.folder());
    }
    writer.join().unwrap();
    assert_eq!(Content::read(&place.folder()).unwrap().files()["units.toml"], whole);
}

#[test]
fn certificates_that_run_out_soon_or_cannot_be_read_are_warned_of() {
    let place = Place::new();
    let certs = place.dir.path().join("certs");
    crate::pki::make(&certs, now()).unwrap();
    let systems = place.file("systems.toml");
    let text = fs::read_to_string(&systems).unwrap();
    let own = "rate = \"10/s\"\ncertificate = \"certs/expired.crt\"\nkey = \"certs/none.key\"\n\
               trust = \"certs/ca.crt\"\n";
    let at = text.rfind("rate = ").unwrap();
    fs::write(&systems, format!("{}{own}", text.get(..at).unwrap())).unwrap();
    let reading = read(&place.folder(), now()).unwrap();
    let table = reading.routing.unwrap().table;
    let found = certificates(&table, place.dir.path(), now());
    let said: Vec<_> = found.iter().map(|it| it.message.as_str()).collect();
    assert_eq!(said.len(), 2, "{said:#?}");
    assert!(said[0].contains("certs/expired.crt") && said[0].contains("ran out on "), "{said:#?}");
    assert!(said[1].contains("certs/none.key cannot be read: No such file"), "{said:#?}");
    assert!(found.iter().all(|it| it.file == "systems.toml" && it.line == 42), "{found:#?}");
}
