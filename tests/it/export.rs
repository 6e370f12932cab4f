//! A case taken out whole: what a person reads, what a machine reads, and every file.

use std::collections::BTreeMap;
use std::io::{Cursor, Read as _};
use std::path::Path;
use std::process::Command;

use sha2::{Digest as _, Sha256};

use crate::staff::{Browser, start, taken};
use crate::staff_files::{answered_with, files_on_disk};
use crate::support::{File, VC1, World, case_id, complaint, not_run};

type Archive = BTreeMap<String, Vec<u8>>;

fn unpacked(bytes: &[u8]) -> Archive {
    let mut zip = zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
    let names: Vec<String> = zip.file_names().map(|it| it.unwrap().into_owned()).collect();
    let content = |name: &String| {
        let mut content = Vec::new();
        zip.by_name(name).unwrap().read_to_end(&mut content).unwrap();
        content
    };
    let contents: Vec<Vec<u8>> = names.iter().map(content).collect();
    names.into_iter().zip(contents).collect()
}

fn written<'p>(at: &'p Path, content: &[u8]) -> &'p Path {
    std::fs::write(at, content).unwrap();
    at
}

/// What the PDF says, as a program reads it.
fn words(pdf: &[u8], at: &Path) -> Option<String> {
    let pdf = written(at, pdf);
    match Command::new("pdftotext").args(["-layout", "-enc", "UTF-8"]).arg(pdf).arg("-").output() {
        Ok(done) => {
            assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
            Some(String::from_utf8(done.stdout).unwrap())
        }
        Err(_) => {
            not_run("pdftotext: apt-get install --no-install-recommends poppler-utils");
            None
        }
    }
}

const LETTER: &[u8] = b"%PDF-1.7\nP\xC3\x85HITTAT BREV";

/// A case with a file from the complainant, answered with another; its number, and Anna.
fn answered(world: &World, scan: &File) -> (String, Browser) {
    let long = "PÅHITTAT ÄRENDE med ord som räcker till flera sidor. ".repeat(300);
    let text = format!("<b>Först</b> & främst 🙂\n\n{long}\nSist.");
    let id = "5f1c3a52-61f2-4a44-8f07-000000000051";
    let message = complaint(VC1, id, &case_id("export-51"), &text, std::slice::from_ref(scan));
    let answer = World::caller("1177").post(world.https, message.as_bytes()).unwrap();
    assert_eq!(answer.outcome(), "OK", "{}", answer.text());
    let number = answer.value("registrationNumber").unwrap();
    let mut anna = Browser::of(world, "anna");
    let form = taken(&mut anna, &number);
    let path = format!("/arende/{number}/svar");
    answered_with(&mut anna, &form, &path, LETTER);
    (number, anna)
}

/// What stands in an archive, and that each part of it is what it says.
fn is_whole(archive: &Archive, number: &str, scan: &File, dir: &Path) {
    let names: Vec<&str> = archive.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "arende.pdf",
            "arende.xml",
            "filer/01-_skannat åäö.pdf",
            "filer/02-brev.pdf",
            "innehall.sha256"
        ]
    );
    assert!(archive["filer/01-_skannat åäö.pdf"] == scan.content, "byte for byte");
    assert!(archive["filer/02-brev.pdf"] == LETTER, "byte for byte");
    let sums = String::from_utf8(archive["innehall.sha256"].clone()).unwrap();
    for (name, content) in archive.iter().filter(|(name, _)| *name != "innehall.sha256") {
        let sum: String = Sha256::digest(content).iter().map(|it| format!("{it:02x}")).collect();
        assert!(sums.contains(&format!("{sum}  {name}\n")), "{name} is not in {sums}");
    }
    let xml = String::from_utf8(archive["arende.xml"].clone()).unwrap();
    for said in [
        "&lt;b&gt;Först&lt;/b&gt; &amp; främst 🙂",
        "Provet blev liggande.",
        number,
        "199001012385",
    ] {
        assert!(xml.contains(said), "{said} is not in {xml}");
    }
    let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas/export-1.xsd");
    match Command::new("xmllint")
        .args(["--noout", "--nonet", "--schema"])
        .arg(&schema)
        .arg(written(&dir.join("arende.xml"), &archive["arende.xml"]))
        .output()
    {
        Ok(done) => {
            assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        }
        Err(_) => not_run("xmllint: apt-get install --no-install-recommends libxml2-utils"),
    }
    let pdf = &archive["arende.pdf"];
    let text = String::from_utf8_lossy(pdf);
    assert!(text.contains("pdfaid:part>2<") && text.contains("pdfaid:conformance>B<"), "PDF/A-2b");
    if let Some(read) = words(pdf, &dir.join("arende.pdf")) {
        for said in [
            "<b>Först</b> & främst ?",
            "Sist.",
            "Provet blev liggande.",
            "Testa Testsson",
            "sida 2 av",
        ] {
            assert!(read.contains(said), "{said} is not in {read}");
        }
    }
}

#[test]
fn a_case_is_taken_out_whole_for_the_registry() {
    let world = start(World::plan());
    let scan = File::pdf("../skannat åäö.pdf", 3000, 7);
    let (number, mut anna) = answered(&world, &scan);
    // On the page, by one who reads the case; others get it as little as the case.
    let page = anna.page(&format!("/arende/{number}"));
    assert!(page.contains("Spara som PDF") && page.contains("Ta ut för diarieföring"), "{page}");
    let got = anna.get(&format!("/arende/{number}/export"));
    assert_eq!((got.status, got.header("content-type")), (200, Some("application/zip")));
    let archive = unpacked(&got.body);
    is_whole(&archive, &number, &scan, &world.dir);
    let alone = anna.get(&format!("/arende/{number}/pdf"));
    assert_eq!((alone.status, alone.header("content-type")), (200, Some("application/pdf")));
    for who in ["bo", "p2", "p4"] {
        let status = Browser::of(&world, who).get(&format!("/arende/{number}/export")).status;
        assert!(matches!(status, 403 | 404), "{who}: {status}");
    }

    // On the command line, in somebody's name.
    let to = world.dir.join("ut.zip");
    let to = to.to_str().unwrap();
    let export = ["cases", "export", &number, "--by", "SE0000000000-ANNA", "--to", to];
    let (done, told) = world.command(&export);
    assert!(done, "{told}");
    let by_hand = unpacked(&std::fs::read(to).unwrap());
    assert_eq!(by_hand.keys().collect::<Vec<_>>(), archive.keys().collect::<Vec<_>>());
    let (again, told) = world.command(&export);
    assert!(!again && told.contains("name a new file"), "{told}");
    let log = Browser::of(&world, "p2").page(&format!("/arende/{number}/logg"));
    assert!(log.contains("tog ut ärendet för diarieföring"), "{log}");

    // A file that is damaged is not given out as if it were whole.
    let files = files_on_disk(&world);
    let mut sizes = files.iter().map(|it| std::fs::metadata(it).unwrap().len());
    let letter = sizes.position(|it| it < 200).unwrap();
    let mut bytes = std::fs::read(&files[letter]).unwrap();
    bytes[12] ^= 1;
    std::fs::write(&files[letter], bytes).unwrap();
    assert_eq!(anna.get(&format!("/arende/{number}/export")).status, 503);
    let to = world.dir.join("skadad.zip");
    let (done, told) = world.command(&[&export[..6], &[to.to_str().unwrap()]].concat());
    assert!(!done && told.contains("damaged") && !to.exists(), "{told}");
}
