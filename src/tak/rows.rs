//! The rows of a TAK as they are kept and found: routes and permissions.

use std::hash::BuildHasher as _;
use std::ops::Deref;
use std::sync::Arc;

use hashbrown::{DefaultHashBuilder as RandomState, HashTable};

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

impl Keyed for Route {
    type Key = (Name, Name);

    fn key(&self) -> Self::Key {
        (self.contract, self.address)
    }
}

/// One `[[permission]]`. Half a cache line, and in one: a nation has 300 000, and to find one is to wait
/// for memory.
#[derive(Debug, Clone)]
#[repr(align(32))]
pub(super) struct Permission {
    pub(super) contract: Name,
    pub(super) address: Name,
    pub(super) consumer: Name,
    pub(super) days: Days,
    pub(super) place: Place,
    /// What the registry shows of the row; it takes no part in decisions.
    pub(super) filters: FilterSet,
}

const _: () = assert!(size_of::<Permission>() == 32);

/// Stands for the filters of one permission in one [`Filters`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FilterSet(u32);

/// The filters of all permissions, beside the rows: few have any, and no decision asks.
#[derive(Debug, Default)]
pub(super) struct Filters(Vec<Box<[Filter]>>);

impl Filters {
    /// Keeps the filters of one permission.
    pub(super) fn give(&mut self, filters: Vec<Filter>) -> FilterSet {
        if filters.is_empty() {
            return FilterSet(0);
        }
        self.0.push(filters.into());
        // The bytes that a folder may hold keep this far below the end of u32.
        FilterSet(u32::try_from(self.0.len()).unwrap_or_default())
    }

    /// The filters of one permission; most have none.
    pub(super) fn of(&self, row: &Permission) -> &[Filter] {
        let at = usize::try_from(row.filters.0).ok().and_then(|it| it.checked_sub(1));
        at.and_then(|at| self.0.get(at)).map_or(&[], |it| it)
    }
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

impl Keyed for Permission {
    type Key = (Name, Name, Name);

    fn key(&self) -> Self::Key {
        (self.contract, self.address, self.consumer)
    }
}

/// What rows are looked up by.
pub(super) trait Keyed {
    /// Rows that have the same are looked at together.
    type Key: Copy + Ord + std::hash::Hash;
    fn key(&self) -> Self::Key;
}

/// Rows in order of their keys, found by key in one step.
#[derive(Debug)]
pub(super) struct Rows<T> {
    rows: Box<[T]>,
    /// Where the rows of each key begin.
    starts: HashTable<u32>,
    hash: RandomState,
}

impl<T: Keyed> Rows<T> {
    /// `rows` must be in order of their keys.
    pub(super) fn new(rows: Vec<T>) -> Self {
        let hash = RandomState::default();
        let starts = (0u32..).zip(&rows).zip(std::iter::once(None).chain(rows.iter().map(Some)));
        let starts = starts.filter(|((_, it), last)| last.map(T::key) != Some(it.key()));
        let starts: Vec<(u32, u64)> =
            starts.map(|((at, it), _)| (at, hash.hash_one(it.key()))).collect();
        let mut table = HashTable::with_capacity(starts.len());
        // It has room for all of them, and hashes none again.
        for (at, hash) in starts {
            table.insert_unique(hash, at, |_| hash);
        }
        Self { rows: rows.into(), starts: table, hash }
    }

    /// The rows with this key.
    pub(super) fn with_key(&self, wanted: &T::Key) -> &[T] {
        let rest = |at: &u32| usize::try_from(*at).ok().and_then(|at| self.rows.get(at..));
        let first = |at: &u32| rest(at).and_then(|it| it.first()).map(T::key);
        let start = self.starts.find(self.hash.hash_one(wanted), |it| first(it) == Some(*wanted));
        let rest = start.and_then(rest).unwrap_or_default();
        let count = rest.iter().take_while(|it| it.key() == *wanted).count();
        rest.get(..count).unwrap_or_default()
    }
}

impl<T> Deref for Rows<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.rows
    }
}

impl<'a, T> IntoIterator for &'a Rows<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.rows.iter()
    }
}
