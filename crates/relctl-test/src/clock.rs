//! A clock that moves only when someone waits.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use relctl_engine::Clock;

/// Starts at 2026-01-01T00:00:00Z; waiting moves it at once.
#[derive(Debug, Default)]
pub struct FixedClock {
    elapsed_ms: AtomicU64,
}

#[async_trait]
impl Clock for FixedClock {
    fn now(&self) -> String {
        let seconds = self.elapsed_ms.load(Ordering::SeqCst) / 1_000;
        let (hours, minutes) = (seconds / 3_600 % 24, seconds / 60 % 60);
        format!("2026-01-01T{hours:02}:{minutes:02}:{:02}Z", seconds % 60)
    }

    fn monotonic_ms(&self) -> u64 {
        self.elapsed_ms.load(Ordering::SeqCst)
    }

    async fn sleep(&self, duration: Duration) {
        let ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        self.elapsed_ms.fetch_add(ms, Ordering::SeqCst);
        tokio::task::yield_now().await;
    }
}
