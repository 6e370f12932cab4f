//! What must be in a backup, as it was written down when it was made.

use std::fs;
use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{BackupError, tree};
use crate::limits;

/// The form that this program writes of a sealed store. It reads this one and every older one.
pub const FORMAT: u32 = 2;

/// The form of a store that is not sealed, which older versions can read.
pub const UNSEALED_FORMAT: u32 = 1;

/// The file's name.
pub const NAME: &str = "manifest.json";
/// Its own hash, as `sha256sum` writes and checks it.
pub const SUM: &str = "manifest.json.sha256";

/// What a backup holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`FORMAT`] when it was written.
    pub format: u32,
    /// When the copy was begun: everything acknowledged before is in it.
    pub at: Timestamp,
    /// The version of the program that made it.
    pub program: String,
    /// What the journal is called.
    pub journal: String,
    /// The last record.
    pub head: Head,
    /// Whole records.
    pub records: u64,
    /// The journal's files, in order.
    pub segments: Vec<Part>,
    /// Distinct files that the records name.
    pub attachments: u64,
    /// Bytes of them.
    pub attachment_bytes: u64,
    /// Damaged parts that were met while it was made: the store has them, too.
    pub damage: u64,
    /// The routing configuration.
    pub routing: Routing,
    /// The keys of a sealed store.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<Part>,
}

/// A place in the chain of records: with it on paper nobody can replace what came before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The number of the record.
    pub seq: u64,
    /// SHA-256 of its frame, in lower-case hexadecimal.
    pub hash: String,
}

impl std::fmt::Display for Head {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.seq, self.hash)
    }
}

impl std::str::FromStr for Head {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = "a head is written SEQ:HASH, as `klagomal audit verify` prints it";
        let (seq, hash) = text.trim().split_once(':').ok_or(form)?;
        let hash = hash.to_ascii_lowercase();
        let whole = hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_hexdigit());
        match (seq.parse(), whole) {
            (Ok(seq), true) => Ok(Self { seq, hash }),
            _ => Err(form.to_owned()),
        }
    }
}

/// One file of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Its name in its folder.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// Of its content, in lower-case hexadecimal.
    pub sha256: String,
}

/// The routing folder as it lay there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Routing {
    /// The generation that was in force.
    pub generation: String,
    /// Its files.
    pub files: Vec<Part>,
}

impl Manifest {
    pub(super) fn write(&self, dir: &Path) -> Result<(), BackupError> {
        let text = serde_json::to_string_pretty(self)
            .map_err(|error| Self::bad(dir, format!("it cannot be written: {error}")))?;
        let path = dir.join(NAME);
        tree::write(&path, text.as_bytes())?;
        let print = tree::print(&path).map_err(BackupError::disk("reading", &path))?;
        tree::write(&dir.join(SUM), format!("{}  {NAME}\n", print.sha256).as_bytes())
    }

    /// Reads the manifest of the backup `dir`.
    ///
    /// # Errors
    /// When there is none, it has been changed, or a later version wrote it.
    pub fn read(dir: &Path) -> Result<Self, BackupError> {
        let path = dir.join(NAME);
        let length = fs::metadata(&path).map_err(BackupError::disk("looking at", &path))?.len();
        if length > limits::MANIFEST_BYTES_MAX {
            return Err(Self::bad(dir, format!("{length} bytes are more than one has")));
        }
        let bytes = fs::read(&path).map_err(BackupError::disk("reading", &path))?;
        let form: Form = serde_json::from_slice(&bytes).map_err(|error| {
            Self::bad(dir, format!("it is damaged ({error}); use another copy"))
        })?;
        if form.format > FORMAT {
            let why = format!(
                "it has form {}, this program reads up to {FORMAT}; run the newer version",
                form.format
            );
            return Err(Self::bad(dir, why));
        }
        let sum = dir.join(SUM);
        let wanted = fs::read(&sum).map_err(BackupError::disk("reading", &sum))?;
        let found = tree::print(&path).map_err(BackupError::disk("reading", &path))?;
        if wanted != format!("{}  {NAME}\n", found.sha256).as_bytes() {
            let why = format!("its SHA-256 is not the one in {SUM}; use another copy");
            return Err(Self::bad(dir, why));
        }
        serde_json::from_slice(&bytes)
            .map_err(|error| Self::bad(dir, format!("it is damaged ({error}); use another copy")))
    }

    fn bad(dir: &Path, why: String) -> BackupError {
        BackupError::Manifest { dir: dir.to_owned(), why }
    }
}

/// Only what says which form the rest has.
#[derive(Deserialize)]
struct Form {
    format: u32,
}
