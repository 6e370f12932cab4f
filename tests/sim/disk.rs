//! The journal's disk: the store's own disk in memory, with faults at single writes and syncs.

use std::io;
use std::sync::{Arc, Mutex, Weak};

use klagomal::store::journal::disk::{Disk, DiskFile};
use klagomal::store::journal::memory::{self, Kept, MemoryDisk};

use crate::bugs::Bug;
use crate::fault::Fault;
use crate::world::World;

/// The disk of one world. The disk in memory below it is another one after each power cut.
#[derive(Debug)]
pub struct SimDisk {
    world: Weak<World>,
    below: Mutex<MemoryDisk>,
    off: Mutex<bool>,
}

/// A handle that the store can hold.
#[derive(Debug, Clone)]
pub struct Handle(Arc<SimDisk>);

#[derive(Debug)]
struct File {
    disk: Arc<SimDisk>,
    below: Arc<dyn DiskFile>,
}

impl SimDisk {
    pub fn new(world: Weak<World>) -> Arc<Self> {
        Arc::new(Self { world, below: Mutex::default(), off: Mutex::new(false) })
    }

    pub fn handle(self: &Arc<Self>) -> Handle {
        Handle(Arc::clone(self))
    }

    pub fn below(&self) -> MemoryDisk {
        self.below.lock().unwrap().clone()
    }

    pub fn is_off(&self) -> bool {
        *self.off.lock().unwrap()
    }

    /// The power comes back, or the machine never lost it.
    pub fn power_on(&self, kept: Kept) {
        let after = self.below().after_power_cut(kept);
        *self.below.lock().unwrap() = after;
        *self.off.lock().unwrap() = false;
    }

    fn strikes(&self, fault: Fault) -> bool {
        let struck = self.world.upgrade().is_some_and(|world| world.strikes(fault));
        if struck && let Some(world) = self.world.upgrade() {
            world.disturb();
        }
        struck
    }

    /// Lets the next operation below meet `fault`.
    fn next_meets(&self, fault: memory::Fault) {
        let below = self.below();
        below.fail_at(below.operations() + 1, 1, fault);
        *self.off.lock().unwrap() |= fault == memory::Fault::PowerCut;
    }
}

impl Disk for Handle {
    fn list(&self) -> io::Result<Vec<String>> {
        self.0.below().list()
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let below = self.0.below().open(name)?;
        Ok(Arc::new(File { disk: Arc::clone(&self.0), below }))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        if self.0.strikes(Fault::DiskFull) {
            self.0.next_meets(memory::Fault::NoSpace);
        }
        let below = self.0.below().create(name)?;
        Ok(Arc::new(File { disk: Arc::clone(&self.0), below }))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.0.below().remove(name)
    }

    fn sync_dir(&self) -> io::Result<()> {
        if self.0.strikes(Fault::PowerCutInSync) {
            self.0.next_meets(memory::Fault::PowerCut);
        }
        self.0.below().sync_dir()
    }

    fn free_bytes(&self) -> io::Result<u64> {
        self.0.below().free_bytes()
    }
}

impl DiskFile for File {
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        self.below.read_at(into, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        if self.disk.strikes(Fault::WriteFails) {
            self.disk.next_meets(memory::Fault::Io);
        } else if self.disk.strikes(Fault::DiskFull) {
            self.disk.next_meets(memory::Fault::NoSpace);
        } else if self.disk.strikes(Fault::PowerCutInWrite) {
            self.disk.next_meets(memory::Fault::PowerCut);
        }
        self.below.write_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        if self.disk.world.upgrade().is_some_and(|world| world.has_bug(Bug::DiskLiesAboutSync)) {
            return Ok(());
        }
        if self.disk.strikes(Fault::SyncFails) {
            self.disk.next_meets(memory::Fault::Io);
        } else if self.disk.strikes(Fault::PowerCutInSync) {
            self.disk.next_meets(memory::Fault::PowerCut);
        }
        self.below.sync()
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.below.truncate(length)
    }

    fn length(&self) -> io::Result<u64> {
        self.below.length()
    }
}
