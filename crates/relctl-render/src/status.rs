//! Status: what one types first.

use std::collections::BTreeMap;

use relctl_plan::{
    Address, Digest, Drift, EntryKind, EntryOutcome, JournalEvent, JournalLine, OpenOperation,
    Origin, Plan, Step, StepId, Verb,
};
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
    /// How many steps its plan has, checks aside; `None`: the plan could not be read.
    pub steps: Option<usize>,
    pub done: Vec<StepId>,
    pub failed: Vec<StepId>,
    /// Begun, and no end of it is on record.
    pub begun: Vec<StepId>,
}

impl OpenStatus {
    /// An operation as HEAD, its plan and its journal tell of it. Without a plan that could be read
    /// nothing is said of its steps.
    pub fn new(operation: OpenOperation, plan: Option<&Plan>, journal: &[JournalLine]) -> Self {
        let mut states: BTreeMap<&StepId, Option<bool>> = BTreeMap::new();
        for line in journal {
            match &line.event {
                JournalEvent::Begin { step, .. } | JournalEvent::Pending { step, .. } => {
                    states.insert(step, None);
                }
                JournalEvent::NotStarted { step }
                | JournalEvent::Resolved { step, done: false, .. } => {
                    states.remove(step);
                }
                JournalEvent::Done { step, .. }
                | JournalEvent::Noop { step, .. }
                | JournalEvent::Resolved { step, .. } => {
                    states.insert(step, Some(true));
                }
                JournalEvent::Failed { step, .. }
                | JournalEvent::Partial { step, .. }
                | JournalEvent::Unknown { step, .. } => {
                    states.insert(step, Some(false));
                }
                JournalEvent::Opened { .. }
                | JournalEvent::Checked { .. }
                | JournalEvent::Closed { .. } => {}
            }
        }
        let all = plan.map(|plan| plan.body.steps.as_slice()).unwrap_or_default();
        let steps = || all.iter().filter(|step| step.verb != Verb::Check);
        let of = |state: Option<bool>| -> Vec<StepId> {
            let is_so = |step: &&Step| states.get(&step.id) == Some(&state);
            steps().filter(is_so).map(|step| step.id.clone()).collect()
        };
        Self {
            steps: plan.map(|_| steps().count()),
            done: of(Some(true)),
            failed: of(Some(false)),
            begun: of(None),
            id: operation.id,
            kind: operation.kind,
            plan_id: operation.plan_id,
            actor: operation.actor,
            started: operation.started,
        }
    }

    /// `2 of 5 steps are done; begun, with no end on record: …`
    fn how_far(&self, is_running: bool) -> String {
        let Some(steps) = self.steps else { return "how far it came is not known".to_owned() };
        let steps = counted(steps, "step", "steps");
        let begun = if is_running { "running" } else { "begun, with no end on record" };
        let named = [("failed", &self.failed), (begun, &self.begun)]
            .into_iter()
            .filter(|(_, ids)| !ids.is_empty())
            .map(|(what, ids)| {
                let ids: Vec<&str> = ids.iter().map(StepId::as_str).collect();
                format!("{what}: {}", safe(&ids.join(", ")))
            });
        let parts: Vec<String> =
            std::iter::once(format!("{} of {steps} done", self.done.len())).chain(named).collect();
        parts.join("; ")
    }
}

/// Who holds the lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockHolder {
    pub actor: String,
    pub host: String,
    pub pid: u32,
    pub command: String,
    /// The plan that it carries out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan_id: Option<Digest>,
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
        let serial = last.serial;
        fact(
            "last",
            &format!("{version} #{serial}: {kind} FAILED; see how far: relctl show {serial}"),
        );
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
            lines.push(format!(
                "{kind} by {actor} is running since {}: {}",
                safe(&operation.started),
                operation.how_far(true)
            ));
        } else {
            let text = format!("! {kind} by {actor} was interrupted");
            lines.push(format!(
                "{} (started {}, operation {})",
                style.paint(Tone::Bad, &text),
                safe(&operation.started),
                safe(&operation.id)
            ));
            lines.push(format!("  {}", operation.how_far(false)));
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
    let plan = holder.plan_id.as_ref().map(|id| format!(" of plan {}", id.short()));
    let plan = plan.unwrap_or_default();
    format!(
        "{} on {} (`{}`{plan}, process {}) since {}{run}",
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
    use crate::plan::testing::{digest, healthflow};

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

    fn step(name: &str) -> StepId {
        StepId::new(&format!("resource.local_file.{name}").parse().unwrap(), Verb::Update)
    }

    #[test]
    fn an_open_operation_is_told_from_its_journal() {
        let plan = healthflow();
        let ids: Vec<StepId> = plan.body.steps.iter().map(|step| step.id.clone()).collect();
        let document = relctl_plan::Document::default;
        let begin = |step: &StepId| JournalEvent::Begin {
            step: step.clone(),
            token: String::new(),
            attempt: relctl_plan::Attempt::First,
            desired: document().into(),
            run_key: None,
            undo: None,
        };
        let events = [
            begin(&ids[0]),
            JournalEvent::Done { step: ids[0].clone(), document: document() },
            begin(&ids[1]),
            begin(&ids[2]),
            JournalEvent::NotStarted { step: ids[2].clone() },
        ];
        let mut journal: Vec<JournalLine> = Vec::new();
        for event in events {
            let line = relctl_plan::chain(journal.last(), "now".to_owned(), event).unwrap();
            journal.push(line);
        }
        let operation = OpenOperation {
            id: "op".to_owned(),
            kind: EntryKind::Apply,
            plan_id: digest("plan"),
            plan: digest("plan object"),
            actor: "ada".to_owned(),
            reason: None,
            started: "now".to_owned(),
        };
        let open = OpenStatus::new(operation, Some(&plan), &journal);
        insta::assert_snapshot!(open.how_far(false), @"1 of 4 steps done; begun, with no end on record: resource.aws_ecs_task_definition.backend#create");
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
                steps: Some(5),
                done: vec![step("a"), step("b")],
                failed: vec![step("c")],
                begun: vec![step("d")],
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
          last        v1.2.0 #15: apply FAILED; see how far: relctl show 15
          ledger      state/site/production
          lock        free
          revert      would go to v1.0.0 #12
          drift       1 field
            resource.local_file.index
              ~ mode   0644 → 0600

        ! apply by bob\n! all is well was interrupted (started 2026-01-03T03:04:05Z, operation op-16)
          2 of 5 steps done; failed: resource.local_file.c#update; begun, with no end on record: resource.local_file.d#update
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
                plan_id: Some(digest("plan")),
                since: "2026-01-03T03:04:05Z".to_owned(),
                run_url: Some("https://ci.example/run/7".to_owned()),
            }),
            operation: Some(OpenStatus {
                id: "op-16".to_owned(),
                kind: EntryKind::Revert,
                plan_id: digest("plan"),
                actor: "ci".to_owned(),
                started: "2026-01-03T03:04:06Z".to_owned(),
                steps: Some(5),
                done: vec![step("a")],
                failed: Vec::new(),
                begun: Vec::new(),
            }),
            ..status()
        };
        insta::assert_snapshot!(status_text(&status, &Style::PLAIN), @"
        site → production

          in force    v1.1.0 #14, verified
                      2026-01-02T03:04:05Z by alice
          entry       923fe53966c6cd9343e11af776cd4b05be315ea4b200b02e4d5dfb0f929b73bf
          ledger      state/site/production
          lock        held by ci on runner-7 (`apply` of plan 64879f7d, process 4242) since 2026-01-03T03:04:05Z, https://ci.example/run/7
          revert      would go to v1.0.0 #12
          drift       none

        revert by ci is running since 2026-01-03T03:04:06Z: 1 of 5 steps done
        ");
    }
}
