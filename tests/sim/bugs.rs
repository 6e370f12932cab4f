//! Seeded bugs, one for each promise at least: what the checker must find.

use std::sync::Arc;

use klagomal::cases::fold::CaseFold;
use klagomal::cases::key;
use klagomal::cases::record::{Item, ItemState, Payload, Record};
use klagomal::complaint::event::{Event, ItemId, Outcome};
use klagomal::store::engine::{Fold, FoldError, Handed, ViewWriter};
use klagomal::store::journal::Position;
use klagomal::store::keys::Keys;
use klagomal::store::views::Scan;

use crate::history::Promise;
use crate::words::hsa;

/// A bug in the store's disk, in what its records are taken for, at the door or in delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// A sync that does nothing.
    DiskLiesAboutSync,
    /// Message ids are not kept.
    ForgetsIds,
    /// The same id with other content is taken for another message.
    TakesOtherContent,
    /// What may have come to the inbox is sent again.
    SendsUnknownAgain,
    /// A lease is not noted before the message is sent.
    ForgetsLease,
    /// A message is taken from the outbox rather than leased.
    TakesForDelivered,
    /// Nothing waits for its turn.
    IgnoresOrder,
    /// One receiver is called at a time.
    OneCallAtATime,
    /// The destination is looked up when a message is sent.
    RoutesAtSend,
    /// A refused message is noted in its case.
    RefusalLeavesTrace,
    /// A case stands in another party's list.
    ShowsToOtherParty,
    /// A call whose caller is gone is dropped.
    DropsWhenHungUp,
    /// What waits behind a delivered message is not woken.
    ForgetsNext,
    /// What a person must look at is not shown.
    UnknownIsSilent,
    /// The views hold what is no function of the records.
    ViewsRemember,
    /// Views cannot be made again from some records.
    CannotReadItsOwn,
}

impl Bug {
    /// The promises that it breaks.
    pub const fn breaks(self) -> &'static [Promise] {
        match self {
            Self::DiskLiesAboutSync => &[Promise::NothingLost],
            Self::ForgetsIds => &[Promise::NothingTwice],
            Self::TakesOtherContent => &[Promise::OneContent],
            Self::SendsUnknownAgain | Self::ForgetsLease => &[Promise::NoWordsTwice],
            Self::TakesForDelivered | Self::ForgetsNext | Self::UnknownIsSilent => {
                &[Promise::OwedIsPaid]
            }
            Self::IgnoresOrder => &[Promise::Order],
            Self::OneCallAtATime => &[Promise::DeadDelaysItsOwn],
            Self::RoutesAtSend => &[Promise::DestinationFixed],
            Self::RefusalLeavesTrace => &[Promise::RefusalChangesNothing],
            Self::ShowsToOtherParty => &[Promise::PartiesApart],
            Self::DropsWhenHungUp => &[Promise::BegunIsFinished],
            Self::ViewsRemember => &[Promise::ViewsFollow],
            Self::CannotReadItsOwn => &[Promise::ItRuns],
        }
    }
}

/// The cases' own fold, and what a bug makes of it.
pub struct SimFold {
    inner: CaseFold,
    bug: Option<Bug>,
    folded: u64,
    rebuilding: bool,
}

impl SimFold {
    pub fn new(bug: Option<Bug>, keys: Option<Arc<Keys>>) -> Self {
        Self { inner: CaseFold::sealing(keys), bug, folded: 0, rebuilding: false }
    }

    fn fold(
        &mut self,
        at: (u64, Position),
        payload: &[u8],
        views: &mut ViewWriter<'_>,
        bug: Bug,
    ) -> Result<(), FoldError> {
        let (seq, position) = at;
        let Payload::Case(mut record) = Payload::read(payload).unwrap() else {
            return self.inner.apply(seq, position, payload, views);
        };
        match (bug, &record.event) {
            (Bug::ForgetsLease, Event::Leased { .. }) => {
                views.put(&key::event(&record.case, seq), position.to_bytes())?;
                return Ok(());
            }
            (Bug::TakesForDelivered, Event::Leased { item, attempt, .. }) => {
                let (item, attempt) = (*item, *attempt);
                record.event = Event::Tried { item, attempt, outcome: Outcome::Delivered };
                let payload = serde_json::to_vec(&record).unwrap();
                return self.inner.apply(seq, position, &payload, views);
            }
            (Bug::CannotReadItsOwn, Event::Supplemented { .. }) if self.rebuilding => {
                return Err(FoldError::Record("it is not understood".into()));
            }
            _ => {}
        }
        self.inner.apply(seq, position, payload, views)?;
        self.after(seq, &record, views, bug)
    }

    fn after(
        &mut self,
        seq: u64,
        record: &Record,
        views: &mut ViewWriter<'_>,
        bug: Bug,
    ) -> Result<(), FoldError> {
        match bug {
            Bug::ForgetsIds => {
                if let Some(incoming) = &record.incoming {
                    views.delete(&key::message(&incoming.sender, &incoming.message_id))?;
                }
            }
            Bug::IgnoresOrder => {
                for (n, _) in (0..).zip(&record.owed) {
                    let id = ItemId { seq, n };
                    let mut item = read(views, id)?;
                    if item.state == ItemState::Waiting {
                        item.state = ItemState::Due { at: record.at, why: None };
                        views.put(&key::due(&item.to, record.at, id), Vec::new())?;
                        views.put(&key::item(id), serde_json::to_vec(&item).unwrap())?;
                    }
                }
            }
            Bug::ForgetsNext => {
                let (Event::Tried { item, .. } | Event::Decided { item, .. }) = &record.event
                else {
                    return Ok(());
                };
                let done = read(views, *item)?;
                let lane = Scan::prefix(key::lane(&done.to, &done.case)).limit(1);
                let head = views.scan(&lane)?;
                let Some(id) = head.first().and_then(|(key, _)| key::item_parts(key)) else {
                    return Ok(());
                };
                let mut next = read(views, id)?;
                if let ItemState::Due { at, why: None } = next.state {
                    views.delete(&key::due(&next.to, at, id))?;
                    next.state = ItemState::Waiting;
                    views.put(&key::item(id), serde_json::to_vec(&next).unwrap())?;
                }
            }
            Bug::UnknownIsSilent => {
                if let Event::Tried { item, .. } = &record.event {
                    views.delete(&key::stuck(*item))?;
                }
            }
            Bug::ShowsToOtherParty => {
                if let Event::Opened(_) = &record.event {
                    let other = hsa("SE0000000000-PAN99");
                    views.put(&key::unit(&other, false, record.at, &record.case), Vec::new())?;
                }
            }
            Bug::ViewsRemember => {
                views.put(&key::count("folded by this process", ""), self.folded.to_be_bytes())?;
            }
            _ => {}
        }
        Ok(())
    }
}

fn read(views: &ViewWriter<'_>, id: ItemId) -> Result<Item, FoldError> {
    Ok(serde_json::from_slice(&views.get(&key::item(id))?.unwrap()).unwrap())
}

impl Fold for SimFold {
    fn layout(&self) -> u32 {
        self.inner.layout()
    }

    fn seal(
        &mut self,
        payload: &[u8],
        views: &ViewWriter<'_>,
    ) -> Result<Option<Vec<u8>>, FoldError> {
        self.inner.seal(payload, views)
    }

    fn blind(&self, text: &str) -> String {
        self.inner.blind(text)
    }

    fn write(&mut self, record: Handed, views: &ViewWriter<'_>) -> Result<Vec<u8>, FoldError> {
        self.inner.write(record, views)
    }

    fn apply(
        &mut self,
        seq: u64,
        position: Position,
        payload: &[u8],
        views: &mut ViewWriter<'_>,
    ) -> Result<(), FoldError> {
        self.rebuilding |= seq == 1 && self.folded == 0;
        self.rebuilding &= seq == self.folded + 1;
        self.folded += 1;
        match self.bug {
            Some(bug) => self.fold((seq, position), payload, views, bug),
            None => self.inner.apply(seq, position, payload, views),
        }
    }
}
