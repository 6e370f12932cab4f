//! The promises, held against the history of a run and what lies in the store at its end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use klagomal::cases::Cases;
use klagomal::cases::record::{Item, ItemState};
use klagomal::complaint::event::{Debt, ItemId};
use klagomal::complaint::message::Ii;
use klagomal::store::views::MemoryTable;

use crate::chaos::entries;
use crate::history::{Fate, Promise, Sent};
use crate::peers::Arrival;
use crate::words::{self, hsa};
use crate::world::World;

/// How long a message to a living receiver may take while another is dead.
const SOON: Duration = Duration::from_secs(20);

/// A case as the journal has it.
struct Told {
    id: Ii,
    sent: Vec<Sent>,
    /// What each record says: its number, and the tokens in it.
    records: Vec<(u64, Vec<String>)>,
    items: Vec<Item>,
}

/// Checks what stands at the end; `restless` when it did not come to rest. Gives how much was
/// delivered, and how much waits for a person.
pub fn of(world: &World, restless: bool) -> (u64, u64) {
    if let Some(what) = world.peers().changed.first().cloned() {
        world.break_promise(Promise::OneContent, what);
    }
    let Some(life) = world.life() else {
        world.break_promise(Promise::ItRuns, "it does not run".to_owned());
        return (0, 0);
    };
    let cases = &life.cases;
    let stuck: BTreeSet<ItemId> =
        cases.stuck(usize::MAX).unwrap_or_default().into_iter().map(|it| it.id).collect();
    let all = told(world, cases);
    numbers(world, &all);
    let arrivals = world.peers().arrivals.clone();
    let mut delivered = 0;
    for case in &all {
        kept_once(world, case);
        in_order(world, case);
        owed(world, case, &stuck, restless, &arrivals);
        sent_in_order(world, case, &arrivals);
        at_its_destination(world, case, &arrivals);
        delivered +=
            case.items.iter().filter(|it| matches!(it.state, ItemState::Delivered { .. })).count();
    }
    no_words_twice(world, &arrivals);
    parties_apart(world, cases, &all);
    if world.plan.one_dead {
        dead_delays_its_own(world, &all, &arrivals);
    }
    (u64::try_from(delivered).unwrap(), u64::try_from(stuck.len()).unwrap())
}

fn told(world: &World, cases: &Cases) -> Vec<Told> {
    let history = world.history();
    let mut by_case: BTreeMap<String, Vec<Sent>> = BTreeMap::new();
    for sent in history.sent.values() {
        let case = sent.case.extension.clone().unwrap();
        by_case.entry(case).or_default().push(sent.clone());
    }
    let damaged = history.damaged.clone();
    drop(history);
    let mut all = Vec::new();
    for mut sent in by_case.into_values() {
        let id = sent[0].case.clone();
        if damaged.contains(&id) {
            continue;
        }
        sent.sort_by_key(|it| it.token[1..].parse::<u64>().unwrap());
        let mut records = Vec::new();
        for (seq, record) in cases.records(&id).unwrap() {
            match record {
                Ok(record) => {
                    let text = serde_json::to_string(&record.event).unwrap();
                    let mut tokens: Vec<String> =
                        words::tokens(&text).into_iter().map(|it| format!("t{it}")).collect();
                    tokens.dedup();
                    records.push((seq, tokens));
                }
                Err(error) => {
                    world.break_promise(Promise::NothingLost, format!("record {seq}: {error}"));
                }
            }
        }
        let items = cases.items_of(&id).unwrap();
        all.push(Told { id, sent, records, items });
    }
    all
}

/// A registration number stands for one case.
fn numbers(world: &World, all: &[Told]) {
    let mut of: BTreeMap<&str, &Ii> = BTreeMap::new();
    for case in all {
        for sent in &case.sent {
            let Fate::Accepted(receipt) = &sent.fate else { continue };
            let known = of.entry(&receipt.number).or_insert(&case.id);
            if **known != case.id {
                let what = format!("{} stands for {known:?} and {:?}", receipt.number, case.id);
                world.break_promise(Promise::NothingTwice, what);
            }
        }
    }
}

/// What was accepted is there once; what was refused is not.
fn kept_once(world: &World, case: &Told) {
    for sent in &case.sent {
        let token = &sent.token;
        let times = case.records.iter().filter(|(_, tokens)| tokens.contains(token)).count();
        let broken = match (&sent.fate, times) {
            (Fate::Accepted(_), 1) | (Fate::Refused(_), 0) | (Fate::Open, 0 | 1) => continue,
            (Fate::Accepted(_), 0) => Promise::NothingLost,
            (Fate::Refused(_), _) => Promise::RefusalChangesNothing,
            (Fate::Accepted(_) | Fate::Open, _) => Promise::NothingTwice,
        };
        world.break_promise(broken, format!("{token} is there {times} times: {:?}", sent.fate));
    }
}

/// What one sender sent after the other's answer stands after it.
fn in_order(world: &World, case: &Told) {
    let place = |token: &String| case.records.iter().position(|(_, it)| it.contains(token));
    for first in &case.sent {
        for then in case.sent.iter().filter(|it| it.from == first.from) {
            let accepted = |it: &Sent| matches!(it.fate, Fate::Accepted(_));
            let after =
                first.known_at.zip(then.tried_at).is_some_and(|(known, tried)| known < tried);
            if after
                && accepted(first)
                && accepted(then)
                && place(&first.token) > place(&then.token)
            {
                let what = format!("{} stands before {}", then.token, first.token);
                world.break_promise(Promise::Order, what);
            }
        }
    }
}

/// Everything owed has gone, or stands where a person sees it, or waits behind such a one.
fn owed(
    world: &World,
    case: &Told,
    stuck: &BTreeSet<ItemId>,
    restless: bool,
    arrivals: &[Arrival],
) {
    let mut behind: BTreeSet<&str> = BTreeSet::new();
    let lied = !world.peers().lied_done.is_empty();
    for item in &case.items {
        let told =
            || format!("{} to {} is {:?}, restless: {restless}", item.id, item.to, item.state);
        match &item.state {
            ItemState::Delivered { .. } => {
                let marked = world.history().marked.contains(&item.id.to_string());
                if !lied && !marked && !has_come(case, item, arrivals) {
                    world.break_promise(Promise::OwedIsPaid, told() + ", and did not come");
                }
            }
            ItemState::Unreachable { .. } | ItemState::Discarded { .. } => {}
            ItemState::Waiting if behind.contains(item.to.as_str()) => {}
            ItemState::Waiting | ItemState::Due { .. } | ItemState::Leased { .. } => {
                world.break_promise(Promise::OwedIsPaid, told());
            }
            ItemState::Unknown { why, .. }
            | ItemState::Parked { why, .. }
            | ItemState::Held { why, .. } => {
                behind.insert(&item.to);
                if !stuck.contains(&item.id) {
                    world.break_promise(Promise::OwedIsPaid, told() + ", and nobody sees it");
                }
                if why.contains("bug of its own") {
                    world.break_promise(Promise::ItRuns, told());
                }
            }
        }
    }
}

fn source(item: &Item) -> u64 {
    match &item.what {
        Debt::Relay { seq, .. } => seq.unwrap_or(item.id.seq),
        Debt::Letter | Debt::Onward | Debt::Notice { .. } => item.id.seq,
    }
}

/// The token of what an item carries; a confirmation has none.
fn carried<'a>(case: &'a Told, item: &Item) -> Option<&'a String> {
    let opening = case.records.first().map(|(seq, _)| *seq) == Some(source(item));
    if opening && item.what == Debt::Letter {
        return None;
    }
    let record = case.records.iter().find(|(seq, _)| *seq == source(item))?;
    record.1.first()
}

fn is_of(arrival: &Arrival, case: &Told, item: &Item) -> bool {
    let of_case = match &item.what {
        Debt::Letter => arrival.number.as_deref() == Some(item.number.as_str()),
        Debt::Relay { .. } | Debt::Onward | Debt::Notice { .. } => {
            arrival.case == case.id.extension
        }
    };
    of_case && arrival.to == item.to
}

fn has_come(case: &Told, item: &Item, arrivals: &[Arrival]) -> bool {
    // What is told of a transfer names nobody's words.
    let token = carried(case, item);
    arrivals
        .iter()
        .any(|it| is_of(it, case, item) && (it.token.as_ref() == token || it.token.is_none()))
}

/// What comes to one receiver about one case comes in the order in which it was owed.
fn sent_in_order(world: &World, case: &Told, arrivals: &[Arrival]) {
    let mut last: BTreeMap<&str, (usize, ItemId)> = BTreeMap::new();
    for item in &case.items {
        let token = carried(case, item);
        let first = arrivals.iter().position(|it| {
            !it.stray && is_of(it, case, item) && token.is_some() && it.token.as_ref() == token
        });
        let Some(at) = first else { continue };
        if let Some((before, earlier)) = last.get(item.to.as_str()).filter(|(it, _)| *it > at) {
            let what = format!("{} came to {} before {earlier} ({at}, {before})", item.id, item.to);
            world.break_promise(Promise::Order, what);
        }
        last.insert(&item.to, (at, item.id));
    }
}

/// A case goes where the configuration in force at its acceptance says, and where it is transferred.
fn at_its_destination(world: &World, case: &Told, arrivals: &[Arrival]) {
    let Some(goes) = case.sent.iter().find(|it| it.opens).and_then(|it| it.goes.clone()) else {
        return;
    };
    let moved = case.records.iter().any(|(_, tokens)| {
        tokens.iter().any(|token| {
            case.sent.iter().any(|it| it.token == *token && it.body.contains("transfer>"))
        })
    });
    for arrival in arrivals.iter().filter(|it| it.case == case.id.extension) {
        if !arrival.to.starts_with("region") {
            continue;
        }
        let found = format!("{} {}", arrival.to, arrival.addressed);
        let transferred = moved && found == format!("region-b {}", words::VC4.hsa_id);
        if goes.as_deref() != Some(&found) && !transferred {
            let what = format!("{:?} is for {goes:?} and came to {found}", case.id.extension);
            world.break_promise(Promise::DestinationFixed, what);
        }
    }
}

/// Nobody reads the same words twice, unless a person or the inbox itself is to blame.
fn no_words_twice(world: &World, arrivals: &[Arrival]) {
    let mut times: BTreeMap<u64, (u64, &Arrival)> = BTreeMap::new();
    for arrival in arrivals.iter().filter(|it| it.to == "inkorg" && !it.stray) {
        times.entry(arrival.words).or_insert((0, arrival)).0 += 1;
    }
    for (words, (found, arrival)) in times {
        let number = arrival.number.clone().unwrap_or_default();
        let decided = world.history().retried.get(&number).copied().unwrap_or(0);
        let lied = world.peers().lied_refused.get(&words).copied().unwrap_or(0);
        if found > 1 + decided + lied {
            let what = format!("{number} {:?}: {found} times, {decided} decided", arrival.token);
            world.break_promise(Promise::NoWordsTwice, what);
        }
    }
}

/// A unit's list holds its own cases.
fn parties_apart(world: &World, cases: &Cases, all: &[Told]) {
    for unit in words::UNITS {
        for listed in cases.list(Some(&hsa(unit.hsa_id)), usize::MAX).unwrap() {
            let Some(case) = all.iter().find(|it| it.id == listed.id) else { continue };
            let own = case.sent.iter().any(|it| it.opens && it.unit == unit.hsa_id);
            let moved = unit == words::VC4
                && listed.destination != klagomal::complaint::event::Destination::Store;
            if !own && !moved {
                let what = format!("{:?} is shown to {}", listed.id.extension, unit.hsa_id);
                world.break_promise(Promise::PartiesApart, what);
            }
        }
    }
}

fn dead_delays_its_own(world: &World, all: &[Told], arrivals: &[Arrival]) {
    for case in all {
        for item in case.items.iter().filter(|it| it.to != "region-a") {
            let token = carried(case, item);
            let owed = case
                .sent
                .iter()
                .find(|it| Some(&it.token) == token || (token.is_none() && it.opens));
            let Some(owed) = owed.and_then(|it| it.known_after) else { continue };
            if owed > world.plan.trouble.saturating_sub(SOON) {
                continue;
            }
            let came =
                arrivals.iter().find(|it| is_of(it, case, item) && it.token.as_ref() == token);
            if came.is_none_or(|it| it.after >= owed + SOON) {
                let what = format!(
                    "{} to {} was owed at {owed:?}, came {:?}",
                    item.id,
                    item.to,
                    came.map(|it| it.after)
                );
                world.break_promise(Promise::DeadDelaysItsOwn, what);
            }
        }
    }
}

/// Opened again, the views stand where they stood; made again, they are the same.
pub fn views(world: &World) {
    let kept = Arc::clone(&world.table.lock().unwrap());
    let fresh = Arc::new(MemoryTable::default());
    for (table, wanted) in [(&kept, "Current"), (&fresh, "Rebuilt")] {
        match world.open(Arc::clone(table), world.keys()) {
            Ok((engine, _, report)) => {
                let verdict = engine.verify();
                let whole = verdict.as_ref().is_ok_and(|it| it.report.damage.is_empty());
                if !world.history().bit_flipped && (!whole || !report.starts_with(wanted)) {
                    let what = format!("opened after its end: {report}; {verdict:?}");
                    world.break_promise(Promise::ViewsFollow, what);
                }
            }
            Err(why) => world.break_promise(Promise::ItRuns, format!("it does not open: {why}")),
        }
    }
    if !world.history().bit_flipped && entries(&kept) != entries(&fresh) {
        world.break_promise(Promise::ViewsFollow, "made again, the views are others".to_owned());
    }
}
