//! Many outgoing messages at once: which are meant, and what was seen of each before deciding.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::complaint::event::{Decision, ItemId};
use crate::complaint::registration::RegistrationNumber;
use crate::store::views::Scan;

use super::query::QueryError;
use super::record::{Item, ItemState};
use super::{Cases, key};

/// Where a message that is not done with stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    Waiting,
    Due,
    Leased,
    Unknown,
    Parked,
    Held,
}

impl Standing {
    const fn of(state: &ItemState) -> Option<Self> {
        match state {
            ItemState::Waiting => Some(Self::Waiting),
            ItemState::Due { .. } => Some(Self::Due),
            ItemState::Leased { .. } => Some(Self::Leased),
            ItemState::Unknown { .. } => Some(Self::Unknown),
            ItemState::Parked { .. } => Some(Self::Parked),
            ItemState::Held { .. } => Some(Self::Held),
            ItemState::Delivered { .. }
            | ItemState::Unreachable { .. }
            | ItemState::Discarded { .. } => None,
        }
    }

    /// The states that `decision` is about where none are named: never one that goes by itself,
    /// but to hold it.
    #[must_use]
    pub fn usual(decision: Decision) -> Vec<Self> {
        match decision {
            Decision::Retry => vec![Self::Unknown, Self::Parked],
            Decision::Hold => vec![Self::Due, Self::Unknown, Self::Parked],
            Decision::Release => vec![Self::Held],
            Decision::MarkDelivered => vec![Self::Unknown],
            Decision::Discard => vec![Self::Unknown, Self::Parked, Self::Held],
        }
    }
}

/// Whether somebody can decide so about a message in this state. One that is being sent, waits for
/// another or is done with is left alone.
#[must_use]
pub fn may(decision: Decision, state: &ItemState) -> bool {
    let held = matches!(state, ItemState::Held { .. });
    match Standing::of(state) {
        None | Some(Standing::Waiting | Standing::Leased) => false,
        Some(Standing::Due | Standing::Unknown | Standing::Parked | Standing::Held) => {
            decision != Decision::Release || held
        }
    }
}

/// Which messages are meant; what is not said does not narrow.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Selection {
    /// The receiver's id.
    pub to: Option<String>,
    /// None: all.
    pub states: Vec<Standing>,
    /// Of this case, by its registration number.
    pub case: Option<RegistrationNumber>,
    /// Owed at this time or before.
    pub owed_before: Option<Timestamp>,
}

impl Selection {
    fn takes(&self, item: &Item) -> bool {
        self.to.as_ref().is_none_or(|to| *to == item.to)
            && self.case.as_ref().is_none_or(|case| *case == item.number)
            && self.owed_before.is_none_or(|at| item.owed <= at)
            && Standing::of(&item.state)
                .is_some_and(|it| self.states.is_empty() || self.states.contains(&it))
    }
}

/// What a selection means now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selected {
    /// Oldest first.
    pub items: Vec<Item>,
    /// There are more than these.
    pub more: bool,
}

/// A message as somebody saw it before deciding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seen {
    pub id: ItemId,
    pub attempts: u32,
    pub state: ItemState,
}

impl From<&Item> for Seen {
    fn from(item: &Item) -> Self {
        Self { id: item.id, attempts: item.attempts, state: item.state.clone() }
    }
}

/// What came of deciding about one message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acted {
    pub id: ItemId,
    /// Otherwise it had moved since it was seen, and is left alone.
    pub done: bool,
    /// The name of its state now.
    pub state: String,
}

impl Cases {
    /// The messages that are meant, at most `limit`.
    ///
    /// # Errors
    /// When the views cannot be read.
    pub fn select(&self, wanted: &Selection, limit: usize) -> Result<Selected, QueryError> {
        let prefix = wanted.to.as_deref().map_or_else(key::lanes, key::lanes_to);
        let mut scan = Scan::prefix(prefix.clone());
        let (mut items, mut more) = (Vec::new(), false);
        'pages: loop {
            let page = self.engine.scan(&scan)?;
            for id in page.iter().filter_map(|(row, _)| key::item_parts(row)) {
                let Some(item) = self.item(id)?.filter(|item| wanted.takes(item)) else { continue };
                if items.len() >= limit {
                    more = true;
                    break 'pages;
                }
                items.push(item);
            }
            let Some((last, _)) = page.into_iter().next_back() else { break };
            scan = Scan::prefix(prefix.clone()).after(last);
        }
        items.sort_by_key(|item| item.id);
        Ok(Selected { items, more })
    }
}
