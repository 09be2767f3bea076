//! The wall clock, or the fixed one that tests ask for.

use std::time::{Duration, Instant, SystemTime};

use async_trait::async_trait;
use relctl_engine::Clock;

/// The system's clock.
#[derive(Debug, Clone)]
pub(crate) struct SystemClock {
    /// `RELCTL_TEST_NOW`: what [`Clock::now`] says instead of the time.
    fixed: Option<String>,
    started: Instant,
}

impl SystemClock {
    pub(crate) fn new(fixed: Option<String>) -> Self {
        Self { fixed, started: Instant::now() }
    }
}

#[async_trait]
impl Clock for SystemClock {
    fn now(&self) -> String {
        match &self.fixed {
            Some(fixed) => fixed.clone(),
            None => humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
        }
    }

    fn monotonic_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}
