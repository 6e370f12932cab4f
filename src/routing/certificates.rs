//! The certificate files that systems name: whether they can be read, and when they run out.

use std::fs::File;
use std::path::Path;

use jiff::Timestamp;

use crate::clock;
use crate::limits;
use crate::tak::{Finding, Severity, System, Table};
use crate::telemetry::Chain;
use crate::tls;

/// A warning for every file that a system names and that cannot be used, or runs out within
/// [`limits::CERTIFICATE_WARNING_DAYS`]. Relative paths start from `base`, the folder of the
/// settings file.
#[must_use]
pub fn certificates(table: &Table, base: &Path, now: Timestamp) -> Vec<Finding> {
    let mut found = Vec::new();
    for system in table.systems() {
        for (key, path) in [("certificate", &system.certificate), ("trust", &system.trust)] {
            if let Some(path) = path {
                of_file(table, system, key, &base.join(path), now, &mut found);
            }
        }
        if let Some(path) = &system.key
            && let Err(error) = File::open(base.join(path))
        {
            let text = format!("key {} cannot be read: {error}", base.join(path).display());
            found.push(warning(table, system, text, "calls to the system fail without it"));
        }
    }
    found
}

fn of_file(
    table: &Table,
    system: &System,
    key: &str,
    path: &Path,
    now: Timestamp,
    found: &mut Vec<Finding>,
) {
    let expiries = match tls::expiries_in(path) {
        Ok(expiries) => expiries,
        Err(error) => {
            let text = format!("{key} cannot be used: {}", Chain(&error));
            let hint = "calls to the system fail without it; relative paths start from the folder \
                        of klagomal.toml";
            return found.push(warning(table, system, text, hint));
        }
    };
    for (subject, until) in expiries {
        let day = clock::swedish_day(until);
        let left = (day - clock::swedish_day(now)).get_days();
        if left > limits::CERTIFICATE_WARNING_DAYS {
            continue;
        }
        let when = match left {
            ..0 => format!("ran out on {day}"),
            0 => "runs out today".to_owned(),
            1 => format!("runs out tomorrow, {day}"),
            left => format!("runs out in {left} days, on {day}"),
        };
        let text = format!("{key} {} ({subject}) {when}", path.display());
        found.push(warning(table, system, text, "order and install a new one"));
    }
}

fn warning(table: &Table, system: &System, message: String, hint: &str) -> Finding {
    let name = system.id.as_deref().unwrap_or(&system.name);
    Finding {
        severity: Severity::Warning,
        file: table.file(system.place).to_owned(),
        line: system.place.line(),
        column: system.place.column(),
        message: format!("system {name}: {message}"),
        hint: Some(hint.to_owned()),
    }
}
