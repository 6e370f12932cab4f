//! What is wrong with a routing configuration, and exactly where.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Serialize;

use crate::limits;

/// Whether a finding stops the configuration from being used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The configuration is refused.
    Error,
    /// The configuration is used; somebody should look.
    Warning,
}

/// One thing found in a routing configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Error or warning.
    pub severity: Severity,
    /// Name of the source.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
    /// Character on the line, from 1.
    pub column: u32,
    /// What is wrong.
    pub message: String,
    /// How to mend it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// A place in a configuration. [`super::Table::file`] names its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Place {
    file: u16,
    line: u32,
    column: u16,
}

impl Place {
    pub(super) fn new(file: u16, line: u32, column: u16) -> Self {
        Self { file, line, column }
    }

    pub(super) fn file_index(self) -> usize {
        usize::from(self.file)
    }

    /// Line, from 1.
    #[must_use]
    pub fn line(self) -> u32 {
        self.line
    }

    /// Character on the line, from 1.
    #[must_use]
    pub fn column(self) -> u32 {
        self.column.into()
    }
}

/// Where the lines of one text begin.
pub(super) struct Lines<'a> {
    file: u16,
    text: &'a str,
    starts: Vec<usize>,
    /// The line that was asked for last, from 1: the next one asked for is seldom far.
    last: Cell<usize>,
}

/// Lines below the last one that are looked at first.
const NEAR: usize = 16;

impl<'a> Lines<'a> {
    pub(super) fn of(file: u16, text: &'a str) -> Self {
        let starts =
            std::iter::once(0).chain(memchr::memchr_iter(b'\n', text.as_bytes()).map(|at| at + 1));
        Self { file, text, starts: starts.collect(), last: Cell::new(1) }
    }

    /// The line of a byte, from 1.
    fn line(&self, byte: usize) -> usize {
        let last = self.last.get();
        let near = self.starts.get(last - 1..).unwrap_or_default();
        let near = near.get(..NEAR).unwrap_or(near);
        let line = match near.partition_point(|start| *start <= byte) {
            count @ 1..NEAR => last - 1 + count,
            _ => self.starts.partition_point(|start| *start <= byte),
        };
        self.last.set(line.max(1));
        line
    }

    /// The place of a byte of the text.
    pub(super) fn place(&self, byte: usize) -> Place {
        let line = self.line(byte);
        let start = self.starts.get(line.saturating_sub(1)).copied().unwrap_or(0);
        let before = self.text.get(start..byte).map_or(0, |it| it.chars().count());
        Place::new(
            self.file,
            u32::try_from(line).unwrap_or(u32::MAX),
            u16::try_from(before + 1).unwrap_or(u16::MAX),
        )
    }
}

/// Findings under way. Counted and bounded, so that a folder of nonsense cannot fill the memory.
#[derive(Debug, Default)]
pub(super) struct Findings {
    found: Vec<(Place, Severity, String, Option<String>)>,
    errors: usize,
    left_out: usize,
    files: Vec<Arc<str>>,
}

/// How far findings had come.
#[derive(Debug)]
pub(super) struct Mark {
    found: usize,
    errors: usize,
    left_out: usize,
}

impl Findings {
    /// Nothing found yet, in files of these names.
    pub(super) fn in_files(files: Vec<Arc<str>>) -> Self {
        Self { files, ..Self::default() }
    }

    /// How a hint names another place: by its line, and by its file where that is another.
    pub(super) fn spot(&self, place: Place, seen_from: Place) -> String {
        let line = place.line();
        if place.file == seen_from.file {
            return format!("line {line}");
        }
        format!("{}:{line}", self.file(place))
    }

    /// Whether further findings are only counted, so that hints need not be looked for.
    pub(super) fn is_full(&self) -> bool {
        self.found.len() >= limits::TAK_FINDINGS_MAX
    }

    /// Forgets what was found, after the first `keep` findings, on one of these lines.
    pub(super) fn forget(&mut self, keep: usize, lines: &BTreeSet<u32>) {
        let later = self.found.split_off(keep.min(self.found.len()));
        let (gone, kept): (Vec<_>, Vec<_>) =
            later.into_iter().partition(|(place, ..)| lines.contains(&place.line()));
        let errors = gone.iter().filter(|(_, it, ..)| *it == Severity::Error).count();
        self.errors = self.errors.saturating_sub(errors);
        self.found.extend(kept);
    }

    /// How far it has come, for [`Self::back_to`].
    pub(super) fn mark(&self) -> Mark {
        Mark { found: self.found.len(), errors: self.errors, left_out: self.left_out }
    }

    /// Forgets everything since the mark.
    pub(super) fn back_to(&mut self, mark: &Mark) {
        self.found.truncate(mark.found);
        (self.errors, self.left_out) = (mark.errors, mark.left_out);
    }

    pub(super) fn len(&self) -> usize {
        self.found.len()
    }

    fn file(&self, place: Place) -> &str {
        self.files.get(place.file_index()).map_or("?", AsRef::as_ref)
    }

    pub(super) fn error(&mut self, place: Place, message: String, hint: impl Into<Option<String>>) {
        self.errors += 1;
        self.push(place, Severity::Error, message, hint.into());
    }

    pub(super) fn warn(&mut self, place: Place, message: String, hint: impl Into<Option<String>>) {
        self.push(place, Severity::Warning, message, hint.into());
    }

    pub(super) fn has_errors(&self) -> bool {
        self.errors > 0
    }

    fn push(&mut self, place: Place, severity: Severity, message: String, hint: Option<String>) {
        let full = self.is_full();
        // An error always finds room: a refusal must say why.
        if full && (severity == Severity::Warning || self.errors > 1) {
            self.left_out += 1;
        } else {
            self.found.push((place, severity, message, hint));
        }
    }

    /// In order of file and place.
    pub(super) fn finish(mut self) -> Vec<Finding> {
        let mut found = std::mem::take(&mut self.found);
        found.sort();
        if self.left_out > 0
            && let Some((place, ..)) = found.last()
        {
            let more = format!("{} more findings are not shown", self.left_out);
            let hint = Some("mend those that are shown and check again".to_owned());
            found.push((*place, Severity::Warning, more, hint));
        }
        let finding = |(place, severity, message, hint): (Place, _, _, _)| Finding {
            severity,
            file: self.file(place).to_owned(),
            line: place.line(),
            column: place.column(),
            message,
            hint,
        };
        found.into_iter().map(finding).collect()
    }
}
