//! Contract and logical address in a 64 KB envelope, and the whole reading of a 2 KB case.

use std::hint::black_box;

use klagomal::rivta;
use klagomal::soap::MessageReader;

use super::median_ns;

const CASE: &str =
    include_str!("../../fixtures/ProcessComplaint/new-case-to-built-in-store.request.xml");

pub(super) fn run() {
    let filler = "Påhittad text. ".repeat(64 * 1024 / 16);
    let large = CASE.replacen("PÅHITTAT ÄRENDE", &format!("PÅHITTAT ÄRENDE {filler}"), 1);
    let head = median_ns(21, 2_000, |_| {
        let mut reader = MessageReader::head_only(None).unwrap();
        black_box(reader.push(large.as_bytes()).unwrap());
        assert!(reader.head().is_some());
    });
    let rate = large.len() as f64 / head;
    println!("head of {} KB        {head:>8.0} ns, {rate:.1} GB/s", large.len() / 1024);
    let whole = median_ns(21, 500, |_| {
        let mut reader = MessageReader::new(None).unwrap();
        reader.push(CASE.as_bytes()).unwrap();
        let (_, skeleton, _) = reader.finish().unwrap();
        black_box(rivta::read(&skeleton, &[]).unwrap());
    });
    let rate = CASE.len() as f64 / whole * 1e3;
    println!("whole case, {} bytes {whole:>8.0} ns, {rate:.0} MB/s", CASE.len());
}
