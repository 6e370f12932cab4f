//! Opens the store, with what seals it.

use std::sync::{Arc, OnceLock};

use uuid::Uuid;

use super::StartError;
use crate::cases::Cases;
use crate::cases::fold::CaseFold;
use crate::clock::Clock;
use crate::config::{Config, Store};
use crate::routing::Current;
use crate::store::blobs::Blobs;
use crate::store::engine::{Engine, Settings, StoreError};
use crate::store::keys::master::{self, MasterKey, Source};
use crate::store::keys::{KeyError, Keys};

/// Opens the store of `config`, finishes a removal of cases that was cut off, and says whether what is
/// kept is sealed.
pub(super) fn open(
    config: &Config,
    routing: &Current,
    clock: &Arc<dyn Clock>,
) -> Result<Cases, StartError> {
    let Store { dir, min_free_bytes, .. } = &config.store;
    let mut settings = Settings::new(dir);
    settings.free_bytes_min = *min_free_bytes;
    let keys = OnceLock::new();
    // Keys are opened once the folder is locked. What was found is told by the engine itself.
    let fold = || {
        let opened = keys_of(&config.store).map_err(StoreError::Keys)?;
        Ok(CaseFold::sealing(keys.get_or_init(|| opened).clone()))
    };
    let (engine, _) =
        Engine::open_with(&settings, fold, Arc::clone(clock)).map_err(StartError::Store)?;
    let keys = keys.into_inner().flatten();
    let blobs = Blobs::keeping_free(&dir.join("attachments"), *min_free_bytes)
        .map_err(StartError::Blobs)?
        .sealing(keys.clone());
    let own = routing.get().table.platform().hsa_id.clone();
    let instance = Uuid::new_v4().to_string();
    let cases = Cases::new(engine, blobs, Arc::clone(clock), own, instance).sealed_by(keys);
    cases.finish_removals().map_err(StartError::Removals)?;
    Ok(if config.mail.is_some() { cases.telling_staff() } else { cases })
}

/// The keys of a store; `None` where it is not sealed.
fn keys_of(store: &Store) -> Result<Option<Arc<Keys>>, KeyError> {
    let dir = store.dir.join("keys");
    let Some(source) = &store.master_key else {
        if Keys::are_in(&dir) {
            return Err(KeyError::NoMaster { dir });
        }
        tracing::warn!(
            "the store is NOT sealed: cases and files lie in the clear in {}; set [store] \
             master_key_file or master_key_command",
            store.dir.display()
        );
        return Ok(None);
    };
    if let Source::File(path) = source
        && master::is_open_to_others(path)
    {
        tracing::warn!("others may read the master key in {}: chmod 600 it", path.display());
    }
    let keys = Keys::open(&dir, &MasterKey::fetch(source)?)?;
    tracing::info!(master_key = keys.master_check(), "the store is sealed");
    Ok(Some(Arc::new(keys)))
}
