//! The connections to each system: made when first needed, and anew when certificates change.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use crate::clock::Clock;
use crate::config::Outbound;
use crate::delivery::Callers;
use crate::producer::Producer;
use crate::tak::System;
use crate::telemetry::Chain;
use crate::tls::{self, ClientTls, Reloads};

/// The files that a connection is made with.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Files {
    certificate: PathBuf,
    key: PathBuf,
    trust: Vec<PathBuf>,
}

#[derive(Debug)]
struct Kept {
    tls: Arc<ClientTls>,
    generation: u64,
    producer: Producer,
}

/// One client for each identity and system; calls to one system share their connections.
#[derive(Debug)]
pub(super) struct Connections {
    outbound: Outbound,
    /// The folder that relative paths in the routing configuration start from.
    base: PathBuf,
    clock: Arc<dyn Clock>,
    kept: Mutex<BTreeMap<(Files, String), Kept>>,
}

impl Connections {
    pub(super) fn new(outbound: Outbound, base: PathBuf, clock: Arc<dyn Clock>) -> Self {
        Self { outbound, base, clock, kept: Mutex::default() }
    }

    /// The identities in use, to be watched and reloaded.
    pub(super) fn reload(&self) -> Vec<String> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now();
        let mut lines = Vec::new();
        for ((_, system), one) in kept.iter() {
            for (part, error) in one.tls.reload(now).faults {
                lines.push(format!("calls to {system}: {part}: {}", Chain(&error)));
            }
        }
        lines
    }

    pub(super) fn expiries(&self) -> Vec<tls::Expiry> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.values().flat_map(|one| one.tls.expiries()).collect()
    }

    fn files(&self, system: &System) -> Files {
        let own = |path: &Option<PathBuf>, default: &PathBuf| {
            path.as_ref().map_or_else(|| default.clone(), |path| self.base.join(path))
        };
        Files {
            certificate: own(&system.certificate, &self.outbound.certificate),
            key: own(&system.key, &self.outbound.key),
            trust: match &system.trust {
                Some(path) => vec![self.base.join(path)],
                None => self.outbound.trust.clone(),
            },
        }
    }

    fn make(&self, files: &Files) -> Result<Kept, String> {
        let settings = tls::Settings::new(&files.certificate, &files.key, &files.trust);
        let tls = ClientTls::new(settings, Arc::clone(&self.clock))
            .map_err(|error| Chain(&error).to_string())?;
        let generation = tls.generation();
        let producer =
            Producer::new((*tls.config()).clone()).map_err(|error| Chain(&error).to_string())?;
        Ok(Kept { tls, generation, producer })
    }
}

impl Callers for Connections {
    fn producer(&self, system: &System) -> Result<Producer, String> {
        let files = self.files(system);
        let key = (files, system.id.clone().unwrap_or_else(|| system.hsa_id.to_string()));
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(one) = kept.get(&key)
            && one.generation == one.tls.generation()
        {
            return Ok(one.producer.clone());
        }
        let made = self.make(&key.0)?;
        let producer = made.producer.clone();
        kept.insert(key, made);
        Ok(producer)
    }
}
