//! What the admin door answers, for people.

use std::io::{self, Write};

use serde_json::Value;

pub(super) fn pretty(value: &Value, out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, value)?;
    writeln!(out)
}

pub(super) fn cases(value: &Value, out: &mut dyn Write) -> io::Result<()> {
    let rows = value.as_array().map(Vec::as_slice).unwrap_or_default();
    for row in rows {
        writeln!(
            out,
            "{}  {:<20}  {}  {}{}",
            text(row, "number"),
            text(row, "status"),
            minute(text(row, "opened")),
            text(row, "receiver_name"),
            if row.get("handled_here") == Some(&Value::Bool(true)) { "" } else { "  (own system)" }
        )?;
    }
    if rows.is_empty() {
        writeln!(out, "no cases")?;
    }
    Ok(())
}

pub(super) fn removed(value: &Value, out: &mut dyn Write) -> io::Result<()> {
    let rows = value.as_array().map(Vec::as_slice).unwrap_or_default();
    for row in rows {
        writeln!(
            out,
            "{}  {}  opened {}  closed {}  removed {} by {}, {}",
            text(row, "number"),
            text(row, "unit"),
            minute(text(row, "opened")),
            minute(text(row, "closed")),
            minute(text(row, "removed")),
            text(row, "by"),
            text(row, "decision")
        )?;
    }
    if rows.is_empty() {
        writeln!(out, "no case has been removed")?;
    }
    Ok(())
}

pub(super) fn case(value: &Value, out: &mut dyn Write) -> io::Result<()> {
    let case = value.get("case").unwrap_or(&Value::Null);
    writeln!(out, "{}  {}", text(case, "number"), text(value, "status"))?;
    writeln!(out, "receiver  {} {}", text(case, "receiver"), text(case, "receiver_name"))?;
    for event in value.get("events").and_then(Value::as_array).into_iter().flatten() {
        let what = event.get("event").unwrap_or(&Value::Null);
        // How sending went stands with each outgoing message below.
        if ["leased", "tried"].contains(&text(what, "kind")) {
            continue;
        }
        writeln!(out, "\n{}  {}", minute(text(event, "at")), text(what, "kind"))?;
        if let Some(why) = event.get("damaged").and_then(Value::as_str) {
            writeln!(
                out,
                "  record {} is damaged: {why}",
                event.get("seq").unwrap_or(&Value::Null)
            )?;
        }
        fields(what, 1, out)?;
    }
    let outgoing = value.get("outgoing").unwrap_or(&Value::Null);
    writeln!(out)?;
    items(outgoing, out)
}

/// Every field of an event that says something, indented by its depth.
fn fields(value: &Value, depth: usize, out: &mut dyn Write) -> io::Result<()> {
    let pad = "  ".repeat(depth);
    let Some(object) = value.as_object() else { return Ok(()) };
    for (name, inner) in object {
        match inner {
            Value::Null => {}
            Value::Object(_) => {
                writeln!(out, "{pad}{name}")?;
                fields(inner, depth + 1, out)?;
            }
            Value::Array(rows) => {
                for row in rows {
                    if row.is_object() {
                        writeln!(out, "{pad}{name}")?;
                        fields(row, depth + 1, out)?;
                    } else {
                        writeln!(out, "{pad}{name}  {}", plain(row))?;
                    }
                }
            }
            Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                if name != "kind" {
                    writeln!(out, "{pad}{name}  {}", plain(inner))?;
                }
            }
        }
    }
    Ok(())
}

pub(super) fn items(value: &Value, out: &mut dyn Write) -> io::Result<()> {
    let rows = value.as_array().map(Vec::as_slice).unwrap_or_default();
    for row in rows {
        line(row, out)?;
    }
    if rows.is_empty() {
        writeln!(out, "no outgoing messages")?;
    }
    Ok(())
}

pub(super) fn item(value: &Value, out: &mut dyn Write) -> io::Result<()> {
    line(value, out)
}

fn line(row: &Value, out: &mut dyn Write) -> io::Result<()> {
    let id = row.get("id").unwrap_or(&Value::Null);
    let number = |name: &str| id.get(name).and_then(Value::as_u64).unwrap_or_default();
    let state = row.get("state").unwrap_or(&Value::Null);
    let what = row.get("what").unwrap_or(&Value::Null);
    writeln!(
        out,
        "{}.{}  {}  to {}  {}  {} after {} attempts  {}",
        number("seq"),
        number("n"),
        text(row, "number"),
        text(row, "to"),
        text(what, "debt"),
        text(state, "state"),
        row.get("attempts").unwrap_or(&Value::Null),
        text(state, "why"),
    )
}

pub(super) fn pauses(value: &Value, out: &mut dyn Write) -> io::Result<()> {
    value.as_array().into_iter().flatten().try_for_each(|row| paused(row, out))
}

pub(super) fn paused(row: &Value, out: &mut dyn Write) -> io::Result<()> {
    let (system, since) = (text(row, "system"), minute(text(row, "since")));
    writeln!(out, "{system} is PAUSED since {since}: {}", text(row, "why"))
}

pub(super) fn resumed(row: &Value, out: &mut dyn Write) -> io::Result<()> {
    let (system, since) = (text(row, "system"), minute(text(row, "since")));
    writeln!(out, "{system} is resumed; it was paused since {since}")
}

pub(super) fn step(value: &Value, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}  kept {}", text(value, "number"), minute(text(value, "received")))
}

pub(super) fn reload(value: &Value, out: &mut dyn Write) -> io::Result<()> {
    for row in value.get("reload").and_then(Value::as_array).into_iter().flatten() {
        writeln!(out, "{}", plain(row))?;
    }
    Ok(())
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A UTC time to the minute, in Swedish local time.
fn minute(stamp: &str) -> String {
    match stamp.parse() {
        Ok(at) => {
            let local = crate::clock::to_riv_stamp(at);
            let part = |from: usize, to: usize| local.get(from..to).unwrap_or_default().to_owned();
            format!("{}-{}-{} {}:{}", part(0, 4), part(4, 6), part(6, 8), part(8, 10), part(10, 12))
        }
        Err(_) => stamp.to_owned(),
    }
}
