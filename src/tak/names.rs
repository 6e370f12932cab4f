//! Texts of rows kept once: contracts, addresses and consumers, without regard to case.

use std::collections::BTreeMap;
use std::sync::Arc;

/// Stands for one text in one table; compared instead of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Name(u32);

/// Every text that rows are looked up by. Ids and contracts are equal without regard to case.
#[derive(Debug, Default)]
pub(super) struct Names {
    by_text: BTreeMap<Arc<str>, Name>,
    texts: Vec<Arc<str>>,
}

impl Names {
    /// The name of `text`, given now if it has none.
    pub(super) fn give(&mut self, text: &str) -> Name {
        let lower = text.to_ascii_lowercase();
        if let Some(name) = self.by_text.get(lower.as_str()) {
            return *name;
        }
        // The bytes that a folder may hold keep this far below the end of u32.
        let name = Name(u32::try_from(self.texts.len()).unwrap_or(u32::MAX));
        self.by_text.insert(lower.into(), name);
        self.texts.push(text.into());
        name
    }

    /// The name of `text`, if any row has it.
    pub(super) fn find(&self, text: &str) -> Option<Name> {
        self.by_text.get(text.to_ascii_lowercase().as_str()).copied()
    }

    /// As the first row wrote it, to keep.
    pub(super) fn shared(&self, name: Name) -> Option<Arc<str>> {
        self.texts.get(usize::try_from(name.0).ok()?).map(Arc::clone)
    }

    /// As the first row wrote it.
    pub(super) fn text(&self, name: Name) -> &str {
        let at = usize::try_from(name.0).unwrap_or(usize::MAX);
        self.texts.get(at).map_or("?", AsRef::as_ref)
    }
}
