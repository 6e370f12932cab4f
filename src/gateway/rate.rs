//! How often one consumer may call: a bucket each, so that one that floods takes nothing from others.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::time::Instant;

use crate::id::HsaId;
use crate::limits;
use crate::tak::Rate;

/// The pace of every consumer. A bucket holds as many calls as the rate names, and fills evenly.
#[derive(Debug)]
pub(super) struct Rates {
    /// Where a system has none of its own.
    default: Option<Rate>,
    begun: Instant,
    /// In the order of their ids. Copied when one comes to it, which happens seldom.
    known: ArcSwap<Vec<(HsaId, Arc<Bucket>)>>,
    /// For those beyond [`limits::CONSUMERS_PACED_MAX`].
    rest: Arc<Bucket>,
}

/// Nanoseconds from the beginning to when the bucket is full again.
type Bucket = AtomicU64;

impl Rates {
    pub(super) fn new(default: Option<Rate>) -> Self {
        Self { default, begun: Instant::now(), known: ArcSwap::default(), rest: Arc::default() }
    }

    /// Takes one call out of the bucket of `caller`, whose own rate is `own`; how long it must wait
    /// where there is none.
    pub(super) fn take(&self, caller: &HsaId, own: Option<Rate>) -> Result<(), (Rate, Duration)> {
        self.take_at(caller, own, nanos(self.begun.elapsed()))
    }

    fn take_at(&self, caller: &HsaId, own: Option<Rate>, now: u64) -> Result<(), (Rate, Duration)> {
        let Some(rate) = own.or(self.default) else { return Ok(()) };
        let bucket = self.bucket(caller);
        take(&bucket, rate, now).map_err(|wait| (rate, wait))
    }

    fn bucket(&self, caller: &HsaId) -> Arc<Bucket> {
        let known = self.known.load();
        if let Ok(at) = known.binary_search_by(|(id, _)| id.cmp(caller)) {
            return known.get(at).map_or_else(|| Arc::clone(&self.rest), |it| Arc::clone(&it.1));
        }
        if known.len() >= limits::CONSUMERS_PACED_MAX {
            return Arc::clone(&self.rest);
        }
        let mut found = Arc::clone(&self.rest);
        self.known.rcu(|known| {
            let mut known = Vec::clone(known);
            match known.binary_search_by(|(id, _)| id.cmp(caller)) {
                Ok(at) => {
                    if let Some((_, bucket)) = known.get(at) {
                        found = Arc::clone(bucket);
                    }
                }
                Err(at) => {
                    found = Arc::default();
                    known.insert(at, (caller.clone(), Arc::clone(&found)));
                }
            }
            known
        });
        found
    }
}

/// One call at `now`. The bucket is full at a moment; each call moves it on by the distance between
/// two, and none may be taken when it is further away than the bucket is deep.
fn take(bucket: &Bucket, rate: Rate, now: u64) -> Result<(), Duration> {
    let each = nanos(rate.interval());
    let deep = each.saturating_mul(u64::from(rate.calls.saturating_sub(1)));
    let mut full = bucket.load(Ordering::Relaxed);
    loop {
        let from = full.max(now);
        let over = from.saturating_sub(now).saturating_sub(deep);
        if over > 0 {
            return Err(Duration::from_nanos(over));
        }
        let next = from.saturating_add(each);
        match bucket.compare_exchange_weak(full, next, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => return Ok(()),
            Err(other) => full = other,
        }
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_bucket_gives_as_many_as_the_rate_names_and_then_one_at_a_time() {
        let rate = Rate { calls: 4, per: Duration::from_secs(2) };
        let bucket = Bucket::default();
        for _ in 0..4 {
            assert_eq!(take(&bucket, rate, SECOND), Ok(()));
        }
        let half = Duration::from_millis(500);
        assert_eq!(take(&bucket, rate, SECOND), Err(half));
        assert_eq!(take(&bucket, rate, SECOND + SECOND / 2), Ok(()));
        assert_eq!(take(&bucket, rate, SECOND + SECOND / 2), Err(half));
        assert_eq!(take(&bucket, rate, 100 * SECOND), Ok(()));
    }

    #[test]
    fn each_consumer_has_its_own_and_a_system_s_rate_goes_before_the_default() {
        let id = |text: &str| HsaId::parse(text).unwrap();
        let minute = |calls| Some(Rate { calls, per: Duration::from_secs(60) });
        let rates = Rates::new(minute(1));
        let (a, b) = (id("SE0000000000-REGION"), id("SE0000000000-1177"));
        assert!(rates.take_at(&a, None, SECOND).is_ok());
        assert!(rates.take_at(&a, None, SECOND).is_err());
        let same = id("se0000000000-region");
        assert!(rates.take_at(&same, None, SECOND).is_err(), "the same one");
        assert!(rates.take_at(&b, None, SECOND).is_ok());
        assert!(rates.take_at(&b, minute(1000), SECOND * 2).is_ok());
        assert!(rates.take_at(&a, None, SECOND * 61).is_ok());
        assert!(Rates::new(None).take(&a, None).is_ok());
    }
}
