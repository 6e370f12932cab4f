//! How many calls were routed how: counted by routing key and hour, kept by day. No personal data.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::civil::Date;
use jiff::{Timestamp, ToSpan as _};
use serde::{Deserialize, Serialize};

use super::folder::write_whole;
use crate::clock;
use crate::limits;
use crate::tak::plan::{Calls, Outcome, UNKNOWN};
use crate::tak::{Decision, Generation, Profile, Question, Table};

/// Parts of the count that are locked by themselves, so that callers seldom meet.
const SHARDS: usize = 16;

const HOUR_SECONDS: i64 = 3600;

/// Counts decisions. One is counted in a fraction of a microsecond: a checksum, a short lock, and no
/// memory taken where the same call came before.
#[derive(Debug, Default)]
pub struct Counter {
    shards: [Mutex<Shard>; SHARDS],
    keys: AtomicUsize,
    left_out: AtomicU64,
}

/// By checksum; several of one checksum are told apart by their keys.
type Shard = BTreeMap<u32, Vec<(Key, u64)>>;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Key {
    /// Hours since 1970, UTC.
    hour: i64,
    contract: Box<str>,
    address: Box<str>,
    caller: Box<str>,
    profile: Profile,
    outcome: Outcome,
    /// Of the configuration that decided.
    generation: Generation,
}

/// A key before it is known to be new.
struct Asked<'a> {
    hour: i64,
    contract: &'a str,
    address: &'a str,
    caller: &'a str,
    profile: Profile,
    outcome: Outcome,
    generation: &'a Generation,
}

impl Asked<'_> {
    fn is(&self, key: &Key) -> bool {
        self.hour == key.hour
            && self.outcome == key.outcome
            && self.profile == key.profile
            && *self.address == *key.address
            && *self.caller == *key.caller
            && *self.contract == *key.contract
            && *self.generation == key.generation
    }

    fn checksum(&self) -> u32 {
        let sum = crc32c::crc32c(self.contract.as_bytes());
        let sum = crc32c::crc32c_append(sum, self.address.as_bytes());
        let sum = crc32c::crc32c_append(sum, self.caller.as_bytes());
        crc32c::crc32c_append(sum, &self.hour.to_le_bytes())
    }

    fn key(&self) -> Key {
        Key {
            hour: self.hour,
            contract: self.contract.into(),
            address: self.address.into(),
            caller: self.caller.into(),
            profile: self.profile,
            outcome: self.outcome,
            generation: self.generation.clone(),
        }
    }
}

impl Counter {
    /// Counts one decision. What nobody was let through to and no row knows is counted under one
    /// key, so that somebody who tries addresses cannot fill the count.
    pub fn count(&self, question: &Question<'_>, decision: &Decision, table: &Table) {
        let let_through = decision.outcome.is_ok();
        let known = |text| let_through || table.knows(text);
        let shown = |text| if known(text) { text } else { UNKNOWN };
        let asked = Asked {
            hour: question.at.as_second().div_euclid(HOUR_SECONDS),
            contract: shown(question.contract.as_str()),
            address: shown(question.address),
            caller: question.caller.key(),
            profile: question.profile,
            outcome: Outcome::of(&decision.outcome),
            generation: &decision.generation,
        };
        self.add(&asked, 1);
    }

    fn add(&self, asked: &Asked<'_>, count: u64) {
        let sum = asked.checksum();
        let Some(shard) = usize::try_from(sum).ok().and_then(|it| self.shards.get(it % SHARDS))
        else {
            return;
        };
        let mut shard = lock(shard);
        if let Some(found) = shard.get_mut(&sum)
            && let Some((_, counted)) = found.iter_mut().find(|(key, _)| asked.is(key))
        {
            *counted = counted.saturating_add(count);
            return;
        }
        if self.keys.fetch_add(1, Ordering::Relaxed) >= limits::DECISION_KEYS_MAX {
            self.keys.fetch_sub(1, Ordering::Relaxed);
            self.left_out.fetch_add(count, Ordering::Relaxed);
            return;
        }
        shard.entry(sum).or_default().push((asked.key(), count));
    }

    /// Adds what was counted since the last time to the files of the days, and removes the files of
    /// days too long ago. What cannot be written is counted again.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn flush(&self, dir: &Path, now: Timestamp) -> io::Result<()> {
        fs::create_dir_all(dir)?;
        let mut days: BTreeMap<Date, Vec<(Key, u64)>> = BTreeMap::new();
        for shard in &self.shards {
            let counted = std::mem::take(&mut *lock(shard));
            for (key, count) in counted.into_values().flatten() {
                self.keys.fetch_sub(1, Ordering::Relaxed);
                days.entry(day_of(key.hour)).or_default().push((key, count));
            }
        }
        let today = clock::swedish_day(now);
        let left_out = self.left_out.swap(0, Ordering::Relaxed);
        if left_out > 0 {
            days.entry(today).or_default();
        }
        let mut outcome = Ok(());
        for (day, counted) in days {
            let more = if day == today { left_out } else { 0 };
            if let Err(error) = add_to_day(dir, day, &counted, more) {
                counted.iter().for_each(|(key, count)| self.add(&key.asked(), *count));
                self.left_out.fetch_add(more, Ordering::Relaxed);
                outcome = Err(error);
            }
        }
        outcome.and(forget(dir, today))
    }
}

impl Key {
    fn asked(&self) -> Asked<'_> {
        Asked {
            hour: self.hour,
            contract: &self.contract,
            address: &self.address,
            caller: &self.caller,
            profile: self.profile,
            outcome: self.outcome,
            generation: &self.generation,
        }
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

fn day_of(hour: i64) -> Date {
    clock::swedish_day(start_of(hour))
}

fn start_of(hour: i64) -> Timestamp {
    Timestamp::from_second(hour.saturating_mul(HOUR_SECONDS)).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// One day's file. The field names are what an operator finds in it.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Day<'a> {
    /// Calls above [`limits::DECISION_KEYS_MAX`] different ones.
    left_out: u64,
    #[serde(borrow)]
    decisions: Vec<Row<'a>>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Row<'a> {
    /// When the hour began, UTC.
    hour: Timestamp,
    #[serde(borrow)]
    contract: Cow<'a, str>,
    #[serde(borrow)]
    address: Cow<'a, str>,
    #[serde(borrow)]
    caller: Cow<'a, str>,
    profile: Profile,
    outcome: Outcome,
    /// First twelve characters of the configuration that decided; absent in files of before.
    #[serde(borrow, default, skip_serializing_if = "is_unknown")]
    generation: Cow<'a, str>,
    count: u64,
}

fn is_unknown(generation: &str) -> bool {
    generation.is_empty()
}

fn path_of(dir: &Path, day: Date) -> PathBuf {
    dir.join(format!("{day}.json"))
}

fn add_to_day(dir: &Path, day: Date, counted: &[(Key, u64)], left_out: u64) -> io::Result<()> {
    let path = path_of(dir, day);
    let old = match read_file(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error),
    };
    // A file that is damaged is begun anew: it is a statistic.
    let mut file: Day<'_> = serde_json::from_slice(&old).unwrap_or_default();
    let mut rows: BTreeMap<Row<'_>, u64> = BTreeMap::new();
    for mut row in file.decisions {
        let count = std::mem::take(&mut row.count);
        *rows.entry(row).or_default() += count;
    }
    file.left_out = file.left_out.saturating_add(left_out);
    for (key, count) in counted {
        let row = Row {
            hour: start_of(key.hour),
            contract: Cow::Borrowed(&key.contract),
            address: Cow::Borrowed(&key.address),
            caller: Cow::Borrowed(&key.caller),
            profile: key.profile,
            outcome: key.outcome,
            generation: Cow::Owned(key.generation.to_string()),
            count: 0,
        };
        let full = rows.len() >= limits::DECISION_KEYS_MAX;
        match rows.get_mut(&row) {
            Some(sum) => *sum = sum.saturating_add(*count),
            None if full => file.left_out = file.left_out.saturating_add(*count),
            None => {
                rows.insert(row, *count);
            }
        }
    }
    file.decisions = rows.into_iter().map(|(row, count)| Row { count, ..row }).collect();
    write_whole(&path, &serde_json::to_vec(&file).map_err(io::Error::other)?)
}

fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    if fs::metadata(path)?.len() > limits::DECISION_FILE_BYTES_MAX {
        return Err(io::Error::other("it is larger than a day's decisions can be"));
    }
    fs::read(path)
}

/// The days that there are files of, in order.
fn days_in(dir: &Path) -> io::Result<Vec<Date>> {
    let mut days = Vec::new();
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name();
        days.extend(name.to_str().and_then(|it| it.strip_suffix(".json")?.parse::<Date>().ok()));
    }
    days.sort_unstable();
    Ok(days)
}

fn forget(dir: &Path, today: Date) -> io::Result<()> {
    let days = days_in(dir)?;
    let keep = i64::try_from(limits::DECISION_DAYS_MAX).unwrap_or(i64::MAX);
    let first = today.checked_sub((keep - 1).days()).unwrap_or(Date::MIN);
    days.into_iter()
        .filter(|day| *day < first)
        .try_for_each(|day| fs::remove_file(path_of(dir, day)))
}

/// Hands each hour's let-through calls of the days that begin at `first` to `visit`, as address,
/// contract, the hour's beginning and count. A day's file is in memory at a time.
///
/// # Errors
/// When the folder or a file in it cannot be read. A damaged file is left out: it is a statistic.
pub fn each_hour(
    dir: &Path,
    first: Date,
    visit: &mut dyn FnMut(&str, &str, Timestamp, u64),
) -> io::Result<()> {
    for day in days_in(dir)?.into_iter().filter(|day| *day >= first) {
        let bytes = read_file(&path_of(dir, day))?;
        let Ok(file) = serde_json::from_slice::<Day<'_>>(&bytes) else { continue };
        for row in file.decisions.iter().filter(|row| row.outcome.is_let_through()) {
            visit(&row.address, &row.contract, row.hour, row.count);
        }
    }
    Ok(())
}

/// Address, caller, profile and contract.
type Call<'a> = (Cow<'a, str>, Cow<'a, str>, Profile, Cow<'a, str>);

/// What was recorded of the last days.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Recorded {
    /// How many days of those asked for there is a record of.
    pub days: usize,
    /// Each call once, with how often it came.
    pub calls: Vec<Calls>,
    /// Calls that were only counted.
    pub left_out: u64,
    /// How many of the calls each configuration decided, by the first twelve characters of its name;
    /// under the empty one those of before it was recorded.
    #[serde(default)]
    pub generations: BTreeMap<String, u64>,
}

/// Reads the files of the `days` last days up to `today` and adds up equal calls.
///
/// # Errors
/// When the folder or a file in it cannot be read.
pub fn read(dir: &Path, days: usize, today: Date) -> io::Result<Recorded> {
    let back = i64::try_from(days.min(limits::DECISION_DAYS_MAX)).unwrap_or(1);
    let first = today.checked_sub((back - 1).days()).unwrap_or(today);
    let mut found = days_in(dir)?;
    found.retain(|day| *day >= first);
    let mut sums: BTreeMap<(String, String, Profile, String), u64> = BTreeMap::new();
    let mut left_out: u64 = 0;
    let mut generations: BTreeMap<String, u64> = BTreeMap::new();
    for day in &found {
        let path = path_of(dir, *day);
        let bytes = read_file(&path)?;
        let file: Day<'_> = serde_json::from_slice(&bytes)
            .map_err(|error| io::Error::other(format!("{}: {error}", path.display())))?;
        left_out = left_out.saturating_add(file.left_out);
        // Addresses differ soonest, so they are compared first. Equal calls first come together, so
        // that a text is copied once for each call and not once for each hour.
        let mut of_day: BTreeMap<Call<'_>, u64> = BTreeMap::new();
        for row in file.decisions {
            match generations.get_mut(&*row.generation) {
                Some(sum) => *sum = sum.saturating_add(row.count),
                None => drop(generations.insert(row.generation.into_owned(), row.count)),
            }
            let key = (row.address, row.caller, row.profile, row.contract);
            let sum = of_day.entry(key).or_default();
            *sum = sum.saturating_add(row.count);
        }
        for ((address, caller, profile, contract), count) in of_day {
            let key = (address.into_owned(), caller.into_owned(), profile, contract.into_owned());
            let sum = sums.entry(key).or_default();
            *sum = sum.saturating_add(count);
        }
    }
    let calls = sums
        .into_iter()
        .map(|((address, caller, profile, contract), count)| Calls {
            contract,
            address,
            caller,
            profile,
            count,
        })
        .collect();
    Ok(Recorded { days: found.len(), calls, left_out, generations })
}
