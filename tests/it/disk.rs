//! A disk that is full: nothing is accepted, nothing is lost, and it goes on when there is room.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::{File, Random, VC1, World, case_id, complaint, not_run, temp};

/// How often the disk is filled.
const RUNS: usize = 20;

/// A small file system of its own; gone with the value.
struct Small {
    dir: PathBuf,
}

impl Small {
    fn mount(megabytes: u32) -> Result<Self, String> {
        let dir = temp("small-disk");
        let done = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={megabytes}m,mode=0700"), "klagomal-test"])
            .arg(&dir)
            .output()
            .map_err(|error| format!("mount: {error}"))?;
        if !done.status.success() {
            return Err(String::from_utf8_lossy(&done.stderr).trim().to_owned());
        }
        Ok(Self { dir })
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let done = Command::new("umount").arg("--lazy").arg(&self.dir).status();
        assert!(done.is_ok_and(|it| it.success()), "{} stays mounted", self.dir.display());
    }
}

/// Takes all but `left` bytes.
fn fill(dir: &Path, left: u64) -> PathBuf {
    let path = dir.join("filler");
    let free = {
        let done = Command::new("df").args(["--output=avail", "-B1"]).arg(dir).output().unwrap();
        let text = String::from_utf8(done.stdout).unwrap();
        text.lines().nth(1).unwrap().trim().parse::<u64>().unwrap()
    };
    let bytes = usize::try_from(free.saturating_sub(left)).unwrap();
    match fs::write(&path, vec![1; bytes]) {
        Err(error) if error.kind() == std::io::ErrorKind::StorageFull => {}
        written => written.unwrap(),
    }
    path
}

fn wait_ready(world: &World, status: u16) -> String {
    let start = Instant::now();
    loop {
        let (found, text) = world.admin("/readyz");
        if found == status {
            return text;
        }
        assert!(start.elapsed() < Duration::from_secs(20), "readyz: {found} {text}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_full_disk_refuses_everything_loses_nothing_and_heals_without_a_restart() {
    let disk = match Small::mount(96) {
        Ok(disk) => disk,
        Err(why) => {
            return not_run(&format!(
                "a full disk: a tmpfs cannot be mounted here ({why}); it takes root (or a \
                 container with CAP_SYS_ADMIN)"
            ));
        }
    };
    // Under the least free space, and with that guard off, so that the writes themselves fail: each
    // time somewhere else.
    let mut random = Random::new(crate::campaign::number("KLAGOMAL_SEED", 20));
    let mut left = || usize::try_from(random.below(300_000)).unwrap();
    let mut runs = vec![(4_194_304, 2_000_000), (0, 0), (0, 30_000)];
    runs.extend((runs.len()..RUNS).map(|_| (0, left())));
    for (min_free, left) in runs {
        let store = disk.dir.join(format!("store-{min_free}-{left}"));
        let set = format!("min_free_bytes = {min_free}");
        let mut world = World::plan().store(store.clone()).set("store", &set).start();
        let portal = World::caller("1177");
        let message = |of: usize, files: &[File]| {
            let id = format!("0f1c3a52-61f2-4a44-8f07-{:012}", of + left);
            complaint(VC1, &id, &case_id(&format!("disk-{left}-{of}")), "Plats?", files)
        };
        let send = |of: usize, files: &[File]| {
            let answer = portal.post(world.https, message(of, files).as_bytes()).unwrap();
            (answer.outcome(), answer.value("registrationNumber"))
        };
        let mut accepted: Vec<_> = (0..3).map(|of| (of, send(of, &[]))).collect();
        assert!(accepted.iter().all(|(_, (outcome, _))| outcome == "OK"), "{accepted:?}");

        let filler = fill(&disk.dir, u64::try_from(left).unwrap());
        let pdf = [File::pdf("stor.pdf", 3_000_000, 5)];
        let mut refused = 0;
        // Where a little is left some fit; then no more.
        for of in 3..40 {
            let (outcome, number) = send(of, if of % 2 == 0 { &pdf } else { &[] });
            if outcome == "OK" {
                accepted.push((of, (outcome, number)));
                continue;
            }
            assert!(outcome.starts_with("FAULT SOAP-ENV:Server VP012"), "{outcome}");
            refused += 1;
        }
        assert!(refused >= 10, "{refused} refused, {} accepted", accepted.len());
        // Without the guard it is only known when a write has failed, and the journal has room of its
        // own for small messages.
        if min_free > 0 {
            let why = wait_ready(&world, 503);
            assert!(why.contains("store"), "{why}");
            let ping = crate::fixtures::folder().join("PingForConfiguration/ping.request.xml");
            let ping = portal.post(world.https, &fs::read(ping).unwrap()).unwrap().outcome();
            assert!(ping.starts_with("FAULT SOAP-ENV:Server VP012"), "{ping}");
        }

        fs::remove_file(filler).unwrap();
        wait_ready(&world, 200);
        // That the views could not be written may show only now; then they are made again.
        let start = Instant::now();
        let (outcome, number) = loop {
            let (outcome, number) = send(60, &pdf);
            if outcome == "OK" {
                break (outcome, number);
            }
            assert!(outcome.starts_with("FAULT SOAP-ENV:Server VP012"), "{outcome}");
            assert!(start.elapsed() < Duration::from_secs(20), "there is room again: {outcome}");
            std::thread::sleep(Duration::from_millis(50));
        };
        accepted.push((60, (outcome, number)));
        // The views may have to be made again first, which is said meanwhile.
        let start = Instant::now();
        while world.admin("/cases?limit=1").0 != 200 {
            assert!(start.elapsed() < Duration::from_secs(20), "{:?}", world.admin("/cases"));
            std::thread::sleep(Duration::from_millis(50));
        }
        let number_of = |world: &World| world.json("/cases?limit=1000").as_array().unwrap().len();
        assert_eq!(number_of(&world), accepted.len(), "what was refused is not there");
        world.kill();
        world.start();
        assert_eq!(number_of(&world), accepted.len());
        for (of, (_, number)) in &accepted {
            let files = if of % 2 == 0 && *of >= 3 { &pdf[..] } else { &[] };
            let answer = portal.post(world.https, message(*of, files).as_bytes()).unwrap();
            assert_eq!(answer.outcome(), "INFO ALREADY_RECEIVED");
            assert_eq!(answer.value("registrationNumber"), *number);
        }
        drop(world);
        fs::remove_dir_all(store).unwrap();
    }
}
