//! Files that staff attach: what they really are, whose they are, and where they end up.

use std::path::{Path, PathBuf};
use std::time::Duration;

use klagomal::simulators::sample::pdf;

use crate::staff::{Browser, REPLY, hidden, send, start, taken};
use crate::support::{Peer, World, certs, inbox_answer};

const PNG: &[u8] = b"\x89PNG\r\n\x1a\nP\xC3\x85HITTAD BILD";

/// Every seal of a file in a page, as a browser would send it again.
fn seals(page: &str) -> Vec<String> {
    let kept = page.split("name=\"bilaga\"").skip(1).filter_map(|it| {
        let value = match it.split_once("value=\"") {
            Some((before, rest)) if !before.contains('>') => rest.split('"').next(),
            _ => it.split_once('>').and_then(|(_, rest)| rest.split("</textarea>").next()),
        };
        value.map(|it| it.trim_start_matches('\n').to_owned())
    });
    kept.collect()
}

/// Answers the case of `form` with a file, through the preview.
pub fn answered_with(browser: &mut Browser, form: &str, path: &str, letter: &[u8]) {
    let preview = browser.upload(form, path, REPLY, &[("brev.pdf", letter)]).text();
    let kept = seals(&preview);
    let seen = hidden(form, path, "sett").unwrap();
    let mut fields = REPLY.to_vec();
    fields.extend([("bilaga", kept[0].as_str()), ("gor", "skicka"), ("sett", &seen)]);
    assert_eq!(browser.post(&preview, path, &fields).status, 303, "{preview}");
}

/// The attachments of a world's store, sealed or not.
pub fn files_on_disk(world: &World) -> Vec<PathBuf> {
    fn below(dir: &Path) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
        let paths = entries.map(|it| it.path());
        paths.flat_map(|it| if it.is_dir() { below(&it) } else { vec![it] }).collect()
    }
    below(&world.dir.join("store/attachments"))
}

fn on_disk(world: &World) -> usize {
    files_on_disk(world).len()
}

#[test]
fn files_go_with_the_answer_through_preview_and_change_to_the_case_and_the_letter() {
    let inkorg = Peer::start(certs(), "inkorg", inbox_answer);
    let world = start(World::plan().inkorg(inkorg.address));
    let number = send(&world, 21, "Tjugoett.");
    let mut anna = Browser::of(&world, "anna");
    let form = taken(&mut anna, &number);
    let path = format!("/arende/{number}/svar");
    assert!(form.contains("enctype=\"multipart/form-data\""), "{form}");
    let letter = pdf(3_000_000, 1);
    let files: &[(&str, &[u8])] =
        &[("C:\\\\dok\\\\påhittat brev.pdf", &letter), ("bild.png", PNG), ("", b"")];
    let preview = anna.upload(&form, &path, REPLY, files);
    assert_eq!(preview.status, 200, "{}", preview.text());
    let preview = preview.text();
    assert!(preview.contains("2 filer: påhittat brev.pdf, bild.png"), "{preview}");
    let kept = seals(&preview);
    assert_eq!(kept.len(), 2, "{preview}");
    // Changed once more: the picture is left out, and the letter stays ticked.
    let mut fields = REPLY.to_vec();
    fields.extend(kept.iter().map(|it| ("bilaga", it.as_str())));
    fields.push(("gor", "andra"));
    let again = anna.post(&preview, &path, &fields).text();
    assert_eq!(seals(&again), kept, "{again}");
    assert_eq!(again.matches("\" checked><label for=\"bilaga-").count(), 2, "both are ticked");
    let seen = hidden(&again, &path, "sett").unwrap();
    let mut fields = REPLY.to_vec();
    fields.extend([("bilaga", kept[0].as_str()), ("gor", "skicka"), ("sett", &seen)]);
    let sent = anna.upload(&again, &path, &fields, &[]);
    assert_eq!(sent.status, 303, "{}", sent.text());
    let case = anna.page(&format!("/arende/{number}"));
    assert!(case.contains("påhittat brev.pdf") && !case.contains("bild.png"), "{case}");
    let link = case.split("href=\"").find(|it| it.contains("/fil/")).unwrap();
    let file = anna.get(link.split('"').next().unwrap());
    assert_eq!((file.status, file.header("content-type")), (200, Some("application/pdf")));
    assert!(file.body == letter, "byte for byte");
    inkorg.wait(Duration::from_secs(90), "the letter", |calls| {
        calls.iter().any(|it| it.says("en fil: påhittat brev.pdf"))
    });
}

#[test]
fn a_file_that_lies_about_its_kind_is_refused_and_nothing_else_is_lost() {
    let world = start(World::plan());
    let number = send(&world, 22, "Tjugotvå.");
    let mut anna = Browser::of(&world, "anna");
    let form = taken(&mut anna, &number);
    let path = format!("/arende/{number}/svar");
    let large = pdf(20 * 1024 * 1024 + 1, 2);
    let good = pdf(1000, 3);
    let many: Vec<(String, Vec<u8>)> =
        (0..11).map(|n| (format!("brev-{n}.pdf"), pdf(500, 100 + n))).collect();
    let many: Vec<(&str, &[u8])> = many.iter().map(|(a, b)| (a.as_str(), b.as_slice())).collect();
    let html: &[u8] = b"<html><script>alert(1)</script></html>";
    for (files, told) in [
        (vec![("brev.pdf", html)], "Filen brev.pdf är ingen PDF, JPEG, PNG eller GIF"),
        (vec![("bild.png", good.as_slice())], "Filen bild.png är en PDF, men heter inte så"),
        (vec![("brev", good.as_slice())], "Den ska sluta på .pdf"),
        (vec![("program.exe", b"MZ\x90\0".as_slice())], "Filen program.exe är ingen PDF"),
        (vec![("tom.pdf", b"".as_slice())], "Filen tom.pdf är tom."),
        (vec![("stor.pdf", large.as_slice())], "Filen stor.pdf är större än 20 MB."),
        (many, "Högst 10 filer får bifogas."),
    ] {
        let mut all = vec![("rätt.pdf", good.as_slice())];
        all.extend(files);
        let answer = anna.upload(&form, &path, REPLY, &all);
        let text = answer.text();
        assert_eq!(answer.status, 422, "{told}: {text}");
        assert!(text.contains(told), "{told} is not in {text}");
        assert!(text.contains("Provet blev liggande"), "the text is there: {text}");
        assert!(text.contains("rätt.pdf (1 kB)"), "the good file is there: {text}");
    }
    // What was refused is not kept: the good file of each sending, and nine of those that were one too
    // many with it.
    assert_eq!(on_disk(&world), 7 + 9);
    // However many bad ones there are, the answer has an end; and so have fields that say nothing.
    let bad: Vec<(&str, &[u8])> = vec![("brev.pdf", html); 400];
    let answer = anna.upload(&form, &path, REPLY, &bad).text();
    assert!(answer.contains("Högst 10 filer får bifogas."), "{answer}");
    assert_eq!(answer.matches("<li><a href=\"#fil\">").count(), 11, "{answer}");
    let nothing = vec![("", ""); 20_000];
    assert_eq!(anna.upload(&form, &path, &nothing, &[]).status, 413);
    // Markup in a name is text, and a path is none.
    let evil = "../../<img src=x onerror=alert(1)>.pdf";
    let text = anna.upload(&form, &path, REPLY, &[(evil, html)]).text();
    assert!(text.contains("Filen &lt;img src=x onerror=alert(1)&gt;.pdf"), "{text}");
    let log = world.log();
    for name in ["brev.pdf", "rätt.pdf", "stor.pdf", "onerror"] {
        assert!(!log.contains(name), "{name} is in the log");
    }
}

#[test]
fn a_file_is_taken_with_a_token_only_and_known_again_by_its_own_form_only() {
    let world = start(World::plan());
    let (one, two) = (send(&world, 23, "Ett."), send(&world, 24, "Två."));
    let mut anna = Browser::of(&world, "anna");
    taken(&mut anna, &one);
    taken(&mut anna, &two);
    let (path, other) = (format!("/arende/{one}/svar"), format!("/arende/{two}/svar"));
    let file = pdf(2000, 4);
    let files: &[(&str, &[u8])] = &[("brev.pdf", &file)];
    let refused = anna.upload("no token in it", &path, REPLY, files);
    assert_eq!(refused.status, 403, "{}", refused.text());
    assert_eq!(on_disk(&world), 0, "nothing comes to disk without a token");
    anna = Browser::of(&world, "anna");
    let note = format!("/arende/{one}/anteckna");
    let page = anna.page(&format!("/arende/{one}"));
    let elsewhere = anna.upload(&page, &note, &[("text", "hej")], files);
    assert_eq!(elsewhere.status, 415, "a note takes no files: {}", elsewhere.text());
    let first = anna.page(&path);
    let preview = anna.upload(&first, &path, REPLY, files).text();
    let seal = seals(&preview).remove(0);
    let second = anna.page(&other);
    let sha = seal.split(' ').nth(1).unwrap();
    let made_up = format!("{} {sha} 2000 application/pdf brev.pdf", "0".repeat(64));
    for (why, forged) in [("of another form", &seal), ("made up", &made_up)] {
        let mut fields = REPLY.to_vec();
        fields.extend([("bilaga", forged.as_str()), ("gor", "skicka")]);
        let answer = anna.post(&second, &other, &fields);
        assert_eq!(answer.status, 422, "a seal {why}");
        assert!(answer.text().contains("Välj den på nytt"), "{}", answer.text());
    }
    let mut bo = Browser::of(&world, "anna");
    let form = bo.page(&path);
    let mut fields = REPLY.to_vec();
    fields.extend([("bilaga", seal.as_str()), ("gor", "skicka")]);
    assert_eq!(bo.post(&form, &path, &fields).status, 422, "a seal of another session");
    // On its own form it is good, and gone from disk it is asked for again.
    assert_eq!(on_disk(&world), 1);
    files_on_disk(&world).iter().for_each(|it| std::fs::remove_file(it).unwrap());
    let gone = anna.post(&first, &path, &fields);
    assert_eq!(gone.status, 422);
    assert!(gone.text().contains("Filen brev.pdf finns inte kvar"), "{}", gone.text());
    let preview = anna.upload(&first, &path, REPLY, files).text();
    assert!(preview.contains("brev.pdf"), "{preview}");
    assert_eq!(anna.post(&first, &path, &fields).status, 303);
}

#[test]
fn a_letter_that_came_by_post_is_registered_with_its_pages() {
    let world = start(World::plan());
    let mut anna = Browser::of(&world, "anna");
    let path = "/enhet/SE0000000000-VC1/nytt";
    let form = anna.page(path);
    let fields = [("satt", "letter"), ("mottaget", "2026-03-02"), ("hande", "2026-02-16")];
    let scan = pdf(4000, 5);
    let wrong = anna.upload(&form, path, &fields, &[("sida-1.pdf", &scan)]);
    let again = wrong.text();
    assert_eq!(wrong.status, 422, "{again}");
    let kept = seals(&again).remove(0);
    let mut fields = fields.to_vec();
    fields.extend([("beskrivning", "PÅHITTAT ÄRENDE. Ett brev."), ("svar", "none")]);
    fields.push(("bilaga", &kept));
    let made = anna.upload(&again, path, &fields, &[("sida-2.png", PNG)]);
    assert_eq!(made.status, 303, "{}", made.text());
    let case = anna.page(made.header("location").unwrap());
    assert!(case.contains("sida-1.pdf") && case.contains("sida-2.png"), "{case}");
    let form = anna.page(path);
    let six: Vec<(String, Vec<u8>)> =
        (0..6).map(|n| (format!("sida-{n}.pdf"), pdf(700, 200 + n))).collect();
    let six: Vec<(&str, &[u8])> = six.iter().map(|(a, b)| (a.as_str(), b.as_slice())).collect();
    let answer = anna.upload(&form, path, &fields[..5], &six);
    assert!(answer.text().contains("Högst 5 filer får bifogas."), "{}", answer.text());
}
