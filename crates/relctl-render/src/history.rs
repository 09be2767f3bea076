//! History: the log, one entry, and what drifted from it.

use relctl_plan::{
    Digest, Drift, Entry, EntryKind, EntryOutcome, FieldChange, JournalLine, Outcome, Plan, Run,
    Snapshot, Value,
};
use serde::{Deserialize, Serialize};

use crate::Style;
use crate::change::{Line, Shown, layout, line_of};
use crate::plan::View;
use crate::report::{how_far, said_lines};
use crate::style::Tone;
use crate::text::{counted, joined, pad, safe, width};
use crate::value::inline;

/// One entry in the log; with `--json`, one element.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    pub serial: u64,
    pub entry: Digest,
    pub kind: EntryKind,
    pub version: String,
    pub outcome: EntryOutcome,
    pub verified: Option<bool>,
    /// The serial whose state a revert brought back.
    pub restores: Option<u64>,
    pub plan_id: Digest,
    pub actor: String,
    pub reason: Option<String>,
    /// RFC 3339, UTC.
    pub finished: String,
    /// Whether its release is the one that runs now.
    pub in_force: bool,
}

impl LogLine {
    pub fn new(digest: &Digest, entry: &Entry, in_force: bool) -> Self {
        Self {
            serial: entry.serial,
            entry: digest.clone(),
            kind: entry.kind,
            version: entry.version.clone(),
            outcome: entry.outcome,
            verified: entry.verified,
            restores: entry.restores,
            plan_id: entry.plan_id.clone(),
            actor: entry.actor.clone(),
            reason: entry.reason.clone(),
            finished: entry.finished.clone(),
            in_force,
        }
    }

    fn result(&self) -> String {
        result_text(self.kind, self.outcome, self.verified, self.restores)
    }
}

/// `applied, verified`, `FAILED`, `back to #12, verified`.
fn result_text(
    kind: EntryKind,
    outcome: EntryOutcome,
    verified: Option<bool>,
    restores: Option<u64>,
) -> String {
    let what = match (kind, restores) {
        (EntryKind::Apply, _) => "applied".to_owned(),
        (EntryKind::Revert, Some(0)) => "reverted to before the first entry".to_owned(),
        (EntryKind::Revert, Some(serial)) => format!("reverted to #{serial}"),
        (EntryKind::Revert, None) => "reverted".to_owned(),
    };
    let what = match (kind, outcome) {
        (_, EntryOutcome::Succeeded) => what,
        (EntryKind::Apply, EntryOutcome::Failed) => "apply FAILED".to_owned(),
        (EntryKind::Revert, EntryOutcome::Failed) => format!("FAILED, not {what}"),
    };
    format!("{what}{}", verified_text(verified))
}

/// What the blocking checks said, to follow something else.
pub(crate) fn verified_text(verified: Option<bool>) -> &'static str {
    match verified {
        Some(true) => ", verified",
        Some(false) => ", NOT verified",
        None => "",
    }
}

/// A line for each entry, in the order given.
pub fn log_text(log: &[LogLine], style: &Style) -> String {
    if log.is_empty() {
        return "no entries yet\n".to_owned();
    }
    let column =
        |text: &dyn Fn(&LogLine) -> String| log.iter().map(|l| width(&text(l))).max().unwrap_or(0);
    let serial = |line: &LogLine| format!("#{}", line.serial);
    let version = |line: &LogLine| safe(&line.version).into_owned();
    let actor = |line: &LogLine| safe(&line.actor).into_owned();
    let serials = column(&serial);
    let versions = column(&version);
    let results = column(&LogLine::result);
    let actors = column(&actor);
    let mut lines = Vec::new();
    for line in log {
        let result = pad(&line.result(), results);
        let tone = match line.outcome {
            EntryOutcome::Succeeded => Tone::Good,
            EntryOutcome::Failed => Tone::Bad,
        };
        lines.push(format!(
            "{}  {}  {}  {}  {}  {}{}",
            pad(&serial(line), serials),
            pad(&version(line), versions),
            style.paint(tone, &result),
            safe(&line.finished),
            pad(&actor(line), actors),
            line.entry.short(),
            if line.in_force { "  in force" } else { "" },
        ));
        if let Some(reason) = &line.reason {
            lines.push(format!("{:indent$}{}", "", safe(reason), indent = serials + 2));
        }
    }
    joined(lines)
}

/// An entry with everything that the ledger keeps of it.
#[derive(Debug, Clone, Copy)]
pub struct WholeEntry<'a> {
    pub digest: &'a Digest,
    pub entry: &'a Entry,
    pub plan: &'a Plan,
    pub snapshot: &'a Snapshot,
    pub journal: &'a [JournalLine],
}

/// One entry: how it ended, how far it came if it failed, what its checks said, what it did, and
/// what it left behind.
pub fn entry_text(whole: WholeEntry<'_>, style: &Style) -> String {
    let WholeEntry { digest, entry, plan, snapshot, journal } = whole;
    let view = View::new(plan, *style);
    let target = match &entry.environment {
        Some(environment) => format!(" {} {}", style.arrow(), safe(environment)),
        None => String::new(),
    };
    let title =
        format!("#{} {} {}{target}", entry.serial, safe(&entry.release), safe(&entry.version));
    let result = result_text(entry.kind, entry.outcome, entry.verified, entry.restores);
    let mut lines = vec![format!("{}: {result}", style.paint(Tone::Heading, &title))];
    let mut fact = |name: &str, value: &str| {
        lines.push(format!("  {}{}", pad(name, 10), safe(value)));
    };
    fact("entry", digest.as_str());
    fact("parent", entry.parent.as_ref().map_or("none, it is the first", Digest::as_str));
    fact("plan", entry.plan_id.as_str());
    fact("by", &entry.actor);
    if let Some(reason) = &entry.reason {
        fact("reason", reason);
    }
    fact("started", &entry.started);
    fact("finished", &entry.finished);
    if !entry.checks.is_empty() {
        lines.push(String::new());
        lines.push(style.paint(Tone::Heading, "Checks"));
        for (address, verdict) in &entry.checks {
            let word = outcome_word(verdict.outcome);
            lines.push(format!("  {}  {address}: {}", pad(word, 12), safe(&verdict.evidence)));
        }
    }
    let said = said_lines(&view, journal);
    if !said.is_empty() {
        lines.push(String::new());
        lines.push(style.paint(Tone::Heading, "What nobody else could tell"));
        lines.extend(said);
    }
    if entry.outcome == EntryOutcome::Failed {
        lines.push(String::new());
        lines.push(style.paint(Tone::Heading, "How far it came"));
        lines.extend(how_far(&view, journal));
    }
    lines.push(String::new());
    lines.push(style.paint(Tone::Heading, "Steps"));
    lines.extend(view.step_lines());
    lines.push(String::new());
    lines.extend(left_behind(snapshot, *style));
    lines.extend(run_lines(snapshot, entry.serial));
    joined(lines)
}

fn left_behind(snapshot: &Snapshot, style: Style) -> Vec<String> {
    let managed = counted(snapshot.objects.len(), "object", "objects");
    let mut lines = vec![style.paint(Tone::Heading, &format!("Left behind: {managed}"))];
    for (address, recorded) in &snapshot.objects {
        let protected = if recorded.is_protected() { ", protected" } else { "" };
        let settled = if recorded.settled { "" } else { ", UNSETTLED" };
        lines.push(format!("  {address}   changed by #{}{protected}{settled}", recorded.changed));
    }
    for retained in &snapshot.retained {
        let (address, since) = (&retained.address, retained.since);
        lines.push(format!("  {address}   no longer managed since #{since}"));
    }
    lines
}

/// What the runs of an entry left behind, as far as it fits on a line each.
fn run_lines(snapshot: &Snapshot, serial: u64) -> Vec<String> {
    let mut runs: Vec<&Run> = snapshot.runs.values().filter(|run| run.serial == serial).collect();
    runs.sort_by(|a, b| a.address.cmp(&b.address));
    let of_run = |run: &Run| {
        let is_new = |name: &String, value: &Value| run.inputs.get(name) != Some(value);
        let is_short = |value: &Value| !value.is_object() && !value.is_array();
        let output =
            run.output.iter().filter(|(name, value)| is_new(name, value) && is_short(value));
        let values: Vec<(String, String)> =
            output.map(|(name, value)| (safe(name).into_owned(), inline(value))).collect();
        let widest = values.iter().map(|(name, _)| width(name)).max().unwrap_or(0);
        let head = (!values.is_empty()).then(|| format!("  by {}", run.address));
        let lines =
            values.into_iter().map(|(name, value)| format!("    {}   {value}", pad(&name, widest)));
        head.into_iter().chain(lines).collect::<Vec<_>>()
    };
    runs.into_iter().flat_map(of_run).collect()
}

pub(crate) fn outcome_word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Pass => "pass",
        Outcome::Fail => "FAIL",
        Outcome::Inconclusive => "inconclusive",
    }
}

/// What differs from what was recorded, for `drift`.
pub fn drift_text(drift: &[Drift], style: &Style) -> String {
    if drift.is_empty() {
        return "no drift: what is owned is as it was recorded\n".to_owned();
    }
    joined(drift_lines(drift, 0, *style))
}

/// Each object that drifted, with its fields: recorded, then observed.
pub(crate) fn drift_lines(drift: &[Drift], indent: usize, style: Style) -> Vec<String> {
    drift
        .chunk_by(|a, b| a.address == b.address)
        .flat_map(|of_object| {
            let address = of_object.first().map(|drift| drift.address.to_string());
            let address = address.unwrap_or_default();
            if of_object.iter().any(|drift| drift.path.is_root()) {
                return vec![format!("{:indent$}{address}   is gone", "")];
            }
            let fields: Vec<Line> = of_object.iter().map(drift_line).collect();
            let mut lines = vec![format!("{:indent$}{address}", "")];
            lines.extend(layout(&fields, indent + 2, style));
            lines
        })
        .collect()
}

fn drift_line(drift: &Drift) -> Line {
    let present = |value: &relctl_plan::Value| (!value.is_null()).then(|| value.clone());
    let change = FieldChange {
        path: drift.path.clone(),
        before: present(&drift.recorded),
        after: present(&drift.observed),
        unknown: false,
        multiline: false,
    };
    line_of(&change, || Shown::Text(String::new()))
}

#[cfg(test)]
mod tests {
    use relctl_plan::{JournalEvent, StepId, Value, Verdict};
    use serde_json::json;

    use super::*;
    use crate::plan::testing::{digest, healthflow};

    fn entry(more: Value) -> Entry {
        let mut entry = json!({
            "format": 1,
            "serial": 14,
            "kind": "apply",
            "release": "healthflow",
            "version": "v1.1.0",
            "environment": "production",
            "lineage": "0123",
            "parent": digest("parent"),
            "operation": "op-14",
            "plan_id": digest("plan"),
            "plan": digest("plan object"),
            "journal": digest("journal"),
            "snapshot": digest("snapshot"),
            "outcome": "succeeded",
            "verified": true,
            "checks": {},
            "restores": null,
            "actor": "alice",
            "reason": null,
            "started": "2026-01-02T03:04:05Z",
            "finished": "2026-01-02T03:09:05Z",
        });
        let (Value::Object(map), Value::Object(more)) = (&mut entry, more) else {
            panic!("an entry is an object")
        };
        map.extend(more);
        serde_json::from_value(entry).unwrap()
    }

    #[test]
    fn the_log() {
        let log: Vec<LogLine> = [
            (json!({ "serial": 16, "kind": "revert", "version": "v1.0.0", "restores": 12, "reason": "login is slow\n#99 forged" }), true),
            (json!({ "serial": 15, "version": "v1.2.0-rc.1", "outcome": "failed", "verified": null }), false),
            (json!({ "verified": false, "actor": "ci" }), false),
            (json!({ "serial": 12, "version": "v1.0.0", "verified": null }), false),
        ]
        .into_iter()
        .map(|(more, in_force)| {
            let entry = entry(more);
            LogLine::new(&digest(&entry.serial.to_string()), &entry, in_force)
        })
        .collect();
        insta::assert_snapshot!(log_text(&log, &Style::PLAIN), @r"
        #16  v1.0.0       reverted to #12, verified  2026-01-02T03:09:05Z  alice  b17ef6d1  in force
             login is slow\n#99 forged
        #15  v1.2.0-rc.1  apply FAILED               2026-01-02T03:09:05Z  alice  e629fa65
        #14  v1.1.0       applied, NOT verified      2026-01-02T03:09:05Z  ci     8527a891
        #12  v1.0.0       applied                    2026-01-02T03:09:05Z  alice  6b51d431
        ");
        assert_eq!(log_text(&[], &Style::PLAIN), "no entries yet\n");
    }

    #[test]
    fn an_entry() {
        let mut entry = entry(json!({ "reason": "release day" }));
        let verdict =
            Verdict { outcome: Outcome::Pass, evidence: "GET /health → 200".to_owned() };
        entry.checks.insert("check.http.health".parse().unwrap(), verdict);
        let text = whole(&entry, &[]);
        insta::assert_snapshot!(text, @r#"
        #14 healthflow v1.1.0 → production: applied, verified
          entry     923fe53966c6cd9343e11af776cd4b05be315ea4b200b02e4d5dfb0f929b73bf
          parent    e47125968b3b71049fbc4802d1e40a71ea1359decfabacf70b34588037d4ff0c
          plan      64879f7d6b960a01909762d911a32d4582c20010c5641ee90278b644a9e3b525
          by        alice
          reason    release day
          started   2026-01-02T03:04:05Z
          finished  2026-01-02T03:09:05Z

        Checks
          pass          check.http.health: GET /health → 200

        Steps
          1  ▶ run     action.aws_db_snapshot.before
                 db_instance_identifier = healthflow-production-db, name_prefix = healthflow-v1-1-0
          2  + create  resource.aws_ecs_task_definition.backend
                 note: from healthflow-backend:41
               ~ container_definitions.api.image   …/api:v1.0.0 → …/api:v1.1.0
          3  ▶ run     action.aws_ecs_task.migrate                                                after 1, 2
                 command = ["npm","run","migrate:up"], task_definition = (known after step 2)
          4  ~ update  resource.aws_ecs_service.backend           healthflow, backend                after 3
               ~ task_definition   healthflow-backend:41 → (known after step 2)
                 desired_count     6, not managed here
          5  ✓ check   check.http.health                                                             after 4
                 expect = {"status":200}, url = https://api.healthflow.example/health

        Left behind: 1 object
          resource.aws_ecs_service.backend   changed by #14, protected
          by action.aws_ecs_task.migrate
            exit_code              0
            schema_version_after   "43"
        "#);
    }

    /// A run by an entry, with what it left behind.
    fn run(serial: u64, output: &Value) -> Value {
        json!({
            "address": "action.aws_ecs_task.migrate", "plugin": "ecs", "inputs": { "log_group": "/ecs/x" },
            "output": output, "depends_on": [], "serial": serial, "undone": null, "outcome": "done",
        })
    }

    /// The entry with a plan, a snapshot and this journal.
    fn whole(entry: &Entry, journal: &[JournalLine]) -> String {
        let snapshot = serde_json::from_value(json!({
            "format": 1,
            "plugins": {},
            "objects": { "resource.aws_ecs_service.backend": recorded(&json!({ "task": 42 })) },
            "runs": {
                "k14": run(14, &json!({
                    "command": ["a"], "exit_code": 0, "log_group": "/ecs/x", "schema_version_after": "43",
                })),
                "k13": run(13, &json!({ "exit_code": 1 })),
            },
        }))
        .unwrap();
        let (digest, plan) = (digest("entry"), healthflow());
        let whole =
            WholeEntry { digest: &digest, entry, plan: &plan, snapshot: &snapshot, journal };
        entry_text(whole, &Style::PLAIN)
    }

    #[test]
    fn a_failed_entry_says_how_far_it_came() {
        let ids: Vec<StepId> = healthflow().body.steps.iter().map(|step| step.id.clone()).collect();
        let document = || relctl_plan::Document::default();
        let events = [
            JournalEvent::Done { step: ids[0].clone(), document: document() },
            JournalEvent::Noop { step: ids[1].clone(), document: document() },
            JournalEvent::Unknown {
                step: ids[2].clone(),
                message: "the connection was lost\nthe task may run".to_owned(),
            },
        ];
        let mut journal: Vec<JournalLine> = Vec::new();
        for event in events {
            let line = relctl_plan::chain(journal.last(), "now".to_owned(), event).unwrap();
            journal.push(line);
        }
        let text = whole(&entry(json!({ "outcome": "failed", "verified": false })), &journal);
        let from = text.find("How far").unwrap();
        let to = text.find("\n\nSteps").unwrap();
        insta::assert_snapshot!(text[from..to], @"
        How far it came
          3 ▶ run action.aws_ecs_task.migrate has an UNKNOWN outcome: the connection was lost
             | the task may run
          done      2 steps: 1, 2
          held      1 step: 4, not started
        ");
    }

    #[test]
    fn what_a_person_said_stands_with_its_reason() {
        let step = healthflow().body.steps[2].id.clone();
        let event = JournalEvent::Resolved {
            step,
            done: true,
            by: "ada".to_owned(),
            reason: "version 42 is in the database".to_owned(),
            document: None,
        };
        let line = relctl_plan::chain(None, "now".to_owned(), event).unwrap();
        let text = whole(&entry(json!({ "outcome": "failed", "verified": false })), &[line]);
        let from = text.find("What nobody").unwrap();
        let to = text.find("\n\nSteps").unwrap();
        insta::assert_snapshot!(text[from..to], @"
        What nobody else could tell
          3 ▶ run action.aws_ecs_task.migrate done, as ada said: version 42 is in the database

        How far it came
          done      1 step: 3
          held      3 steps: 1, 2, 4, not started
        ");
    }

    fn recorded(desired: &Value) -> Value {
        json!({
            "plugin": "aws",
            "identity": {},
            "inputs": {},
            "desired": desired,
            "observed": desired,
            "depends_on": [],
            "lifecycle": { "protect": true },
            "before": {},
            "existed": true,
            "created": 1,
            "changed": 14,
            "settled": true,
        })
    }

    #[test]
    fn drift_by_object() {
        let drift = |address: &str, path: &str, recorded, observed| Drift {
            address: address.parse().unwrap(),
            path: path.parse().unwrap(),
            recorded,
            observed,
        };
        let text = drift_text(
            &[
                drift("resource.local_file.a", "mode", json!("0644"), json!("0600")),
                drift("resource.local_file.a", "content", json!("a\nb\n"), json!("a\nc\n")),
                drift("resource.local_file.b", "", json!({ "path": "b" }), json!(null)),
            ],
            &Style::PLAIN,
        );
        insta::assert_snapshot!(text, @"
        resource.local_file.a
          ~ mode   0644 → 0600
          ~ content   (1 line added, 1 removed)
                a
              - b
              + c
        resource.local_file.b   is gone
        ");
        assert_eq!(
            drift_text(&[], &Style::PLAIN),
            "no drift: what is owned is as it was recorded\n"
        );
    }
}
