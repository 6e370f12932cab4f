//! The rows of a TAK as they are kept and found: routes and permissions.

use std::sync::Arc;

use super::finding::Place;
use super::model::{Profile, System};
use super::names::Name;
use super::period::Days;

/// One `[[route]]`.
#[derive(Debug, Clone)]
pub(super) struct Route {
    pub(super) contract: Name,
    pub(super) address: Name,
    pub(super) days: Days,
    pub(super) profile: Profile,
    pub(super) target: Target,
    pub(super) place: Place,
}

/// Where a route leads.
#[derive(Debug, Clone)]
pub(super) enum Target {
    System(Arc<System>),
    Url(Arc<str>),
}

impl Target {
    pub(super) fn url(&self) -> Option<&Arc<str>> {
        match self {
            Self::System(system) => system.url.as_ref(),
            Self::Url(url) => Some(url),
        }
        .filter(|it| !it.trim().is_empty())
    }
}

impl Route {
    pub(super) fn key(&self) -> (Name, Name) {
        (self.contract, self.address)
    }
}

/// One `[[permission]]`.
#[derive(Debug, Clone)]
pub(super) struct Permission {
    pub(super) contract: Name,
    pub(super) address: Name,
    pub(super) consumer: Name,
    pub(super) days: Days,
    pub(super) place: Place,
    /// What the registry shows of the row; it takes no part in decisions.
    pub(super) filters: Option<Arc<[Filter]>>,
}

/// What a permission is limited to at the receiver (TAK: filter): for registries to show, as the
/// contract says; a call is not decided by it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Filter {
    /// A service domain, as `riv:clinicalprocess:healthcond:description`.
    pub domain: String,
    /// Categorizations within it; empty means all.
    pub categorizations: Vec<String>,
}

impl Permission {
    pub(super) fn key(&self) -> (Name, Name, Name) {
        (self.contract, self.address, self.consumer)
    }
}

/// The rows with this key. `rows` must be sorted by it.
pub(super) fn with_key<'a, T, K: Ord>(rows: &'a [T], key: impl Fn(&T) -> K, wanted: &K) -> &'a [T] {
    let from = rows.partition_point(|it| key(it) < *wanted);
    let rest = rows.get(from..).unwrap_or_default();
    let count = rest.iter().take_while(|it| key(it) == *wanted).count();
    rest.get(..count).unwrap_or_default()
}
