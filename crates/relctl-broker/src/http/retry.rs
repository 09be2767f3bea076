//! When a request is sent again, and how long to wait before.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// How many retries an operation of relctl has left, over all plugins and calls together: a cloud
/// in trouble is not helped by every call trying its utmost.
///
/// A retry costs five, a call that needed none earns one back, up to the capacity.
#[derive(Debug)]
pub struct RetryBudget {
    left: AtomicU32,
    capacity: u32,
}

impl RetryBudget {
    const COST: u32 = 5;
    const EARNED: u32 = 1;

    /// A budget for so many retries in a row.
    pub fn new(retries: u32) -> Self {
        let capacity = retries.saturating_mul(Self::COST);
        Self { left: AtomicU32::new(capacity), capacity }
    }

    /// Takes one retry out, if one is left.
    fn spend(&self) -> bool {
        self.left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(Self::COST))
            .is_ok()
    }

    /// A call went through at once.
    pub(crate) fn earn(&self) {
        let more = |left: u32| Some(left.saturating_add(Self::EARNED).min(self.capacity));
        // The closure never declines, so there is no error to lose.
        self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok();
    }
}

/// How one call is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retries {
    /// How often a request is sent at most, the first time included.
    pub attempts: u32,
    /// The longest wait before the first retry. It doubles with each further one.
    pub base: Duration,
    /// The longest wait before any retry.
    pub cap: Duration,
}

impl Retries {
    /// The wait before the retry that follows attempt number `attempt` (from 1), if there is one:
    /// full jitter, so that calls which failed together do not come back together.
    pub(crate) fn next(
        &self,
        attempt: u32,
        asked: Option<Duration>,
        budget: &RetryBudget,
    ) -> Option<Duration> {
        if attempt >= self.attempts || !budget.spend() {
            return None;
        }
        let doubled = self.base.saturating_mul(1_u32.checked_shl(attempt - 1).unwrap_or(u32::MAX));
        let jittered = doubled.min(self.cap).mul_f64(fastrand::f64());
        Some(asked.map_or(jittered, |asked| asked + jittered))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RETRIES: Retries =
        Retries { attempts: 4, base: Duration::from_millis(100), cap: Duration::from_millis(250) };

    #[test]
    fn waits_grow_up_to_the_cap() {
        let budget = RetryBudget::new(10_000);
        for (attempt, most) in [(1, 100), (2, 200), (3, 250)] {
            for _ in 0..200 {
                let wait = RETRIES.next(attempt, None, &budget).unwrap();
                assert!(wait <= Duration::from_millis(most), "{attempt}: {wait:?}");
            }
        }
        assert_eq!(RETRIES.next(4, None, &budget), None);
    }

    #[test]
    fn waits_at_least_as_long_as_asked() {
        let asked = Duration::from_secs(3);
        let wait = RETRIES.next(1, Some(asked), &RetryBudget::new(1)).unwrap();
        assert!(wait >= asked);
    }

    #[test]
    fn calls_share_one_budget() {
        let budget = RetryBudget::new(2);
        assert!(budget.spend() && budget.spend());
        assert!(!budget.spend());
        for _ in 0..4 {
            budget.earn();
        }
        assert!(!budget.spend());
        budget.earn();
        assert!(budget.spend());
        for _ in 0..100 {
            budget.earn();
        }
        assert!(budget.spend() && budget.spend() && !budget.spend());
    }
}
