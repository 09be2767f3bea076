//! The call of a plugin on whose behalf something is done.

use std::fmt;
use std::time::Instant;

/// What a plugin may do at the moment. The host sets it for each call, before the guest runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// `describe`, `validate`, `assess`: no capability at all.
    Pure,
    /// `observe`, `probe`: reads only.
    Plan,
    /// `apply`, `poll`: reads and writes.
    Apply,
}

impl Phase {
    pub fn may_read(self) -> bool {
        self >= Self::Plan
    }

    pub fn may_write(self) -> bool {
        self == Self::Apply
    }
}

impl fmt::Display for Phase {
    /// How a denial ends: "`UpdateService` is not allowed while planning".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pure => "while the plugin only computes",
            Self::Plan => "while planning",
            Self::Apply => "while applying",
        })
    }
}

/// One call of a plugin.
#[derive(Debug, Clone)]
pub struct CallContext {
    /// The plugin instance, as messages name it.
    pub plugin: String,
    /// The contract's function, `observe`.
    pub function: &'static str,
    pub phase: Phase,
    /// Whether nothing that an earlier attempt at the step left half done counts.
    pub first_attempt: bool,
    /// When the host stops waiting for the plugin. Retries end before it.
    pub deadline: Instant,
    /// The largest response, in bytes, that may be handed to the plugin.
    pub max_response: u64,
}
