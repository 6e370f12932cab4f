//! The time that a producer has for a call. It stands still while the caller is waited for.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// A stopwatch that runs down. It runs from the start; reading the caller's message and writing the
/// caller's answer [`pause`](Self::pause) it.
#[derive(Debug)]
pub struct Patience(Mutex<Watch>);

#[derive(Debug, Clone, Copy)]
struct Watch {
    left: Duration,
    running: Option<Instant>,
}

impl Patience {
    /// `time` from now on.
    #[must_use]
    pub fn new(time: Duration) -> Self {
        Self(Mutex::new(Watch { left: time, running: Some(Instant::now()) }))
    }

    /// The caller is waited for.
    pub fn pause(&self) {
        self.change(false);
    }

    /// The producer is waited for.
    pub fn resume(&self) {
        self.change(true);
    }

    /// What is left, as of now.
    #[must_use]
    pub fn left(&self) -> Duration {
        let watch = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        watch.left.saturating_sub(watch.running.map(|since| since.elapsed()).unwrap_or_default())
    }

    /// Returns when nothing is left.
    pub async fn out(&self) {
        loop {
            let left = self.left();
            if left.is_zero() {
                return;
            }
            // If it stands still meanwhile, there is something left then, and it is waited for anew.
            sleep_until(Instant::now() + left).await;
        }
    }

    fn change(&self, run: bool) {
        let mut watch = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        match (watch.running, run) {
            (Some(since), false) => {
                watch.left = watch.left.saturating_sub(now.duration_since(since));
                watch.running = None;
            }
            (None, true) => watch.running = Some(now),
            (Some(_), true) | (None, false) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn time_runs_for_the_producer_and_stands_still_for_the_caller() {
        let ms = Duration::from_millis;
        let patience = Patience::new(ms(400));
        patience.pause();
        let left = patience.left();
        tokio::time::sleep(ms(500)).await;
        assert_eq!(patience.left(), left, "longer than all of it, and nothing has run");
        patience.resume();
        patience.resume();
        let begun = Instant::now();
        patience.out().await;
        assert!(begun.elapsed() >= left && begun.elapsed() < left + ms(2000));
        assert!(patience.left().is_zero());
    }
}
