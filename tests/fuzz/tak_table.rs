//! Routing in TOML: a table, or findings each with a place in its file; and what is exported is
//! imported the same.

use klagomal::tak::export::Export;
use klagomal::tak::{Loaded, Source, Table};

use crate::tak_import::{now, stays};

pub fn try_one(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    // A form feed begins another file.
    let files = text.split('\u{c}').enumerate();
    let sources: Vec<Source> =
        files.map(|(at, it)| Source { name: format!("{at}.toml"), text: it.to_owned() }).collect();
    let loaded = Table::parse(&sources, now());
    assert_eq!(loaded.table.is_some(), !loaded.has_errors());
    places(&loaded, &sources);
    if let Some(table) = &loaded.table {
        stays(&Export::new(table, Some("https://gateway.example.se/")).cache());
    }
}

/// Every finding is where somebody can go and look.
pub fn places(loaded: &Loaded, sources: &[Source]) {
    for found in &loaded.findings {
        let Some(source) = sources.iter().find(|it| it.name == found.file) else {
            // A folder that lacks a platform has no file to name.
            assert!(found.line <= 1, "{found:?}");
            continue;
        };
        let line =
            (found.line as usize).checked_sub(1).and_then(|at| source.text.split('\n').nth(at));
        let line = line.unwrap_or_else(|| panic!("no such line: {found:?}"));
        let column = found.column as usize;
        assert!((1..=line.chars().count() + 1).contains(&column), "no such column: {found:?}");
    }
}
