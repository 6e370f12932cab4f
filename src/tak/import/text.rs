//! Rows as TOML: readable, and the same for the same rows.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use jiff::civil::Date;

use super::super::model::Profile;
use super::super::period::Days;
use super::super::rows::Filter;
use super::checked::{Goal, PermissionRow, RouteRow};
use super::raw::NamesTold;
use crate::id::HsaId;

const HEADING: &str = "# Written by `klagomal tak import`, which writes it anew each time. Rows of \
                       your own belong in\n# another file of the folder.\n";

/// The text of `imported-routes.toml`.
pub(super) fn routes(rows: &[RouteRow], names: &NamesTold) -> String {
    let mut out = HEADING.to_owned();
    let mut heading = Heading::default();
    for row in rows {
        heading.write(&row.contract, names, &mut out);
        out.push_str("\n[[route]]\n");
        line(&mut out, "contract", &row.contract);
        address(&mut out, &row.address, names);
        match &row.goal {
            Goal::System(id, _) => line(&mut out, "system", id),
            Goal::Url(url) => line(&mut out, "address", url),
        }
        match row.profile {
            Profile::Rivtabp21 => {}
            Profile::Rivtabp20 => line(&mut out, "profile", row.profile.as_str()),
        }
        days(&mut out, row.days);
    }
    out
}

/// The text of `imported-permissions.toml`.
pub(super) fn permissions(rows: &[PermissionRow], names: &NamesTold) -> String {
    let mut out = HEADING.to_owned();
    let mut heading = Heading::default();
    for row in rows {
        heading.write(&row.contract, names, &mut out);
        out.push_str("\n[[permission]]\n");
        line(&mut out, "consumer", &row.consumer);
        line(&mut out, "contract", &row.contract);
        address(&mut out, &row.address, names);
        days(&mut out, row.days);
        filters(&mut out, &row.filters);
    }
    out
}

/// The text of `imported-systems.toml`.
pub(super) fn systems(callers: &BTreeMap<HsaId, String>) -> String {
    let mut out = HEADING.to_owned();
    for (id, name) in callers {
        out.push_str("\n[[system]]\n");
        line(&mut out, "hsa_id", id.as_str());
        line(&mut out, "name", name);
    }
    out
}

/// The name of a contract, above the first of its rows.
#[derive(Default)]
struct Heading(Option<String>);

impl Heading {
    fn write(&mut self, contract: &str, names: &NamesTold, out: &mut String) {
        let lower = contract.to_ascii_lowercase();
        if self.0.as_ref() == Some(&lower) {
            return;
        }
        if let Some(name) = names.contracts.get(&lower).filter(|it| **it != *contract) {
            out.push_str("\n# ");
            out.push_str(name);
        }
        self.0 = Some(lower);
    }
}

fn address(out: &mut String, address: &str, names: &NamesTold) {
    out.push_str("logical_address = ");
    quoted(out, address);
    if let Some(name) = names.addresses.get(&address.to_ascii_lowercase()) {
        out.push_str(" # ");
        out.push_str(name);
    }
    out.push('\n');
}

fn line(out: &mut String, key: &str, value: &str) {
    out.push_str(key);
    out.push_str(" = ");
    quoted(out, value);
    out.push('\n');
}

fn days(out: &mut String, days: Days) {
    let mut day = |key: &str, day: Option<Date>| {
        if let Some(day) = day {
            out.push_str(key);
            out.push_str(" = ");
            out.push_str(&day.to_string());
            out.push('\n');
        }
    };
    day("from", days.from());
    day("to", days.to());
}

fn filters(out: &mut String, filters: &[Filter]) {
    if filters.is_empty() {
        return;
    }
    out.push_str("filter = [");
    for (at, filter) in filters.iter().enumerate() {
        out.push_str(if at == 0 { "{ domain = " } else { ", { domain = " });
        quoted(out, &filter.domain);
        if !filter.categorizations.is_empty() {
            out.push_str(", categorizations = [");
            for (at, it) in filter.categorizations.iter().enumerate() {
                out.push_str(if at == 0 { "" } else { ", " });
                quoted(out, it);
            }
            out.push(']');
        }
        out.push_str(" }");
    }
    out.push_str("]\n");
}

/// A TOML basic string.
fn quoted(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => {
                // A String takes whatever is written to it.
                let written = write!(out, "\\u{:04X}", u32::from(c));
                debug_assert!(written.is_ok());
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// The names that a text of this form tells in its comments.
pub(super) fn names(text: &str, names: &mut NamesTold) {
    let mut heading = None;
    for line in text.lines() {
        if line.is_empty() {
            heading = None;
        } else if let Some(comment) = line.strip_prefix("# ") {
            heading = Some(comment);
        } else if let Some(rest) = line.strip_prefix("contract = \"") {
            if let (Some(name), Some((contract, _))) = (heading.take(), rest.split_once('"')) {
                NamesTold::tell(&mut names.contracts, contract, name);
            }
        } else if let Some(rest) = line.strip_prefix("logical_address = \"")
            && let Some((address, name)) = rest.split_once("\" # ")
        {
            NamesTold::tell(&mut names.addresses, address, name);
        }
    }
}
