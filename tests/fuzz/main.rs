//! Fuzz targets, chosen by `FUZZ_TARGET`: what reads foreign bytes must answer any of them, and right.
#![no_main]

mod certificate;
mod envelope;
mod rewrite;
mod tak_import;
mod tak_table;

use std::sync::OnceLock;

type Target = fn(&[u8]);

/// By name; `run` goes through them all.
const TARGETS: [(&str, Target); 5] = [
    ("envelope", envelope::try_one),
    ("rewrite", rewrite::try_one),
    ("certificate", certificate::try_one),
    ("tak_table", tak_table::try_one),
    ("tak_import", tak_import::try_one),
];

fn chosen() -> Target {
    let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
    match TARGETS.iter().find(|(known, _)| *known == name) {
        Some((_, target)) => *target,
        None => panic!("FUZZ_TARGET is {name:?}, none of {:?}", TARGETS.map(|(name, _)| name)),
    }
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    static CHOSEN: OnceLock<Target> = OnceLock::new();
    CHOSEN.get_or_init(chosen)(data);
});

/// Cuts `data` into pieces of sizes that follow from its own bytes, so that a found input cuts alike.
fn cut(data: &[u8]) -> Vec<&[u8]> {
    let mut state = data
        .iter()
        .fold(0x811c_9dc5_u32, |all, byte| (all ^ u32::from(*byte)).wrapping_mul(0x0100_0193));
    let (mut rest, mut pieces) = (data, Vec::new());
    while !rest.is_empty() {
        state = state.wrapping_mul(0x0019_660d).wrapping_add(0x3c6e_f35f);
        // Mostly a few bytes, now and then many.
        let most = if state >> 29 == 0 { 4096 } else { 1 + (state >> 24) % 16 };
        let (piece, later) = rest.split_at(rest.len().min(most as usize));
        pieces.push(piece);
        rest = later;
    }
    pieces
}
