//! The organisation tree that routing may climb, from the unit file of HSA.

mod units;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use units::{HierarchyError, UnitFiles};

use crate::id::HsaId;
use crate::limits;

/// The root of every organisation tree.
const ROOT: &str = "SE";

/// Which unit lies under which. A unit that is not in it, or has no parent, lies under the root
/// `SE`, as on the national platform. Empty, it is not climbed at all.
#[derive(Debug, Default, Clone)]
pub struct Hierarchy {
    parents: Arc<BTreeMap<HsaId, HsaId>>,
}

impl Hierarchy {
    /// From child to parent, as the reader of the HSA unit file gives it.
    #[must_use]
    pub fn new(parents: BTreeMap<HsaId, HsaId>) -> Self {
        Self { parents: Arc::new(parents) }
    }

    /// How many units are in it.
    #[must_use]
    pub fn units(&self) -> usize {
        self.parents.len()
    }

    /// Whether there is anything to climb.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.parents.is_empty()
    }

    /// The ancestors of `address`, nearest first, the root last. Nothing above the root itself. A
    /// ring in the data ends after [`limits::TAK_CLIMB_STEPS_MAX`] steps, at the root.
    pub fn ancestors<'a>(&'a self, address: &str) -> impl Iterator<Item = &'a str> {
        let is_root = self.is_empty() || address.eq_ignore_ascii_case(ROOT);
        // White space is part of an address here, and reading an id would trim it.
        let id = HsaId::parse(address).ok().filter(|it| it.as_str() == address);
        let start = id.and_then(|it| self.parents.get(&it));
        std::iter::successors(start, |at| self.parents.get(at))
            .take(if is_root { 0 } else { limits::TAK_CLIMB_STEPS_MAX })
            .map(HsaId::as_str)
            .take_while(|it| !it.eq_ignore_ascii_case(ROOT))
            .chain((!is_root).then_some(ROOT))
    }
}
