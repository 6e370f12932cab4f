//! A store that an earlier version wrote: read, gone on with, and checked together with what is new.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::{Random, VC1, World, case_id, complaint, copy_folder, program, temp};

/// Journal and attachments of a demonstration, as the program wrote them when records had form 1.
const FORM_1: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/store-1");

/// Its two cases: one handled in the built-in store, one in a region's own system.
const NUMBERS: [&str; 2] = ["DNM-VMF-Y", "NA9-R9V-W"];

fn audit(store: &Path) -> (bool, String) {
    let done = Command::new(program()).args(["audit", "verify"]).arg(store).output().unwrap();
    let text = String::from_utf8(done.stdout).unwrap() + &String::from_utf8_lossy(&done.stderr);
    (done.status.success(), text)
}

fn listed(world: &World) -> Vec<String> {
    let cases = world.json("/cases");
    let rows = cases.as_array().unwrap().iter();
    rows.map(|row| row["number"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_store_of_form_1_is_read_and_gone_on_with() {
    let store = temp("form-1").join("store");
    copy_folder(Path::new(FORM_1), &store);
    let mut world = World::plan().store(store.clone()).start();
    for number in NUMBERS {
        let (done, case) = world.command(&["cases", "show", number]);
        assert!(done && case.contains("closed") && case.contains("PÅHITTAT"), "{case}");
    }
    let message = complaint(VC1, &Random::new(1).uuid(), &case_id("ny"), "Ny.", &[]);
    let mut connection = World::caller("1177").connect(world.https).unwrap();
    let answer = connection.post(message.as_bytes()).unwrap();
    assert_eq!(answer.outcome(), "OK");
    let number = answer.value("registrationNumber").unwrap();
    assert!(!NUMBERS.contains(&number.as_str()), "{number}");
    drop(connection);
    let (end, _) = world.stop();
    assert!(end.success(), "{end}");
    // Both forms stand in one chain.
    let (whole, report) = audit(&store);
    assert!(whole && report.contains(": whole"), "{report}");
    // Without views everything is read anew.
    fs::remove_dir_all(store.join("views")).unwrap();
    world.start();
    assert_eq!(listed(&world), [NUMBERS[0], NUMBERS[1], &number]);
}
