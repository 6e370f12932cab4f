//! The connections to each system: made when first needed, and anew when certificates change.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::clock::Clock;
use crate::config::Outbound;
use crate::delivery::Callers;
use crate::gateway::Pools;
use crate::outbound::{self, Pool};
use crate::producer::{Caller, Producer};
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

/// With the name of the system; empty for a bare URL.
type Key = (Files, String);

#[derive(Debug)]
struct Kept {
    tls: Arc<ClientTls>,
    generation: u64,
    producer: Producer,
    pool: Arc<Pool>,
}

impl Kept {
    fn is_current(&self) -> bool {
        self.generation == self.tls.generation()
    }
}

/// One client for each identity and system; calls to one system share their connections.
#[derive(Debug)]
pub(super) struct Connections {
    outbound: Outbound,
    /// The folder that relative paths in the routing configuration start from.
    base: PathBuf,
    clock: Arc<dyn Clock>,
    kept: Mutex<BTreeMap<Key, Kept>>,
}

impl Connections {
    pub(super) fn new(outbound: Outbound, base: PathBuf, clock: Arc<dyn Clock>) -> Self {
        Self { outbound, base, clock, kept: Mutex::default() }
    }

    /// The identities in use, to be watched and reloaded.
    pub(super) fn reload(&self) -> Vec<String> {
        let now = self.clock.now();
        let mut lines = Vec::new();
        for (system, tls) in self.identities() {
            for (part, error) in tls.reload(now).faults {
                lines.push(format!("calls to {system}: {part}: {}", Chain(&error)));
            }
        }
        lines
    }

    pub(super) fn expiries(&self) -> Vec<tls::Expiry> {
        self.identities().iter().flat_map(|(_, tls)| tls.expiries()).collect()
    }

    /// Forgets what none of `systems` is called with any more. Calls under way keep theirs.
    pub(super) fn keep<'s>(&self, systems: impl Iterator<Item = &'s System>) {
        let named: BTreeSet<_> =
            systems.map(Some).chain([None]).map(|system| self.key(system)).collect();
        self.locked().retain(|key, _| named.contains(key));
    }

    /// Taken out, so that no call waits while files are read.
    fn identities(&self) -> Vec<(String, Arc<ClientTls>)> {
        let kept = self.locked();
        kept.iter().map(|((_, system), one)| (system.clone(), Arc::clone(&one.tls))).collect()
    }

    fn locked(&self) -> MutexGuard<'_, BTreeMap<Key, Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn key(&self, system: Option<&System>) -> Key {
        let files = system.map_or_else(|| self.own(), |system| self.files(system));
        let name = system.map(|it| it.id.clone().unwrap_or_else(|| it.hsa_id.to_string()));
        (files, name.unwrap_or_default())
    }

    /// What `system` is called with, made anew where its certificates have changed. Without a system
    /// (a route that gives a bare URL), the gateway's own.
    fn kept<T>(&self, system: Option<&System>, wanted: impl Fn(&Kept) -> T) -> Result<T, String> {
        let key = self.key(system);
        if let Some(one) = self.locked().get(&key).filter(|one| one.is_current()) {
            return Ok(wanted(one));
        }
        let made = self.make(&key.0)?;
        let mut kept = self.locked();
        // Another call may have made one meanwhile: both share it.
        if let Some(one) = kept.get(&key).filter(|one| one.is_current()) {
            return Ok(wanted(one));
        }
        let it = wanted(&made);
        kept.insert(key, made);
        Ok(it)
    }

    fn own(&self) -> Files {
        let Outbound { certificate, key, trust } = self.outbound.clone();
        Files { certificate, key, trust }
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
        let pool = Arc::new(Pool::new(Some(tls.config()), outbound::Settings::default()));
        Ok(Kept { tls, generation, producer, pool })
    }
}

impl Callers for Connections {
    fn producer(&self, system: &System) -> Result<Box<dyn Caller>, String> {
        let producer = self.kept(Some(system), |kept| kept.producer.clone())?;
        Ok(Box::new(producer))
    }
}

impl Pools for Connections {
    fn pool(&self, system: Option<&System>) -> Result<Arc<Pool>, String> {
        self.kept(system, |kept| Arc::clone(&kept.pool))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::tests::Certificates;

    #[test]
    fn calls_share_connections_until_a_certificate_changes() {
        let made = Certificates::make();
        let outbound = Outbound {
            certificate: made.path("gateway.crt"),
            key: made.path("gateway.key"),
            trust: vec![made.path("ca.crt")],
        };
        let clock = Arc::new(made.clock.clone());
        let connections = Connections::new(outbound, PathBuf::new(), clock);
        // A pool looks after its unused connections in a task.
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let _inside = runtime.enter();
        let first = connections.pool(None).unwrap();
        assert!(Arc::ptr_eq(&first, &connections.pool(None).unwrap()));
        assert_eq!(connections.reload(), Vec::<String>::new());
        assert!(Arc::ptr_eq(&first, &connections.pool(None).unwrap()), "nothing has changed");
        made.copy("region.crt", "gateway.crt");
        made.copy("region.key", "gateway.key");
        assert_eq!(connections.reload(), Vec::<String>::new());
        let second = connections.pool(None).unwrap();
        assert!(!Arc::ptr_eq(&first, &second), "the old connections show the old certificate");
        assert!(Arc::ptr_eq(&second, &connections.pool(None).unwrap()));
        let gone = (connections.own(), "gone".to_owned());
        let made = connections.make(&gone.0).unwrap();
        connections.locked().insert(gone.clone(), made);
        connections.keep(std::iter::empty());
        assert!(!connections.locked().contains_key(&gone), "no table names it");
        assert!(Arc::ptr_eq(&second, &connections.pool(None).unwrap()));
    }
}
