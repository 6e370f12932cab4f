//! A TOML document that is asked for what it should hold, and tells what it should not.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::net::SocketAddr;
use std::ops::{Range, RangeInclusive};
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Fault;

/// How much of a word must be right for it to be taken for another (1 is all of it).
const LIKENESS_MIN: f64 = 0.6;

/// A settings file while it is being read. Whatever is asked for becomes a known key.
pub(super) struct Document<'t> {
    name: &'t str,
    text: &'t str,
    base: &'t Path,
    root: Spanned<DeTable<'t>>,
    known: BTreeMap<&'static str, Vec<&'static str>>,
    faults: Vec<Fault>,
    broken: BTreeMap<usize, String>,
}

/// One `[section]`, there or not.
pub(super) struct Section<'d, 't> {
    document: &'d mut Document<'t>,
    name: &'static str,
}

impl<'t> Document<'t> {
    pub(super) fn parse(name: &'t str, text: &'t str, base: &'t Path) -> Self {
        let (root, errors) = DeTable::parse_recoverable(text);
        let known = BTreeMap::new();
        let mut document =
            Self { name, text, base, root, known, faults: Vec::new(), broken: BTreeMap::new() };
        for error in errors {
            document.fault_at(error.span().unwrap_or(0..0), error.message().to_owned());
        }
        let broken = document.faults.iter().map(|fault| (fault.line, fault.text.clone()));
        document.broken = broken.collect();
        document
    }

    pub(super) fn section(&mut self, name: &'static str) -> Section<'_, 't> {
        self.known.insert(name, Vec::new());
        Section { document: self, name }
    }

    /// `value`, if nothing was wrong. Call it when everything has been asked for.
    pub(super) fn finish<T>(mut self, value: T) -> Result<T, Vec<Fault>> {
        let mut strangers = Vec::new();
        for (name, value) in self.root.get_ref() {
            let Some(known) = self.known.get(name.get_ref().as_ref()) else {
                strangers.push((name.span(), self.stranger(name.get_ref(), value.get_ref())));
                continue;
            };
            let Some(table) = value.get_ref().as_table() else {
                let found = value.get_ref().type_str();
                let text = format!("`{}` is a section, found {found}", name.get_ref());
                strangers.push((name.span(), text));
                continue;
            };
            let unknown = table.keys().filter(|key| !known.contains(&key.get_ref().as_ref()));
            strangers.extend(
                unknown.map(|key| {
                    (key.span(), self.unknown_key(key.get_ref(), name.get_ref(), known))
                }),
            );
        }
        for (span, text) in strangers {
            self.fault_at(span, text);
        }
        // What is asked for on a line that is no TOML is only a consequence.
        let broken = self.broken;
        self.faults.retain(|fault| broken.get(&fault.line).is_none_or(|text| *text == fault.text));
        self.faults.sort();
        self.faults.dedup();
        if self.faults.is_empty() { Ok(value) } else { Err(self.faults) }
    }

    /// The sections and keys that were asked for.
    #[cfg(test)]
    pub(super) fn known(&self) -> Vec<(&'static str, &'static str)> {
        let keys = |(section, keys): (&&'static str, &Vec<&'static str>)| {
            keys.iter().map(|key| (*section, *key)).collect::<Vec<_>>()
        };
        self.known.iter().flat_map(keys).collect()
    }

    fn stranger(&self, name: &str, value: &DeValue<'_>) -> String {
        if value.as_table().is_some() {
            let nearest = nearest(name, self.known.keys().copied());
            let all = list(self.known.keys().map(|section| format!("[{section}]")));
            return nearest.map_or_else(
                || format!("unknown section [{name}]; the sections are {all}"),
                |nearest| format!("unknown section [{name}]; did you mean [{nearest}]?"),
            );
        }
        let owner = self.known.iter().find(|(_, keys)| keys.contains(&name));
        owner.map_or_else(
            || format!("unknown key `{name}` outside every section"),
            |(section, _)| format!("`{name}` belongs in the section [{section}]"),
        )
    }

    fn unknown_key(&self, key: &str, section: &str, known: &[&'static str]) -> String {
        let told = format!("unknown key `{key}` in [{section}]");
        if let Some(nearest) = nearest(key, known.iter().copied()) {
            return format!("{told}; did you mean `{nearest}`?");
        }
        if let Some((owner, _)) = self.known.iter().find(|(_, keys)| keys.contains(&key)) {
            return format!("{told}; it belongs in [{owner}]");
        }
        format!("{told}; its keys are {}", list(known.iter().map(|key| format!("`{key}`"))))
    }

    fn fault_at(&mut self, span: Range<usize>, text: String) {
        let before = self.text.bytes().take(span.start);
        let line = before.filter(|byte| *byte == b'\n').count() + 1;
        self.faults.push(Fault { file: self.name.to_owned(), line, text });
    }

    fn resolve(&self, path: &str) -> PathBuf {
        self.base.join(path)
    }
}

impl Section<'_, '_> {
    /// Something wrong with the value of `key`, or with its default.
    pub(super) fn fault(&mut self, key: &'static str, text: String) {
        let span = self.look(key).map_or(0..0, |value| value.span());
        self.document.fault_at(span, format!("`{key}`: {text}"));
    }

    pub(super) fn address(&mut self, key: &'static str, default: SocketAddr) -> SocketAddr {
        let Some((span, text)) = self.text(key) else { return default };
        text.parse().unwrap_or_else(|_| {
            let expected = format!("an address and a port, such as \"{default}\"");
            self.unfit(key, span, &format!("{text:?}"), &expected);
            default
        })
    }

    /// One of the words of `all`.
    pub(super) fn choice<T: Copy>(
        &mut self,
        key: &'static str,
        default: T,
        all: &[(&str, T)],
    ) -> T {
        let Some((span, text)) = self.text(key) else { return default };
        if let Some((_, value)) = all.iter().find(|(word, _)| *word == text) {
            return *value;
        }
        let words = list(all.iter().map(|(word, _)| format!("\"{word}\"")));
        self.unfit(key, span, &format!("{text:?}"), &format!("one of {words}"));
        default
    }

    pub(super) fn number(
        &mut self,
        key: &'static str,
        default: u64,
        range: RangeInclusive<u64>,
    ) -> u64 {
        let Some((span, found)) = self.typed(key, "a whole number", |value| {
            let number = value.as_integer()?;
            Some(i128::from_str_radix(number.as_str(), number.radix()).unwrap_or(i128::MAX))
        }) else {
            return default;
        };
        match u64::try_from(found) {
            Ok(number) if range.contains(&number) => number,
            _ => {
                let expected = format!("{} to {}", range.start(), range.end());
                self.unfit(key, span, &found.to_string(), &expected);
                default
            }
        }
    }

    pub(super) fn count(
        &mut self,
        key: &'static str,
        default: usize,
        range: RangeInclusive<u64>,
    ) -> usize {
        let number = self.number(key, u64::try_from(default).unwrap_or(u64::MAX), range);
        usize::try_from(number).unwrap_or(default)
    }

    /// A time, as `30s`, `10min`, `4h` or `7d`, of at most `most`.
    pub(super) fn time(
        &mut self,
        key: &'static str,
        default: Duration,
        most: Duration,
    ) -> Duration {
        let Some((span, text)) = self.text(key) else { return default };
        match crate::tak::duration(&text).filter(|time| *time <= most) {
            Some(time) => time,
            None => {
                let expected = format!("a time, such as \"30s\" or \"4h\", of at most {most:?}");
                self.unfit(key, span, &format!("{text:?}"), &expected);
                default
            }
        }
    }

    pub(super) fn path(&mut self, key: &'static str, default: &str) -> PathBuf {
        let default = self.document.resolve(default);
        self.path_or(key, default)
    }

    /// A path; `default` is one that has been resolved.
    pub(super) fn path_or(&mut self, key: &'static str, default: PathBuf) -> PathBuf {
        let Some((span, text)) = self.text(key) else { return default };
        if text.is_empty() {
            self.unfit(key, span, "nothing", "a path");
            return default;
        }
        self.document.resolve(&text)
    }

    /// A path; empty means none.
    pub(super) fn optional_path(&mut self, key: &'static str) -> Option<PathBuf> {
        let text = self.some_text(key)?;
        Some(self.document.resolve(&text))
    }

    pub(super) fn paths(&mut self, key: &'static str, default: &[&str]) -> Vec<PathBuf> {
        let default = default.iter().map(|path| self.document.resolve(path)).collect();
        self.list_of_paths(key, default, false)
    }

    /// Paths, at least one.
    pub(super) fn some_paths(&mut self, key: &'static str, default: &[&str]) -> Vec<PathBuf> {
        let default = default.iter().map(|path| self.document.resolve(path)).collect();
        self.list_of_paths(key, default, true)
    }

    /// Paths, at least one; `default` are such as have been resolved.
    pub(super) fn some_paths_or(
        &mut self,
        key: &'static str,
        default: Vec<PathBuf>,
    ) -> Vec<PathBuf> {
        self.list_of_paths(key, default, true)
    }

    /// An `http` or `https` address without query, without a slash at the end. Empty means none.
    pub(super) fn base_url(&mut self, key: &'static str) -> Option<String> {
        let (span, text) = self.text(key).filter(|(_, text)| !text.is_empty())?;
        let fits = text.parse::<http::Uri>().is_ok_and(|uri| {
            matches!(uri.scheme_str(), Some("http" | "https"))
                && uri.host().is_some_and(|host| !host.is_empty())
                && uri.query().is_none()
                && !text.contains(['#', '@'])
        });
        if !fits {
            let expected = "the beginning of an address, such as \"https://klagomal.example.se\"";
            self.unfit(key, span, &format!("{text:?}"), expected);
            return None;
        }
        Some(text.trim_end_matches('/').to_owned())
    }

    /// An address and a port; empty means none.
    pub(super) fn optional_address(&mut self, key: &'static str) -> Option<SocketAddr> {
        let (span, text) = self.text(key).filter(|(_, text)| !text.is_empty())?;
        let address = text.parse().ok();
        if address.is_none() {
            let expected = "an address and a port, such as \"127.0.0.1:8080\", or nothing";
            self.unfit(key, span, &format!("{text:?}"), expected);
        }
        address
    }

    /// A text; empty means none.
    pub(super) fn some_text(&mut self, key: &'static str) -> Option<String> {
        self.text(key).map(|(_, text)| text.trim().to_owned()).filter(|text| !text.is_empty())
    }

    /// The name of an HTTP header, as written.
    pub(super) fn header(&mut self, key: &'static str, default: &str) -> String {
        let Some((span, text)) = self.text(key) else { return default.to_owned() };
        if text.parse::<http::HeaderName>().is_err() {
            let expected = format!("the name of an HTTP header, such as \"{default}\"");
            self.unfit(key, span, &format!("{text:?}"), &expected);
        }
        text
    }

    /// Texts, perhaps none.
    pub(super) fn texts(&mut self, key: &'static str, default: &[&str]) -> Vec<String> {
        let items = self.typed(key, "a list of texts", |value| {
            let text = |item: &Spanned<DeValue<'_>>| item.get_ref().as_str().map(str::to_owned);
            value.as_array()?.iter().map(text).collect::<Option<Vec<_>>>()
        });
        items.map_or_else(|| default.iter().map(|it| (*it).to_owned()).collect(), |(_, it)| it)
    }

    fn list_of_paths(
        &mut self,
        key: &'static str,
        default: Vec<PathBuf>,
        some: bool,
    ) -> Vec<PathBuf> {
        let expected = "a list of paths, such as [\"certs/ca.pem\"]";
        let items = self.typed(key, expected, |value| {
            let item = |item: &Spanned<DeValue<'_>>| {
                (item.span(), item.get_ref().as_str().map(str::to_owned))
            };
            Some(value.as_array()?.iter().map(item).collect::<Vec<_>>())
        });
        let Some((span, items)) = items else { return default };
        if some && items.is_empty() {
            self.unfit(key, span, "none", "at least one path");
        }
        let mut paths = Vec::new();
        for (span, item) in items {
            match item.filter(|path| !path.is_empty()) {
                Some(path) => paths.push(self.document.resolve(&path)),
                None => self.unfit(key, span, "something else in the list", "paths only"),
            }
        }
        paths
    }

    fn text(&mut self, key: &'static str) -> Option<(Range<usize>, String)> {
        self.typed(key, "a text in quotes", |value| value.as_str().map(str::to_owned))
    }

    /// The value of `key` as `read` sees it. `None` where it is absent, and where it is something
    /// else, which is then a fault.
    fn typed<T>(
        &mut self,
        key: &'static str,
        expected: &str,
        read: impl FnOnce(&DeValue<'_>) -> Option<T>,
    ) -> Option<(Range<usize>, T)> {
        self.document.known.entry(self.name).or_default().push(key);
        let value = self.look(key)?;
        let (span, found) = (value.span(), value.get_ref().type_str());
        let read = read(value.get_ref());
        if read.is_none() {
            self.unfit(key, span.clone(), found, expected);
        }
        read.map(|value| (span, value))
    }

    fn look(&self, key: &str) -> Option<&Spanned<DeValue<'_>>> {
        self.document.root.get_ref().get(self.name)?.get_ref().as_table()?.get(key)
    }

    fn unfit(&mut self, key: &str, span: Range<usize>, found: &str, expected: &str) {
        let text = format!("`{key}`: expected {expected}, found {found}");
        self.document.fault_at(span, text);
    }
}

/// The word of `all` that `word` most looks like, if it looks like any.
fn nearest(word: &str, all: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    let word = word.to_lowercase().replace('-', "_");
    all.map(|known| (strsim::normalized_damerau_levenshtein(&word, known), known))
        .filter(|(likeness, _)| *likeness >= LIKENESS_MIN)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, known)| known)
}

fn list<T: Display>(all: impl Iterator<Item = T>) -> String {
    all.map(|one| one.to_string()).collect::<Vec<_>>().join(", ")
}
