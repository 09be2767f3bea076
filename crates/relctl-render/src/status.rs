//! Status: what one types first.

use relctl_plan::{Address, Digest, Drift, EntryKind, EntryOutcome, Origin};
use serde::{Deserialize, Serialize};

use crate::Style;
use crate::history::{drift_lines, verified_text};
use crate::plan::origin_text;
use crate::style::Tone;
use crate::text::{counted, joined, pad, safe};

/// Where a release stands in one environment; the `--json` form of `status`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    pub release: String,
    pub environment: Option<String>,
    /// A folder or a URL.
    pub ledger: String,
    pub lineage: String,
    /// `None`: nothing was applied yet, or everything was taken back.
    pub in_force: Option<InForce>,
    /// The newest entry, where it is another one: it failed.
    pub last: Option<LastEntry>,
    pub operation: Option<OpenStatus>,
    pub lock: Option<LockHolder>,
    /// `None`: it was not looked for.
    pub drift: Option<Vec<Drift>>,
    /// Where `revert` would go; `None`: there is nowhere to go.
    pub revert_to: Option<Origin>,
    /// Objects whose last step failed, is partial, or has an unknown outcome.
    pub unsettled: Vec<Address>,
}

/// The entry whose release runs now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InForce {
    pub version: String,
    pub serial: u64,
    pub entry: Digest,
    pub verified: Option<bool>,
    pub actor: String,
    /// RFC 3339, UTC.
    pub finished: String,
}

/// The newest entry, when it is not the one in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastEntry {
    pub version: String,
    pub serial: u64,
    pub kind: EntryKind,
    pub outcome: EntryOutcome,
}

/// An operation that has begun and was not closed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenStatus {
    pub id: String,
    pub kind: EntryKind,
    pub plan_id: Digest,
    pub actor: String,
    pub started: String,
}

/// Who holds the lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockHolder {
    pub actor: String,
    pub host: String,
    pub pid: u32,
    pub command: String,
    pub since: String,
    pub run_url: Option<String>,
}

/// What runs, whether it can be trusted, and what would happen next.
pub fn status_text(status: &Status, style: &Style) -> String {
    let target = match &status.environment {
        Some(environment) => format!(" {} {}", style.arrow(), safe(environment)),
        None => String::new(),
    };
    let title = format!("{}{target}", safe(&status.release));
    let mut lines = vec![style.paint(Tone::Heading, &title), String::new()];
    let mut fact = |name: &str, value: &str| lines.push(format!("  {}{value}", pad(name, 12)));
    match &status.in_force {
        Some(entry) => {
            let verified = match entry.verified {
                None => ", without blocking checks",
                known => verified_text(known),
            };
            let (version, serial) = (safe(&entry.version), entry.serial);
            fact("in force", &format!("{version} #{serial}{verified}"));
            fact("", &format!("{} by {}", safe(&entry.finished), safe(&entry.actor)));
            fact("entry", entry.entry.as_str());
        }
        None => fact("in force", "nothing"),
    }
    if let Some(last) = &status.last {
        let kind = kind_name(last.kind);
        let outcome = match last.outcome {
            EntryOutcome::Succeeded => "succeeded",
            EntryOutcome::Failed => "FAILED",
        };
        fact("last", &format!("{} #{}: {kind} {outcome}", safe(&last.version), last.serial));
    }
    fact("ledger", &safe(&status.ledger));
    match &status.lock {
        Some(holder) => fact("lock", &format!("held by {}", holder_text(holder))),
        None => fact("lock", "free"),
    }
    match &status.revert_to {
        Some(origin) => fact("revert", &format!("would go to {}", origin_text(origin))),
        None => fact("revert", "has nowhere to go"),
    }
    match &status.drift {
        None => fact("drift", "not looked for; `relctl drift` looks"),
        Some(drift) if drift.is_empty() => fact("drift", "none"),
        Some(drift) => fact("drift", &counted(drift.len(), "field", "fields")),
    }
    if let Some(drift) = &status.drift {
        lines.extend(drift_lines(drift, 4, *style));
    }
    lines.extend(attention(status, *style));
    joined(lines)
}

/// What a person must deal with, with the command for it.
fn attention(status: &Status, style: Style) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(operation) = &status.operation {
        let (kind, actor) = (kind_name(operation.kind), safe(&operation.actor));
        lines.push(String::new());
        // While someone holds the lock, the operation is running, not interrupted.
        if status.lock.is_some() {
            lines.push(format!("{kind} by {actor} is running since {}", safe(&operation.started)));
        } else {
            let text = format!("! {kind} by {actor} was interrupted");
            lines.push(format!(
                "{} (started {}, operation {})",
                style.paint(Tone::Bad, &text),
                safe(&operation.started),
                safe(&operation.id)
            ));
            lines.push("  go on: `relctl resume`   settle and stop: `relctl resume --stop`   go back: `relctl revert`".to_owned());
        }
    }
    if !status.unsettled.is_empty() {
        lines.push(String::new());
        let title = format!("! unsettled: {}", counted(status.unsettled.len(), "object", "objects"));
        lines.push(format!(
            "{}, whose last step did not certainly succeed; the next plan has a step for each",
            style.paint(Tone::Bad, &title)
        ));
        lines.extend(status.unsettled.iter().map(|address| format!("    {address}")));
    }
    lines
}

fn holder_text(holder: &LockHolder) -> String {
    let run = holder.run_url.as_ref().map(|url| format!(", {}", safe(url))).unwrap_or_default();
    format!(
        "{} on {} (`{}`, process {}) since {}{run}",
        safe(&holder.actor),
        safe(&holder.host),
        safe(&holder.command),
        holder.pid,
        safe(&holder.since)
    )
}

pub(crate) fn kind_name(kind: EntryKind) -> &'static str {
    match kind {
        EntryKind::Apply => "apply",
        EntryKind::Revert => "revert",
    }
}
