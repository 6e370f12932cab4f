//! The master key: 32 bytes that are on another disk than what they open, or in a key service.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;

use aws_lc_rs::hmac;

use super::seal::{self, KEY_BYTES, Key};
use super::{KeyError, hex, of_hex};
use crate::limits;

/// Where the master key comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A file that holds it as 64 hexadecimal digits.
    File(PathBuf),
    /// A program and its arguments; it prints the same.
    Command(Vec<String>),
}

/// The key that all keys of a store are under.
pub struct MasterKey([u8; KEY_BYTES]);

impl std::fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MasterKey(…)")
    }
}

impl MasterKey {
    /// Fetches the key. Waits for a command at most [`limits::MASTER_KEY_TIME_MAX`].
    ///
    /// # Errors
    /// When it cannot be had, or what was had is no key; never repeats what that was.
    pub fn fetch(from: &Source) -> Result<Self, KeyError> {
        let (text, whence) = match from {
            Source::File(path) => {
                let file = fs::File::open(path).map_err(KeyError::disk("opening", path))?;
                (
                    bounded(file).map_err(KeyError::disk("reading", path))?,
                    path.display().to_string(),
                )
            }
            Source::Command(command) => (printed(command)?, told(command)),
        };
        Self::parse(&text).ok_or_else(|| {
            KeyError::Master(format!(
                "{whence} gives no key: 64 hexadecimal digits are expected; `klagomal keys new FILE` \
                 makes one"
            ))
        })
    }

    /// Reads 64 hexadecimal digits, with space around them.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        of_hex(text.trim())?.try_into().ok().map(Self)
    }

    /// A new one, as its file holds it.
    ///
    /// # Errors
    /// When there is no randomness to be had.
    pub fn new_text() -> Result<String, KeyError> {
        Ok(hex(&seal::random()?))
    }

    pub(super) fn key(&self) -> Result<Key, KeyError> {
        Key::new(&self.0)
    }

    /// What tells this key from others, and nothing else about it.
    pub(super) fn check(&self) -> [u8; 16] {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.0);
        let sum = hmac::sign(&key, b"klagomal master key");
        let mut check = [0; 16];
        check.iter_mut().zip(sum.as_ref()).for_each(|(to, from)| *to = *from);
        check
    }
}

/// Whether others on the machine than its owner may read a file.
#[must_use]
pub fn is_open_to_others(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).is_ok_and(|it| it.permissions().mode() & 0o077 != 0)
}

/// A key is 64 characters; more than some lines is no key.
fn bounded(from: impl Read) -> std::io::Result<String> {
    let mut text = String::new();
    from.take(limits::MASTER_KEY_TEXT_BYTES_MAX).read_to_string(&mut text)?;
    Ok(text)
}

fn told(command: &[String]) -> String {
    format!("the command {}", command.first().map_or("", String::as_str))
}

fn printed(command: &[String]) -> Result<String, KeyError> {
    let failed = |why: String| KeyError::Master(format!("{} {why}", told(command)));
    let [program, arguments @ ..] = command else {
        return Err(KeyError::Master("the command is empty".to_owned()));
    };
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| failed(format!("cannot be started: {error}")))?;
    let (done, waited) = mpsc::sync_channel(1);
    std::thread::spawn(move || {
        let text = child.stdout.take().map_or_else(|| Ok(String::new()), bounded);
        // Nobody may be waiting any more.
        done.send(child.wait().map(|status| (status, text))).unwrap_or_default();
    });
    match waited.recv_timeout(limits::MASTER_KEY_TIME_MAX) {
        Ok(Ok((status, Ok(text)))) if status.success() => Ok(text),
        Ok(Ok((status, _))) if !status.success() => {
            Err(failed(format!("ended with {status}; what it said is on standard error")))
        }
        Ok(Ok((_, Ok(_)))) => Err(failed("printed nothing".to_owned())),
        Ok(Ok((_, Err(error)))) => Err(failed(format!("printed what is no text: {error}"))),
        Ok(Err(error)) => Err(failed(format!("cannot be waited for: {error}"))),
        Err(_) => {
            let most = limits::MASTER_KEY_TIME_MAX.as_secs();
            Err(failed(format!("has not ended within {most} s")))
        }
    }
}
