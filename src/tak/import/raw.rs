//! Rows as another TAK writes them, before anything in them is believed.

use std::collections::{BTreeMap, BTreeSet};

use super::super::rows::Filter;
use super::ImportError;
use super::order::Order;
use crate::limits;

/// Everything that the files hold.
#[derive(Debug, Default)]
pub(super) struct Raw {
    pub(super) routes: Vec<RawRoute>,
    pub(super) permissions: Vec<RawPermission>,
    /// Some file tells every route there is.
    pub(super) all_routes: bool,
    /// Some file tells every permission there is.
    pub(super) all_permissions: bool,
    pub(super) orders: Vec<Order>,
    pub(super) names: NamesTold,
    /// What files hold that is not read, once each.
    pub(super) ignored: BTreeSet<String>,
}

/// Names for people, by lower-case id.
#[derive(Debug, Default, Clone)]
pub(super) struct NamesTold {
    pub(super) contracts: BTreeMap<String, String>,
    pub(super) addresses: BTreeMap<String, String>,
    pub(super) components: BTreeMap<String, String>,
}

impl NamesTold {
    /// Notes a name, made fit for one line; blank ones are no names.
    pub(super) fn tell(of: &mut BTreeMap<String, String>, id: &str, name: &str) {
        let name: String = name
            .split(|c: char| c.is_whitespace() || c.is_control())
            .filter(|it| !it.is_empty())
            .collect::<Vec<_>>()
            .join(" ");
        if !name.is_empty() {
            let short = name.chars().take(limits::LINE_CHARS_MAX).collect();
            of.insert(id.trim().to_ascii_lowercase(), short);
        }
    }
}

/// Where a row stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct At {
    /// Which file, from 0.
    pub(super) file: usize,
    pub(super) spot: Spot,
}

/// Where in its file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Spot {
    /// Bytes from the start.
    Byte(usize),
    /// A table's row, by its id.
    Row(&'static str, String),
}

/// A vägval. Absent is what the row does not have.
#[derive(Debug)]
pub(super) struct RawRoute {
    pub(super) at: At,
    pub(super) contract: Option<String>,
    pub(super) address: Option<String>,
    pub(super) profile: Option<String>,
    pub(super) url: Option<String>,
    pub(super) from: Option<String>,
    pub(super) to: Option<String>,
    /// The system that this program's own export marks the row with.
    pub(super) system: Option<String>,
}

/// An anropsbehörighet.
#[derive(Debug)]
pub(super) struct RawPermission {
    pub(super) at: At,
    pub(super) contract: Option<String>,
    pub(super) address: Option<String>,
    pub(super) consumer: Option<String>,
    pub(super) from: Option<String>,
    pub(super) to: Option<String>,
    pub(super) filters: Vec<Filter>,
}

impl Raw {
    /// Counts rows against the bound.
    pub(super) fn bound(&self) -> Result<(), ImportError> {
        if self.routes.len() + self.permissions.len() > limits::TAK_IMPORT_ROWS_MAX {
            return Err(ImportError::Rows);
        }
        Ok(())
    }
}
