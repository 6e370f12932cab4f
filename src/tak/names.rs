//! Texts of rows kept once: contracts, addresses and consumers, without regard to case.

use std::hash::{BuildHasher as _, Hasher as _};

use hashbrown::{DefaultHashBuilder as RandomState, HashTable};

/// Stands for one text in one table; compared instead of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Name(u32);

/// Every text that rows are looked up by. Ids and contracts are equal without regard to case.
#[derive(Debug, Default)]
pub(super) struct Names {
    by_text: HashTable<Name>,
    texts: Texts,
    hash: RandomState,
}

/// The texts end to end: one block of memory, and nothing left behind when it goes.
#[derive(Debug, Default)]
struct Texts {
    all: String,
    ends: Vec<usize>,
}

/// Sets the bit that tells a small ASCII letter from a large one, in each of eight bytes. Other
/// characters that it makes one are told apart where the texts are compared.
const LOWER: u64 = 0x2020_2020_2020_2020;

impl Names {
    /// The name of `text`, given now if it has none.
    pub(super) fn give(&mut self, text: &str) -> Name {
        let hash = hash(&self.hash, text);
        if let Some(name) = self.texts.find(&self.by_text, hash, text) {
            return name;
        }
        let name = self.texts.push(text);
        let texts = &self.texts;
        let again = |it: &Name| self::hash(&self.hash, texts.get(*it));
        self.by_text.insert_unique(hash, name, again);
        name
    }

    /// The name of `text`, if any row has it.
    pub(super) fn find(&self, text: &str) -> Option<Name> {
        self.texts.find(&self.by_text, hash(&self.hash, text), text)
    }

    /// As the first row wrote it.
    pub(super) fn text(&self, name: Name) -> &str {
        self.texts.get(name)
    }

    /// Gives back the room that was taken ahead of need.
    pub(super) fn settle(&mut self) {
        self.texts.all.shrink_to_fit();
        self.texts.ends.shrink_to_fit();
    }
}

impl Texts {
    fn push(&mut self, text: &str) -> Name {
        // The bytes that a folder may hold keep this far below the end of u32.
        let name = Name(u32::try_from(self.ends.len()).unwrap_or(u32::MAX));
        self.all.push_str(text);
        self.ends.push(self.all.len());
        name
    }

    fn get(&self, name: Name) -> &str {
        let at = usize::try_from(name.0).unwrap_or(usize::MAX);
        let start = at.checked_sub(1).and_then(|it| self.ends.get(it)).copied().unwrap_or(0);
        self.ends.get(at).and_then(|end| self.all.get(start..*end)).unwrap_or("?")
    }

    fn find(&self, among: &HashTable<Name>, hash: u64, text: &str) -> Option<Name> {
        among.find(hash, |it| self.get(*it).eq_ignore_ascii_case(text)).copied()
    }
}

fn hash(state: &RandomState, text: &str) -> u64 {
    let mut hasher = state.build_hasher();
    let (words, rest) = text.as_bytes().as_chunks::<8>();
    for word in words {
        hasher.write_u64(u64::from_le_bytes(*word) | LOWER);
    }
    let last = rest.iter().fold(0, |word, byte| (word << 8) | u64::from(*byte));
    hasher.write_u64(last | LOWER);
    hasher.write_usize(text.len());
    hasher.finish()
}
