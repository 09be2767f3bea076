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
    /// The newest entry, where it failed.
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

/// The newest entry, when it failed.
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
    let failed = status.last.as_ref().filter(|last| last.outcome == EntryOutcome::Failed);
    let in_force = status.in_force.as_ref().map(|entry| entry.serial);
    match &status.in_force {
        Some(entry) => {
            let (version, serial) = (safe(&entry.version), entry.serial);
            let standing = match (failed, entry.verified) {
                (Some(last), _) if last.serial == serial => {
                    format!(", but its {} FAILED: only a part of it is done", kind_name(last.kind))
                }
                (_, None) => ", without blocking checks".to_owned(),
                (_, known) => verified_text(known).to_owned(),
            };
            fact("in force", &format!("{version} #{serial}{standing}"));
            fact("", &format!("{} by {}", safe(&entry.finished), safe(&entry.actor)));
            fact("entry", entry.entry.as_str());
        }
        None => fact("in force", "nothing"),
    }
    if let Some(last) = failed.filter(|last| Some(last.serial) != in_force) {
        let (version, kind) = (safe(&last.version), kind_name(last.kind));
        fact("last", &format!("{version} #{}: {kind} FAILED", last.serial));
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
            let environment = match &status.environment {
                Some(environment) => format!(" -e {}", safe(environment)),
                None => String::new(),
            };
            lines.push(format!("  go on:            relctl resume{environment}"));
            lines.push(format!("  settle and stop:  relctl resume --stop{environment}"));
            lines.push(format!("  go back:          relctl revert{environment}"));
        }
    }
    if !status.unsettled.is_empty() {
        lines.push(String::new());
        let title =
            format!("! unsettled: {}", counted(status.unsettled.len(), "object", "objects"));
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::plan::testing::digest;

    fn status() -> Status {
        Status {
            release: "site".to_owned(),
            environment: Some("production".to_owned()),
            ledger: "state/site/production".to_owned(),
            lineage: "0123".to_owned(),
            in_force: Some(InForce {
                version: "v1.1.0".to_owned(),
                serial: 14,
                entry: digest("entry"),
                verified: Some(true),
                actor: "alice".to_owned(),
                finished: "2026-01-02T03:04:05Z".to_owned(),
            }),
            last: None,
            operation: None,
            lock: None,
            drift: Some(Vec::new()),
            revert_to: Some(Origin {
                serial: 12,
                entry: Some(digest("old")),
                version: Some("v1.0.0".to_owned()),
            }),
            unsettled: Vec::new(),
        }
    }

    #[test]
    fn all_is_well() {
        insta::assert_snapshot!(status_text(&status(), &Style::PLAIN), @"
        site → production

          in force    v1.1.0 #14, verified
                      2026-01-02T03:04:05Z by alice
          entry       923fe53966c6cd9343e11af776cd4b05be315ea4b200b02e4d5dfb0f929b73bf
          ledger      state/site/production
          lock        free
          revert      would go to v1.0.0 #12
          drift       none
        ");
    }

    #[test]
    fn nothing_yet() {
        let status = Status { in_force: None, drift: None, revert_to: None, ..status() };
        insta::assert_snapshot!(status_text(&status, &Style::PLAIN), @"
        site → production

          in force    nothing
          ledger      state/site/production
          lock        free
          revert      has nowhere to go
          drift       not looked for; `relctl drift` looks
        ");
    }

    #[test]
    fn a_person_must_act() {
        let address: Address = "resource.local_file.index".parse().unwrap();
        let status = Status {
            last: Some(LastEntry {
                version: "v1.2.0".to_owned(),
                serial: 15,
                kind: EntryKind::Apply,
                outcome: EntryOutcome::Failed,
            }),
            operation: Some(OpenStatus {
                id: "op-16".to_owned(),
                kind: EntryKind::Apply,
                plan_id: digest("plan"),
                actor: "bob\n! all is well".to_owned(),
                started: "2026-01-03T03:04:05Z".to_owned(),
            }),
            drift: Some(vec![Drift {
                address: address.clone(),
                path: "mode".parse().unwrap(),
                recorded: json!("0644"),
                observed: json!("0600"),
            }]),
            unsettled: vec![address],
            ..status()
        };
        insta::assert_snapshot!(status_text(&status, &Style::PLAIN), @r"
        site → production

          in force    v1.1.0 #14, verified
                      2026-01-02T03:04:05Z by alice
          entry       923fe53966c6cd9343e11af776cd4b05be315ea4b200b02e4d5dfb0f929b73bf
          last        v1.2.0 #15: apply FAILED
          ledger      state/site/production
          lock        free
          revert      would go to v1.0.0 #12
          drift       1 field
            resource.local_file.index
              ~ mode   0644 → 0600

        ! apply by bob\n! all is well was interrupted (started 2026-01-03T03:04:05Z, operation op-16)
          go on:            relctl resume -e production
          settle and stop:  relctl resume --stop -e production
          go back:          relctl revert -e production

        ! unsettled: 1 object, whose last step did not certainly succeed; the next plan has a step for each
            resource.local_file.index
        ");
    }

    #[test]
    fn what_is_in_force_failed() {
        let mut status = status();
        status.last = Some(LastEntry {
            version: "v1.1.0".to_owned(),
            serial: 14,
            kind: EntryKind::Apply,
            outcome: EntryOutcome::Failed,
        });
        let text = status_text(&status, &Style::PLAIN);
        let in_force = text.lines().find(|line| line.contains("in force")).unwrap();
        insta::assert_snapshot!(in_force, @"  in force    v1.1.0 #14, but its apply FAILED: only a part of it is done");
        assert!(!text.contains("  last "));
    }

    #[test]
    fn someone_is_at_work() {
        let status = Status {
            lock: Some(LockHolder {
                actor: "ci".to_owned(),
                host: "runner-7".to_owned(),
                pid: 4242,
                command: "apply".to_owned(),
                since: "2026-01-03T03:04:05Z".to_owned(),
                run_url: Some("https://ci.example/run/7".to_owned()),
            }),
            operation: Some(OpenStatus {
                id: "op-16".to_owned(),
                kind: EntryKind::Revert,
                plan_id: digest("plan"),
                actor: "ci".to_owned(),
                started: "2026-01-03T03:04:06Z".to_owned(),
            }),
            ..status()
        };
        insta::assert_snapshot!(status_text(&status, &Style::PLAIN), @"
        site → production

          in force    v1.1.0 #14, verified
                      2026-01-02T03:04:05Z by alice
          entry       923fe53966c6cd9343e11af776cd4b05be315ea4b200b02e4d5dfb0f929b73bf
          ledger      state/site/production
          lock        held by ci on runner-7 (`apply`, process 4242) since 2026-01-03T03:04:05Z, https://ci.example/run/7
          revert      would go to v1.0.0 #12
          drift       none

        revert by ci is running since 2026-01-03T03:04:06Z
        ");
    }
}
