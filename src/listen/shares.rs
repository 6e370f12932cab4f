//! Places of a door, counted as a whole and for each address, so that nobody takes them all.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Places that are bounded, of which one address gets at most a share.
#[derive(Debug)]
pub(super) struct Shares {
    most: usize,
    /// For one address; `None` where all callers come from one, which is a proxy's.
    share: Option<usize>,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by: BTreeMap<IpAddr, usize>,
}

/// A place; free again when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    of: Arc<Shares>,
    by: IpAddr,
}

/// Why there was no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Full {
    /// All are taken.
    All(usize),
    /// The address has its share.
    Address(usize),
}

impl Shares {
    /// `most` places, of which `eighths` of eight for one address, or all.
    pub(super) fn new(most: usize, eighths: Option<usize>) -> Arc<Self> {
        let share = eighths.map(|eighths| (most.saturating_mul(eighths) / 8).max(1));
        Arc::new(Self { most, share, taken: Mutex::default() })
    }

    pub(super) fn take(self: &Arc<Self>, by: IpAddr) -> Result<Place, Full> {
        let mut taken = self.taken();
        if taken.all >= self.most {
            return Err(Full::All(self.most));
        }
        let own = taken.by.get(&by).copied().unwrap_or(0);
        if let Some(share) = self.share.filter(|share| own >= *share) {
            return Err(Full::Address(share));
        }
        taken.all += 1;
        taken.by.insert(by, own + 1);
        Ok(Place { of: Arc::clone(self), by })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.of.taken();
        taken.all = taken.all.saturating_sub(1);
        match taken.by.get_mut(&self.by) {
            Some(own) if *own > 1 => *own -= 1,
            Some(_) | None => drop(taken.by.remove(&self.by)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_leaves_places_for_others_and_a_place_comes_back() {
        let (one, other) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let shares = Shares::new(8, Some(6));
        let mut held: Vec<Place> = (0..6).map(|_| shares.take(one).unwrap()).collect();
        assert_eq!(shares.take(one).unwrap_err(), Full::Address(6));
        held.push(shares.take(other).unwrap());
        held.push(shares.take(other).unwrap());
        assert_eq!(shares.take(other).unwrap_err(), Full::All(8));
        drop(held.remove(0));
        assert_eq!(held.len(), 7);
        drop(shares.take(one).unwrap());
        drop(held);
        assert_eq!(shares.taken().all, 0);
        assert!(shares.taken().by.is_empty(), "addresses that left are forgotten");
        let shut_to_none = Shares::new(8, None);
        let all: Vec<Place> = (0..8).map(|_| shut_to_none.take(one).unwrap()).collect();
        assert_eq!(shut_to_none.take(one).unwrap_err(), Full::All(8));
        drop(all);
    }
}
