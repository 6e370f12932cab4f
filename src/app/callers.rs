//! The connections to each system, and the identities that they are made with.
//!
//! An identity is read apart from the calls, so that the last good one goes on while its files are
//! being replaced one after the other.

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
use crate::tls::{self, ClientTls, Reloads, TlsError};

/// The files that a connection is made with.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Files {
    certificate: PathBuf,
    key: PathBuf,
    trust: Vec<PathBuf>,
}

/// With the name of the system; empty for a bare URL.
type Key = (Files, String);

/// What calls are made with, by its files.
#[derive(Debug, Default)]
struct Identities {
    usable: BTreeMap<Files, Arc<ClientTls>>,
    /// Never read well, and why: no call can be made with them.
    unusable: BTreeMap<Files, String>,
}

#[derive(Debug)]
struct Kept {
    tls: Arc<ClientTls>,
    generation: u64,
    producer: Producer,
    pool: Arc<Pool>,
}

impl Kept {
    /// With the identity as it is now; its files are not looked at.
    fn new(tls: Arc<ClientTls>) -> Result<Self, String> {
        let generation = tls.generation();
        let producer =
            Producer::new((*tls.config()).clone()).map_err(|error| Chain(&error).to_string())?;
        let pool = Arc::new(Pool::new(Some(tls.config()), outbound::Settings::default()));
        Ok(Self { tls, generation, producer, pool })
    }

    fn is_current(&self) -> bool {
        self.generation == self.tls.generation()
    }
}

/// One identity for each set of files, and one client for each identity and system: calls to one
/// system share their connections.
#[derive(Debug)]
pub(super) struct Connections {
    outbound: Outbound,
    /// The folder that relative paths in the routing configuration start from.
    base: PathBuf,
    clock: Arc<dyn Clock>,
    identities: Mutex<Identities>,
    kept: Mutex<BTreeMap<Key, Kept>>,
}

impl Connections {
    pub(super) fn new(outbound: Outbound, base: PathBuf, clock: Arc<dyn Clock>) -> Self {
        let (identities, kept) = (Mutex::default(), Mutex::default());
        Self { outbound, base, clock, identities, kept }
    }

    /// Reads the identities of calls to `systems` again, or for the first time, and forgets what none
    /// of them is called with any more; calls under way keep theirs. What is wrong with the files is
    /// returned, and kept for [`Connections::faults`].
    pub(super) fn read<'s>(&self, systems: impl Iterator<Item = &'s System>) -> Vec<String> {
        let named: BTreeSet<Key> =
            systems.map(Some).chain([None]).map(|system| self.key(system)).collect();
        self.locked().retain(|key, _| named.contains(key));
        let files: BTreeSet<Files> = named.into_iter().map(|(files, _)| files).collect();
        let known = {
            let mut identities = self.identities();
            identities.usable.retain(|one, _| files.contains(one));
            identities.unusable.retain(|one, _| files.contains(one));
            identities.usable.clone()
        };
        // Outside the lock, so that no call waits while files are read.
        for one in files {
            match known.get(&one) {
                Some(tls) => drop(tls.reload(self.clock.now())),
                None => drop(self.open(&one)),
            }
        }
        self.faults()
    }

    /// Files that are not as they should be, and why: an older identity goes on where there is one.
    pub(super) fn faults(&self) -> Vec<String> {
        let identities = self.identities();
        let told = |files: &Files, what: &str| {
            format!("calls with {}: {what}", files.certificate.display())
        };
        let older = identities.usable.iter().flat_map(|(files, tls)| {
            let faults = tls.faults().into_iter();
            faults.map(move |(part, error)| told(files, &format!("{part}: {error}")))
        });
        let none = identities.unusable.iter().map(|(files, why)| told(files, why));
        older.chain(none).collect()
    }

    pub(super) fn expiries(&self) -> Vec<tls::Expiry> {
        let identities: Vec<_> = self.identities().usable.values().cloned().collect();
        identities.iter().flat_map(|tls| tls.expiries()).collect()
    }

    fn identities(&self) -> MutexGuard<'_, Identities> {
        self.identities.lock().unwrap_or_else(PoisonError::into_inner)
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
        let made = Kept::new(self.identity(&key.0)?)?;
        let mut kept = self.locked();
        // Another call may have made one meanwhile: both share it.
        if let Some(one) = kept.get(&key).filter(|one| one.is_current()) {
            return Ok(wanted(one));
        }
        let it = wanted(&made);
        kept.insert(key, made);
        Ok(it)
    }

    /// The one in use, or, where there is none yet, one made of the files as they are now.
    fn identity(&self, files: &Files) -> Result<Arc<ClientTls>, String> {
        if let Some(tls) = self.identities().usable.get(files) {
            return Ok(Arc::clone(tls));
        }
        self.open(files).map_err(|error| Chain(&error).to_string())
    }

    fn open(&self, files: &Files) -> Result<Arc<ClientTls>, TlsError> {
        let settings = tls::Settings::new(&files.certificate, &files.key, &files.trust);
        let opened = ClientTls::new(settings, Arc::clone(&self.clock));
        let mut identities = self.identities();
        match opened {
            Ok(tls) => {
                identities.unusable.remove(files);
                // Of two opened at once the first stays: only what stands here is reloaded.
                Ok(Arc::clone(identities.usable.entry(files.clone()).or_insert(tls)))
            }
            Err(error) => {
                if !identities.usable.contains_key(files) {
                    identities.unusable.insert(files.clone(), Chain(&error).to_string());
                }
                Err(error)
            }
        }
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

    /// Connections with the certificates of the gateway, in a runtime.
    fn with_connections(test: impl FnOnce(&Certificates, &Connections)) {
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
        test(&made, &connections);
    }

    fn read(connections: &Connections) -> Vec<String> {
        connections.read(std::iter::empty())
    }

    #[test]
    fn calls_share_connections_until_a_certificate_changes() {
        with_connections(|made, connections| {
            let first = connections.pool(None).unwrap();
            assert!(Arc::ptr_eq(&first, &connections.pool(None).unwrap()));
            assert_eq!(read(connections), Vec::<String>::new());
            assert!(Arc::ptr_eq(&first, &connections.pool(None).unwrap()), "nothing has changed");
            made.copy("region.crt", "gateway.crt");
            made.copy("region.key", "gateway.key");
            assert_eq!(read(connections), Vec::<String>::new());
            let second = connections.pool(None).unwrap();
            assert!(!Arc::ptr_eq(&first, &second), "old connections show the old certificate");
            assert!(Arc::ptr_eq(&second, &connections.pool(None).unwrap()));
            let gone = (connections.own(), "gone".to_owned());
            let made = Kept::new(connections.identity(&gone.0).unwrap()).unwrap();
            connections.locked().insert(gone.clone(), made);
            assert_eq!(read(connections), Vec::<String>::new());
            assert!(!connections.locked().contains_key(&gone), "no table names it");
            assert!(Arc::ptr_eq(&second, &connections.pool(None).unwrap()));
        });
    }

    #[test]
    fn while_files_are_being_replaced_calls_go_on_with_what_was_read_before() {
        with_connections(|made, connections| {
            assert_eq!(read(connections), Vec::<String>::new());
            // The first call, and one after a reload, with a certificate whose key is not there yet.
            made.copy("region.crt", "gateway.crt");
            let first = connections.pool(None).unwrap();
            made.copy("region.key", "gateway.key");
            assert_eq!(read(connections), Vec::<String>::new());
            made.copy("ca.crt", "gateway.crt");
            let second = connections.pool(None).unwrap();
            assert!(!Arc::ptr_eq(&first, &second));
            let faults = read(connections);
            assert_eq!(faults.len(), 1, "{faults:?}");
            assert!(faults[0].contains("gateway.crt: certificate: "), "{faults:?}");
            assert_eq!(connections.faults(), faults);
            assert!(Arc::ptr_eq(&second, &connections.pool(None).unwrap()));
        });
    }

    #[test]
    fn an_identity_that_was_never_good_is_told_until_it_is() {
        with_connections(|made, connections| {
            let good = std::fs::read(made.path("gateway.key")).unwrap();
            made.copy("region.key", "gateway.key");
            assert!(connections.pool(None).is_err());
            let faults = connections.faults();
            assert_eq!(faults.len(), 1, "{faults:?}");
            assert_eq!(read(connections), faults);
            std::fs::write(made.path("gateway.key"), good).unwrap();
            assert!(connections.pool(None).is_ok());
            assert_eq!(connections.faults(), Vec::<String>::new());
        });
    }
}
