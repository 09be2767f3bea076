//! What a plugin call may use at most.

use std::time::Duration;

/// What one plugin call may use at most. Passing a limit ends the call, unless said otherwise; the
/// message names the limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Guest CPU, in wasmtime's fuel units: about one for each instruction. Time spent in the host
    /// is not counted. Message: "used its whole CPU budget".
    pub fuel: u64,
    /// Wall clock of one call while planning. Calls while applying may take as long as their step.
    /// Message: "took longer than 60 s".
    pub planning_time: Duration,
    /// All linear memory of an instance, in bytes. Message: "needed more than 256 MiB of memory".
    pub memory: usize,
    /// Elements of all tables of an instance. Message: "needed larger tables than …".
    pub table_elements: usize,
    /// What a guest may hand to the host at once, in bytes: an answer, a file, a request. Message:
    /// "handed over more than 32 MiB at once".
    pub hostcall_bytes: usize,
    /// The largest file, or response of a cloud, that is handed to a guest, in bytes. Beyond it the
    /// guest gets a failure, the call goes on.
    pub response_bytes: u64,
    /// Requests to a cloud in one call. Beyond it the guest gets a failure, the call goes on.
    pub requests: u32,
    /// Log lines in one call. More are dropped, which one line says.
    pub log_lines: u32,
    /// Bytes of a log line. More are cut off.
    pub log_line_bytes: usize,
    /// How many calls of one plugin run at once.
    pub parallel_calls: usize,
    /// Subjects in one call, whatever the plugin's `batch` says.
    pub subjects: usize,
    /// Bytes of the documents that one call is asked about.
    pub asked_bytes: usize,
}

impl Default for Limits {
    /// The limits that hold where nobody sets others.
    fn default() -> Self {
        Self {
            // About 5 s of a 2024 server core.
            fuel: 10_000_000_000,
            planning_time: Duration::from_mins(1),
            memory: 256 * MIB,
            table_elements: 100_000,
            hostcall_bytes: 32 * MIB,
            response_bytes: 8 * MIB as u64,
            requests: 200,
            log_lines: 1000,
            log_line_bytes: 4096,
            // They wait for the cloud, not for a core.
            parallel_calls: 16,
            subjects: 1000,
            asked_bytes: 4 * MIB,
        }
    }
}

const MIB: usize = 1 << 20;

/// A size for people, `256 MiB`.
pub(crate) fn size(bytes: usize) -> String {
    if bytes >= MIB && bytes.is_multiple_of(MIB) {
        format!("{} MiB", bytes / MIB)
    } else {
        format!("{bytes} bytes")
    }
}
