//! A typed reader over TOML that goes on after a fault, so that one run finds them all.

use std::time::Duration;

use jiff::civil::Date;
use toml::de::{DeTable, DeValue};
use toml::{Spanned, value::Datetime};

use super::finding::{Findings, Lines, Place};
use super::period::Days;
use super::values::{duration, nearest};
use crate::id::HsaId;
use crate::limits;

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Told<T> {
    pub(super) value: T,
    pub(super) place: Place,
}

impl<T> Told<T> {
    pub(super) fn map<U>(self, to: impl FnOnce(T) -> U) -> Told<U> {
        Told { value: to(self.value), place: self.place }
    }
}

/// One TOML table under reading.
#[derive(Clone, Copy)]
pub(super) struct Fields<'t> {
    table: &'t DeTable<'t>,
    lines: &'t Lines<'t>,
    /// As an operator writes it, `[[unit]]`.
    pub(super) what: &'static str,
    pub(super) place: Place,
    /// Where in the file the spans of the table are counted from.
    base: usize,
    /// The file has syntax errors: what is missing may only have been unreadable.
    broken: bool,
    is_top: bool,
}

impl<'t> Fields<'t> {
    /// The top of a file.
    pub(super) fn top(table: &'t DeTable<'t>, lines: &'t Lines<'t>, broken: bool) -> Self {
        let place = lines.place(0);
        Self { table, lines, what: "the file", place, base: 0, broken, is_top: true }
    }

    /// The top of a whole piece of a file, which begins at `base`.
    pub(super) fn piece(table: &'t DeTable<'t>, lines: &'t Lines<'t>, base: usize) -> Self {
        Self { place: lines.place(base), base, ..Self::top(table, lines, false) }
    }

    /// One row that begins at `start` and has its spans in the file.
    pub(super) fn row(
        table: &'t DeTable<'t>,
        lines: &'t Lines<'t>,
        what: &'static str,
        start: usize,
    ) -> Self {
        let place = lines.place(start);
        Self { table, lines, what, place, base: 0, broken: false, is_top: false }
    }

    fn at(&self, span: std::ops::Range<usize>) -> Place {
        self.lines.place(self.base.saturating_add(span.start))
    }

    /// Finds keys that nobody knows, and the nearest that somebody does.
    pub(super) fn only(&self, known: &[&str], found: &mut Findings) {
        for (key, _) in self.table {
            let name = key.get_ref().as_ref();
            if known.contains(&name) {
                continue;
            }
            let hint = match nearest(name, known.iter().copied()) {
                Some(near) => format!("did you mean \"{near}\"?"),
                // After a heading that could not be read, its keys stand where they do not belong.
                None if self.broken && self.is_top => continue,
                None => format!("known here: {}", known.join(", ")),
            };
            let place = self.at(key.span());
            found.error(place, format!("{} has no key \"{name}\"", self.what), hint);
        }
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Where the key stands; the table's own place when it is absent.
    pub(super) fn key_place(&self, key: &str) -> Place {
        let found = self.table.get_key_value(key);
        found.map_or(self.place, |(key, _)| self.at(key.span()))
    }

    fn get(&self, key: &str) -> Option<(&'t DeValue<'t>, Place)> {
        let value: &'t Spanned<DeValue<'t>> = self.table.get(key)?;
        Some((value.get_ref(), self.at(value.span())))
    }

    fn wrong_type(&self, key: &str, at: Place, value: &DeValue<'_>, want: &str, f: &mut Findings) {
        let what = self.what;
        let kind = value.type_str();
        f.error(at, format!("\"{key}\" of {what} is a TOML {kind}"), format!("write {want}"));
    }

    /// A text; blank or overlong is a fault.
    pub(super) fn text(&self, key: &str, f: &mut Findings) -> Option<Told<&'t str>> {
        let it = self.any_text(key, f)?;
        if self.broken && it.value.is_empty() {
            // What the parser puts where it could not read a value.
            return None;
        }
        let fault = if it.value.trim().is_empty() {
            "is empty"
        } else if it.value.len() > limits::LINE_CHARS_MAX
            && it.value.chars().nth(limits::LINE_CHARS_MAX).is_some()
        {
            "is too long"
        } else if !it.value.bytes().all(|it| matches!(it, b' '..=b'~'))
            && it.value.chars().any(char::is_control)
        {
            "has control characters in it"
        } else {
            return Some(it);
        };
        f.error(
            it.place,
            format!("\"{key}\" of {} {fault}", self.what),
            format!("write one line of 1 to {} characters", limits::LINE_CHARS_MAX),
        );
        None
    }

    /// A text that may be empty.
    pub(super) fn any_text(&self, key: &str, f: &mut Findings) -> Option<Told<&'t str>> {
        let (value, place) = self.get(key)?;
        let text = value.as_str();
        if text.is_none() {
            self.wrong_type(key, place, value, "it in quotes, as a text", f);
        }
        text.map(|value| Told { value, place })
    }

    pub(super) fn required_text(&self, key: &str, f: &mut Findings) -> Option<Told<&'t str>> {
        self.require(key, f);
        self.text(key, f)
    }

    /// Finds that a key is missing.
    pub(super) fn require(&self, key: &str, f: &mut Findings) {
        if !self.has(key) && !self.broken {
            f.error(
                self.place,
                format!("{} has no \"{key}\"", self.what),
                format!("add {key} = ..."),
            );
        }
    }

    /// An HSA-id that somebody makes up or copies here: its form is checked in full.
    pub(super) fn hsa_id(&self, key: &str, f: &mut Findings) -> Option<Told<HsaId>> {
        let it = self.text(key, f)?;
        let id = HsaId::parse(it.value);
        if let Ok(id) = &id
            && id.is_well_formed()
        {
            return Some(Told { value: id.clone(), place: it.place });
        }
        let why = id.err().map_or_else(String::new, |why| format!(" ({why})"));
        f.error(
            it.place,
            format!(
                "\"{key}\" of {} is not a well-formed HSA-id: \"{}\"{why}",
                self.what, it.value
            ),
            hsa_id_hint(it.value),
        );
        None
    }

    pub(super) fn required_hsa_id(&self, key: &str, f: &mut Findings) -> Option<Told<HsaId>> {
        self.require(key, f);
        self.hsa_id(key, f)
    }

    pub(super) fn flag(&self, key: &str, f: &mut Findings) -> Option<Told<bool>> {
        let (value, place) = self.get(key)?;
        if let DeValue::Boolean(value) = value {
            return Some(Told { value: *value, place });
        }
        self.wrong_type(key, place, value, "true or false, without quotes", f);
        None
    }

    /// A list of texts.
    pub(super) fn texts(&self, key: &str, f: &mut Findings) -> Option<Vec<Told<&'t str>>> {
        let (value, place) = self.get(key)?;
        let DeValue::Array(items) = value else {
            self.wrong_type(key, place, value, "a list of texts: [\"...\", \"...\"]", f);
            return None;
        };
        let mut texts = Vec::new();
        for item in items.iter() {
            let place = self.at(item.span());
            let item = item.get_ref();
            if let Some(value) = item.as_str() {
                texts.push(Told { value, place });
            } else {
                self.wrong_type(key, place, item, "each one in quotes, as a text", f);
            }
        }
        Some(texts)
    }

    /// One of a few words, in any case.
    pub(super) fn word<T: Copy>(
        &self,
        key: &str,
        words: &[(&str, T)],
        f: &mut Findings,
    ) -> Option<Told<T>> {
        let it = self.text(key, f)?;
        if let Some((_, value)) = words.iter().find(|(word, _)| word.eq_ignore_ascii_case(it.value))
        {
            return Some(Told { value: *value, place: it.place });
        }
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let hint = match nearest(it.value, known.iter().copied()) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None => format!("one of: {}", known.join(", ")),
        };
        let message = format!("\"{key}\" of {} cannot be \"{}\"", self.what, it.value);
        f.error(it.place, message, hint);
        None
    }

    pub(super) fn wait(&self, key: &str, f: &mut Findings) -> Option<Duration> {
        let it = self.text(key, f)?;
        self.wait_in(key, &it, f)
    }

    /// Reads one wait and finds what is wrong with it.
    pub(super) fn wait_in(&self, key: &str, it: &Told<&str>, f: &mut Findings) -> Option<Duration> {
        let wait = duration(it.value);
        if wait.is_none() {
            f.error(
                it.place,
                format!("\"{key}\" of {} is not a time: \"{}\"", self.what, it.value),
                "write a whole number and a unit: \"500ms\", \"29s\", \"5min\", \"2h\", \"7d\""
                    .to_owned(),
            );
        }
        wait
    }

    /// `from` and `to`, both optional.
    pub(super) fn days(&self, f: &mut Findings) -> Option<Days> {
        let (from, to) = (self.date("from", f), self.date("to", f));
        if (self.has("from") && from.is_none()) || (self.has("to") && to.is_none()) {
            return None;
        }
        let (from, to) = (from.map(|it| it.value), to);
        let days = Days::new(from, to.as_ref().map(|it| it.value));
        if let (None, Some(from), Some(to)) = (days, from, to) {
            let message = format!("{} ends ({}) before it begins ({from})", self.what, to.value);
            f.error(to.place, message, "\"to\" is the last day, itself included".to_owned());
        }
        days
    }

    fn date(&self, key: &str, f: &mut Findings) -> Option<Told<Date>> {
        let (value, place) = self.get(key)?;
        let (date, shown) = if let Some(it) = value.as_datetime() {
            (civil(it), it.to_string())
        } else if let Some(text) = value.as_str() {
            (text_date(text), text.to_owned())
        } else {
            self.wrong_type(key, place, value, "a date: 2026-01-31", f);
            return None;
        };
        let Some(value) = date else {
            let has_time = value.as_datetime().is_some_and(|it| it.time.is_some());
            let hint = if has_time {
                "write the date alone: rows hold for whole Swedish local days"
            } else {
                "write a day that exists, as 2026-01-31"
            };
            let message = format!("\"{key}\" of {} is not a day: {shown}", self.what);
            f.error(place, message, hint.to_owned());
            return None;
        };
        Some(Told { value, place })
    }

    /// The tables of `[[key]]`.
    pub(super) fn tables(&self, key: &str, what: &'static str, f: &mut Findings) -> Vec<Self> {
        let Some((value, place)) = self.get(key) else { return Vec::new() };
        let DeValue::Array(items) = value else {
            let want = format!("{what}, with two brackets: there can be several");
            self.wrong_type(key, place, value, &want, f);
            return Vec::new();
        };
        let mut tables = Vec::with_capacity(items.len());
        for item in items.iter() {
            let place = self.at(item.span());
            match item.get_ref().as_table() {
                Some(table) => tables.push(Self { table, what, place, is_top: false, ..*self }),
                None => self.wrong_type(key, place, item.get_ref(), what, f),
            }
        }
        tables
    }

    /// The table of `[key]`.
    pub(super) fn table(&self, key: &str, what: &'static str, f: &mut Findings) -> Option<Self> {
        let (value, place) = self.get(key)?;
        if let DeValue::Table(table) = value {
            return Some(Self { table, what, place, is_top: false, ..*self });
        }
        let want = format!("{what}, with one bracket: there is only one");
        self.wrong_type(key, place, value, &want, f);
        None
    }
}

/// A local date; `None` for one with a time or an offset, or that does not exist.
fn civil(it: &Datetime) -> Option<Date> {
    if it.time.is_some() || it.offset.is_some() {
        return None;
    }
    let date = it.date?;
    let (month, day) = (i8::try_from(date.month).ok()?, i8::try_from(date.day).ok()?);
    Date::new(i16::try_from(date.year).ok()?, month, day).ok().filter(is_sensible)
}

fn text_date(text: &str) -> Option<Date> {
    let shape = text.len() == 10
        && text.bytes().enumerate().all(|(at, it)| match at {
            4 | 7 => it == b'-',
            _ => it.is_ascii_digit(),
        });
    shape.then(|| text.parse().ok()).flatten().filter(is_sensible)
}

/// Open ends are written by leaving the key out, so no real row is outside these years.
fn is_sensible(date: &Date) -> bool {
    (1900..=2999).contains(&date.year())
}

/// How an HSA-id is made, and what its check digit should be where only that is wrong.
fn hsa_id_hint(text: &str) -> String {
    let form = "\"SE\", the organisation number (ten digits), \"-\", then letters and digits; at \
                most 31 characters"
        .to_owned();
    let right = |digit: char| {
        let at = text.split_once('-')?.0.len().checked_sub(1)?;
        let mended = format!("{}{digit}{}", text.get(..at)?, text.get(at + 1..)?);
        HsaId::parse(&mended).ok().filter(HsaId::is_well_formed)
    };
    match ('0'..='9').find_map(right) {
        Some(id) => format!(
            "the check digit of the organisation number is wrong; with the right one it would be \
             {id}"
        ),
        None => form,
    }
}
