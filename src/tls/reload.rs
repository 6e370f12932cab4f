//! What is in use, and taking new files into use part by part.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use jiff::Timestamp;
use tokio::sync::watch;

use super::files::{self, Identity, Lists, Trust};
use super::{Expiry, Settings, TlsError};

/// The parts that are kept or replaced each by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Own certificate and key.
    Identity,
    /// Trusted authorities.
    Trust,
    /// Revocation lists.
    Lists,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Identity => "certificate",
            Self::Trust => "trust list",
            Self::Lists => "revocation lists",
        })
    }
}

/// What came of reading the files again.
#[derive(Debug, Default)]
pub struct Reload {
    /// Parts now in use with new content. Empty: nothing was swapped.
    pub changed: Vec<Part>,
    /// Parts whose files are wrong; their last good content stays in use.
    pub faults: Vec<(Part, TlsError)>,
}

/// Something made of files that can be read again.
pub trait Reloads: Send + Sync {
    /// The files.
    fn paths(&self) -> Vec<PathBuf>;
    /// Reads them again (blocking: small files), swapping in what is new and good.
    fn reload(&self, now: Timestamp) -> Reload;
}

/// The parts in use.
#[derive(Debug, Clone)]
pub(super) struct Parts {
    pub(super) identity: Identity,
    pub(super) trust: Trust,
    pub(super) lists: Lists,
}

/// What is in use at one moment; a connection keeps the one it began with.
#[derive(Debug)]
pub(super) struct InUse<C> {
    pub(super) parts: Parts,
    pub(super) made: C,
    pub(super) generation: u64,
}

/// How what is used is made of the parts.
pub(super) type Make<C> = Box<dyn Fn(&Settings, &Parts) -> Result<C, TlsError> + Send + Sync>;

/// A configuration made of files, swapped whole.
pub(super) struct Kept<C> {
    pub(super) settings: Settings,
    make: Make<C>,
    current: ArcSwap<InUse<C>>,
    /// One reload at a time; holds what was wrong at the last.
    faults: Mutex<Vec<(Part, String)>>,
    changes: watch::Sender<u64>,
}

impl<C> fmt::Debug for Kept<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl<C> Kept<C> {
    pub(super) fn new(settings: Settings, make: Make<C>) -> Result<Self, TlsError> {
        let identity = files::identity(&settings)?;
        let trust = files::trust(&settings)?;
        let lists = files::lists(&settings, &trust)?;
        let parts = Parts { identity, trust, lists };
        let made = make(&settings, &parts)?;
        Ok(Self {
            settings,
            make,
            current: ArcSwap::from_pointee(InUse { parts, made, generation: 1 }),
            faults: Mutex::new(Vec::new()),
            changes: watch::Sender::new(1),
        })
    }

    pub(super) fn current(&self) -> Arc<InUse<C>> {
        self.current.load_full()
    }

    pub(super) fn generation(&self) -> u64 {
        self.current.load().generation
    }

    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    pub(super) fn faults(&self) -> Vec<(Part, String)> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn expiries(&self) -> Vec<Expiry> {
        let current = self.current();
        let parts = &current.parts;
        let certificates = parts.identity.expiries.iter().chain(&parts.trust.expiries);
        certificates.chain(parts.lists.expiries()).cloned().collect()
    }

    pub(super) fn reload(&self, now: Timestamp) -> Reload {
        let mut kept_faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        let old = self.current();
        let mut out = Reload::default();
        let mut parts = old.parts.clone();
        match files::identity(&self.settings)
            .and_then(|new| replaces(new, &parts.identity, now, &self.settings))
        {
            Ok(new) if new.digest == parts.identity.digest => {}
            Ok(new) => {
                parts.identity = new;
                out.changed.push(Part::Identity);
            }
            Err(error) => out.faults.push((Part::Identity, error)),
        }
        match files::trust(&self.settings) {
            Ok(new) if new.digest == parts.trust.digest => {}
            Ok(new) => {
                parts.trust = new;
                out.changed.push(Part::Trust);
            }
            Err(error) => out.faults.push((Part::Trust, error)),
        }
        match files::lists(&self.settings, &parts.trust) {
            Ok(new) if new.digest == parts.lists.digest => {}
            Ok(new) => {
                parts.lists = new;
                out.changed.push(Part::Lists);
            }
            Err(error) => out.faults.push((Part::Lists, error)),
        }
        if !out.changed.is_empty() {
            self.swap(parts, &old, &mut out);
        }
        *kept_faults = out.faults.iter().map(|(part, error)| (*part, told(error))).collect();
        out
    }

    fn swap(&self, parts: Parts, old: &InUse<C>, out: &mut Reload) {
        match (self.make)(&self.settings, &parts) {
            Ok(made) => {
                let generation = old.generation + 1;
                self.current.store(Arc::new(InUse { parts, made, generation }));
                self.changes.send_replace(generation);
            }
            Err(error) => {
                let part = out.changed.first().copied().unwrap_or(Part::Trust);
                out.changed.clear();
                out.faults.push((part, error));
            }
        }
    }
}

/// A new own certificate that is not valid now does not push out one that is.
fn replaces(
    new: Identity,
    old: &Identity,
    now: Timestamp,
    settings: &Settings,
) -> Result<Identity, TlsError> {
    let holds = |one: &Identity| one.from <= now && now <= one.until;
    if new.digest != old.digest && holds(old) && !holds(&new) {
        let path = settings.certificate.clone();
        return Err(TlsError::NotNow { path, from: new.from, until: new.until });
    }
    Ok(new)
}

/// An error with its causes, on one line.
pub(super) fn told(error: &dyn std::error::Error) -> String {
    let mut out = error.to_string();
    let mut cause = error.source();
    while let Some(one) = cause {
        out.push_str(": ");
        out.push_str(&one.to_string());
        cause = one.source();
    }
    out
}
