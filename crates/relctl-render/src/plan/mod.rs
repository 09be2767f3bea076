//! A plan as a reader sees it: what is dangerous first, then every step, then the way back.

mod fold;
mod markdown;
mod risks;
mod steps;
#[cfg(test)]
pub(crate) mod testing;
mod undo;

use std::collections::HashMap;

use relctl_plan::{Address, Origin, Plan, PlanKind, PluginPin, Step, StepId, Verb};

use crate::Style;
use crate::history::drift_lines;
use crate::style::Tone;
use crate::text::{counted, joined, pad, safe, width, wrap};
use crate::value::inline;

pub use markdown::plan_markdown;

/// The plan for a person in a terminal. `apply_command` is what applies exactly this plan; `None`
/// where relctl is about to ask.
pub fn plan_text(plan: &Plan, apply_command: Option<&str>, style: &Style) -> String {
    let view = View::new(plan, *style);
    if view.is_idle() {
        let mut lines = view.no_changes();
        lines.extend(apply_command.filter(|_| plan.body.has_changes()).map(apply_line));
        return joined(lines);
    }
    let mut lines = view.header();
    let risks = view.risk_lines();
    if risks.is_empty() {
        lines.push(String::new());
        lines.push("Risks: none".to_owned());
    }
    let mut section = |title: &str, content: Vec<String>| {
        if !content.is_empty() {
            lines.push(String::new());
            lines.push(style.paint(Tone::Heading, title));
            lines.extend(content);
        }
    };
    section("Risks", risks);
    section("Steps", view.step_lines());
    section("Record only: nothing is touched", view.record_lines());
    let undo = match plan.body.kind {
        PlanKind::Apply => "Undo",
        PlanKind::Revert { .. } => "Undo of this revert",
    };
    section(undo, view.undo_lines());
    section("Notes", view.note_lines());
    section("Plugins", view.plugin_lines());
    section("Drift since the last entry", drift_lines(&plan.body.drift, 2, *style));
    lines.push(String::new());
    if plan.body.drift.is_empty() {
        lines.push("Drift: none".to_owned());
    }
    lines.push(style.paint(Tone::Heading, &view.summary()));
    lines.extend(apply_command.map(apply_line));
    joined(lines)
}

fn apply_line(command: &str) -> String {
    format!("To apply exactly this: {}", safe(command))
}

/// The plan document as it is written to a file and printed with `--json`.
pub fn plan_json(plan: &Plan) -> Result<String, serde_json::Error> {
    serde_json::to_string_pretty(plan).map(|text| text + "\n")
}

/// A plan with its steps numbered from 1.
pub(crate) struct View<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) style: Style,
    numbers: HashMap<&'a StepId, usize>,
    addresses: HashMap<&'a Address, usize>,
}

impl<'a> View<'a> {
    pub(crate) fn new(plan: &'a Plan, style: Style) -> Self {
        let steps = || plan.body.steps.iter().zip(1..);
        Self {
            plan,
            style,
            numbers: steps().map(|(step, number)| (&step.id, number)).collect(),
            addresses: steps().map(|(step, number)| (&step.address, number)).collect(),
        }
    }

    /// The step's number; 0 for a step of another plan.
    pub(crate) fn number(&self, id: &StepId) -> usize {
        self.numbers.get(id).copied().unwrap_or(0)
    }

    pub(crate) fn step(&self, id: &StepId) -> Option<&'a Step> {
        self.plan.body.steps.get(self.number(id).checked_sub(1)?)
    }

    /// The number of the step at this address.
    pub(crate) fn number_at(&self, address: &Address) -> Option<usize> {
        self.addresses.get(address).copied()
    }

    /// `healthflow v1.1.0 → production`.
    pub(crate) fn title(&self) -> String {
        let body = &self.plan.body;
        let target = match &body.environment {
            Some(environment) => format!(" {} {}", self.style.arrow(), safe(environment)),
            None => String::new(),
        };
        match &body.kind {
            PlanKind::Apply => format!("{} {}{target}", safe(&body.release), safe(&body.version)),
            PlanKind::Revert { target: origin } => {
                format!("revert {}{target}: back to {}", safe(&body.release), origin_text(origin))
            }
        }
    }

    /// `in force: v1.0.0 #12, verified`.
    pub(crate) fn in_force(&self) -> String {
        let meta = &self.plan.meta;
        let verified = match meta.in_force_verified {
            Some(true) => ", verified",
            Some(false) => ", NOT verified",
            None => "",
        };
        match &meta.in_force {
            Some(origin) => format!("in force: {}{verified}", origin_text(origin)),
            None => "in force: nothing".to_owned(),
        }
    }

    fn header(&self) -> Vec<String> {
        let (title, in_force) = (self.title(), self.in_force());
        let painted = self.style.paint(Tone::Heading, &title);
        let columns = self.style.columns();
        if width(&title) + 4 + width(&in_force) > columns {
            return vec![painted, in_force];
        }
        let gap = columns - width(&title) - width(&in_force);
        vec![format!("{painted}{:gap$}{in_force}", "")]
    }

    /// Whether no object and no record of one would change.
    pub(crate) fn is_idle(&self) -> bool {
        let body = &self.plan.body;
        body.steps.iter().all(|step| step.verb == Verb::Check)
            && body.records.is_empty()
            && body.retain.is_empty()
            && body.forget.is_empty()
    }

    fn no_changes(&self) -> Vec<String> {
        let body = &self.plan.body;
        let unchanged = counted(body.summary.noop as usize, "object", "objects");
        let mut lines = vec![format!("no changes: {}, {unchanged} as declared", self.title())];
        if body.new_version {
            lines.push(format!("only a new entry would be written; {}", self.in_force()));
        }
        lines.extend(self.risk_lines());
        if !body.steps.is_empty() {
            let checks: Vec<&str> = body.steps.iter().map(|step| step.address.as_str()).collect();
            let count = counted(checks.len(), "check", "checks");
            lines.push(format!("{count} would run: {}", checks.join(", ")));
        }
        lines.extend(self.note_lines());
        if !body.drift.is_empty() {
            lines.push(String::new());
            lines.push("Drift since the last entry".to_owned());
            lines.extend(drift_lines(&body.drift, 2, self.style));
        }
        lines
    }

    fn note_lines(&self) -> Vec<String> {
        self.plan.body.notes.iter().flat_map(|note| self.hanging("  ", note)).collect()
    }

    /// Each plugin with where it works: the reader sees the wrong account before it is touched.
    pub(crate) fn plugin_lines(&self) -> Vec<String> {
        let plugins = &self.plan.body.plugins;
        let names = |(instance, pin): (&String, &PluginPin)| {
            let name =
                if *instance == pin.name { String::new() } else { format!(" ({})", pin.name) };
            format!("{instance}{name} {}, {}", pin.version, pin.sha256.short())
        };
        let widest = plugins.iter().map(|plugin| width(&names(plugin))).max().unwrap_or(0);
        plugins
            .iter()
            .flat_map(|plugin| {
                let settings: Vec<String> = plugin
                    .1
                    .config
                    .as_object()
                    .into_iter()
                    .flatten()
                    .map(|(name, value)| format!("{} = {}", safe(name), inline(value)))
                    .collect();
                let name = safe(&names(plugin)).into_owned();
                self.hanging(&format!("  {}   ", pad(&name, widest)), &settings.join(", "))
            })
            .collect()
    }

    /// The text after `label`, wrapped, further lines below the first.
    pub(crate) fn hanging(&self, label: &str, text: &str) -> Vec<String> {
        let indent = width(label);
        let room = self.style.columns().saturating_sub(indent).max(30);
        wrap(&safe(text), room)
            .into_iter()
            .enumerate()
            .map(|(index, line)| match index {
                0 => format!("{label}{line}"),
                _ => format!("{:indent$}{line}", ""),
            })
            .collect()
    }

    /// What changes in the ledger alone, equal reasons together.
    pub(crate) fn record_lines(&self) -> Vec<String> {
        let body = &self.plan.body;
        let mut reasons: Vec<(String, Vec<String>)> = Vec::new();
        let mut places: HashMap<String, usize> = HashMap::new();
        let mut add = |reason: String, object: String| {
            let place = *places.entry(reason.clone()).or_insert(reasons.len());
            match reasons.get_mut(place) {
                Some((_, objects)) => objects.push(object),
                None => reasons.push((reason, vec![object])),
            }
        };
        for (address, change) in &body.records {
            let object = match &change.renamed_from {
                Some(old) => format!("{address} (was {old})"),
                None => address.to_string(),
            };
            add(safe(&change.reason).into_owned(), object);
        }
        for address in &body.retain {
            add("no longer managed, stays as it is".to_owned(), address.to_string());
        }
        for address in &body.forget {
            add("gone already, forgotten".to_owned(), address.to_string());
        }
        let widest = reasons.iter().map(|(reason, _)| width(reason)).max().unwrap_or(0).min(40);
        reasons
            .iter()
            .flat_map(|(reason, objects)| {
                self.hanging(&format!("  {}   ", pad(reason, widest)), &objects.join(", "))
            })
            .collect()
    }

    /// `1 to create, 1 to update, 2 to run, 1 check.  plan 9c1e04d7…`
    pub(crate) fn summary(&self) -> String {
        let body = &self.plan.body;
        let summary = &body.summary;
        let mut parts: Vec<String> = [
            (summary.create, "to create"),
            (summary.update, "to update"),
            (summary.replace, "to replace"),
            (summary.delete, "to delete"),
            (summary.adopt, "to adopt"),
            (summary.run, "to run"),
        ]
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
        if summary.check > 0 {
            parts.push(counted(summary.check as usize, "check", "checks"));
        }
        let records = body.records.len() + body.retain.len() + body.forget.len();
        if records > 0 {
            parts.push(counted(records, "record only", "records only"));
        }
        if summary.noop > 0 {
            parts.push(format!("{} unchanged", summary.noop));
        }
        let id = self.plan.plan_id.short();
        format!("{}.  plan {id}{}", parts.join(", "), self.style.ellipsis())
    }
}

/// `v1.0.0 #12`.
pub(crate) fn origin_text(origin: &Origin) -> String {
    match (&origin.version, origin.serial) {
        (_, 0) => "what was there before the first entry".to_owned(),
        (Some(version), serial) => format!("{} #{serial}", safe(version)),
        (None, serial) => format!("#{serial}"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use relctl_plan::{Drift, Origin, PlanKind};
    use serde_json::json;

    use super::testing::{healthflow, hostile, many_services, plan, random_plan, step};
    use super::*;
    use crate::text::is_hidden;

    const COMMAND: Option<&str> = Some("relctl apply plan.json");

    #[test]
    fn the_example_of_the_design() {
        insta::assert_snapshot!(plan_text(&healthflow(), COMMAND, &Style::PLAIN), @r#"
        healthflow v1.1.0 → production                                        in force: v1.0.0 #12, verified

        Risks
          ! point of no return   step 3: action.aws_ecs_task.migrate declares no undo. After it runs, going
                                 back means restoring healthflow-production-db from step 1 (what is written
                                 since is lost)

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

        Undo
          impossible   step 3: no way back; after this, reverting is partial
          exact        step 4: back to what was there
          kept         steps 1, 2: stays, and does no harm

        Plugins
          aws (aws-ecs) 0.3.1, 239cebe5   account = "123456789012", region = us-east-1

        Drift: none
        1 to create, 1 to update, 2 to run, 1 check.  plan 670165cb…
        To apply exactly this: relctl apply plan.json
        "#);
    }

    #[test]
    fn without_unicode_and_narrow() {
        let style = Style { unicode: false, width: 72, color: false };
        let text = plan_text(&healthflow(), COMMAND, &style);
        assert!(text.is_ascii());
        insta::assert_snapshot!(text, @r#"
        healthflow v1.1.0 -> production           in force: v1.0.0 #12, verified

        Risks
          ! point of no return   step 3: action.aws_ecs_task.migrate declares no
                                 undo. After it runs, going back means restoring
                                 healthflow-production-db from step 1 (what is
                                 written since is lost)

        Steps
          1  > run     action.aws_db_snapshot.before
               + db_instance_identifier   healthflow-production-db
               + name_prefix              healthflow-v1-1-0
          2  + create  resource.aws_ecs_task_definition.backend
                 note: from healthflow-backend:41
               ~ container_definitions.api.image   .../api:v1.0.0
                                                   -> .../api:v1.1.0
          3  > run     action.aws_ecs_task.migrate                    after 1, 2
               + command           ["npm","run","migrate:up"]
               + task_definition   (known after step 2)
          4  ~ update  resource.aws_ecs_service.backend                  after 3
                 healthflow, backend
               ~ task_definition   healthflow-backend:41 -> (known after step 2)
                 desired_count     6, not managed here
          5  ? check   check.http.health                                 after 4
               + expect   {"status":200}
               + url      https://api.healthflow.example/health

        Undo
          impossible   step 3: no way back; after this, reverting is partial
          exact        step 4: back to what was there
          kept         steps 1, 2: stays, and does no harm

        Plugins
          aws (aws-ecs) 0.3.1, 239cebe5   account = "123456789012", region =
                                          us-east-1

        Drift: none
        1 to create, 1 to update, 2 to run, 1 check.  plan 670165cb...
        To apply exactly this: relctl apply plan.json
        "#);
    }

    #[test]
    fn what_destroys_comes_first() {
        let steps = vec![
            step(
                "resource.local_file.a",
                Verb::Update,
                &[],
                json!({
                    "identity": { "path": "a.txt" },
                    "changes": [{ "path": "mode", "before": "0644", "after": "0600" }],
                    "risks": [{ "severity": "caution", "message": "nobody else can read it then" }],
                }),
            ),
            step(
                "resource.local_link.current",
                Verb::Replace,
                &[],
                json!({
                    "identity": { "path": "current" },
                    "reversal": "compensating",
                    "changes": [{ "path": "target", "before": "v1", "after": "v2" }],
                    "risks": [{ "severity": "downtime", "message": "the link is gone for a moment" }],
                }),
            ),
            step(
                "resource.local_file.old",
                Verb::Delete,
                &["resource.local_link.current#replace"],
                json!({
                    "identity": { "path": "old.txt" },
                    "reversal": "impossible",
                    "risks": [{
                        "severity": "destructive",
                        "message": "resource.local_file.old is deleted, and its content is not recorded",
                    }],
                }),
            ),
        ];
        let plan = plan(&steps, |body, _| {
            body.drift = vec![Drift {
                address: "resource.local_file.a".parse().unwrap(),
                path: "mode".parse().unwrap(),
                recorded: json!("0640"),
                observed: json!("0644"),
            }];
            body.retain = vec!["resource.local_file.kept".parse().unwrap()];
        });
        insta::assert_snapshot!(plan_text(&plan, None, &Style::PLAIN), @"
        healthflow v1.1.0 → production                                        in force: v1.0.0 #12, verified

        Risks
          ! destructive   step 3: resource.local_file.old is deleted, and its content is not recorded
          ! downtime      step 2, resource.local_link.current: the link is gone for a moment
          ! caution       step 1, resource.local_file.a: nobody else can read it then

        Steps
          1  ~   update   resource.local_file.a         a.txt
                 ~ mode   0644 → 0600
          2  -/+ replace  resource.local_link.current   current
                 ~ target   v1 → v2
          3  -   delete   resource.local_file.old       old.txt                                      after 2

        Record only: nothing is touched
          no longer managed, stays as it is   resource.local_file.kept

        Undo
          impossible     step 3: no way back; after this, reverting is partial
          compensating   step 2: made up for by another step; not all as it was
          exact          step 1: back to what was there

        Drift since the last entry
          resource.local_file.a
            ~ mode   0640 → 0644

        1 to update, 1 to replace, 1 to delete, 1 record only.  plan 69a37f60…
        ");
    }

    #[test]
    fn twenty_services_fit_on_a_page() {
        let text = plan_text(&many_services(20, false), COMMAND, &Style::PLAIN);
        assert!(text.lines().count() <= 60, "{} lines", text.lines().count());
        insta::assert_snapshot!(text, @"
        healthflow v1.1.0 → production                                        in force: v1.0.0 #12, verified

        Risks
          ! caution   steps 21–40: ‹name› runs both versions for a while

        Steps
          1–20   + create  20 × resource.aws_ecs_task_definition
                     svc_001, svc_002, svc_003, svc_004, svc_005, svc_006, svc_007, svc_008, svc_009,
                     svc_010, svc_011, svc_012, svc_013, svc_014, svc_015, svc_016, svc_017, svc_018,
                     svc_019, svc_020
                   ~ container_definitions.app.image                 …/‹name›:v1.0.0 → …/‹name›:v1.1.0
                   ~ container_definitions.app.environment.RELEASE   v1.0.0 → v1.1.0
          21–40  ~ update  20 × resource.aws_ecs_service                                          after 1–20
                   ~ task_definition
                       21 svc_001      svc-001:7 → (known after step 1)
                       22 svc_002      svc-002:14 → (known after step 2)
                       23 svc_003      svc-003:21 → (known after step 3)
                       24 svc_004      svc-004:28 → (known after step 4)
                       25 svc_005      svc-005:35 → (known after step 5)
                       26 svc_006      svc-006:42 → (known after step 6)
                       27 svc_007      svc-007:49 → (known after step 7)
                       28 svc_008      svc-008:56 → (known after step 8)
                       29 svc_009      svc-009:63 → (known after step 9)
                       30 svc_010      svc-010:70 → (known after step 10)
                       31 svc_011      svc-011:77 → (known after step 11)
                       32 svc_012      svc-012:84 → (known after step 12)
                       33 svc_013      svc-013:91 → (known after step 13)
                       34 svc_014      svc-014:98 → (known after step 14)
                       35 svc_015      svc-015:105 → (known after step 15)
                       36 svc_016      svc-016:112 → (known after step 16)
                       37 svc_017      svc-017:119 → (known after step 17)
                       38 svc_018      svc-018:126 → (known after step 18)
                       39 svc_019      svc-019:133 → (known after step 19)
                       40 svc_020      svc-020:140 → (known after step 20)

        Undo
          exact   steps 21–40: back to what was there
          kept    steps 1–20: stays, and does no harm

        Drift: none
        20 to create, 20 to update.  plan a6907a46…
        To apply exactly this: relctl apply plan.json
        ");
    }

    #[test]
    fn the_odd_one_out_is_not_folded() {
        let text = plan_text(&many_services(5, true), COMMAND, &Style::PLAIN);
        insta::assert_snapshot!(text, @"
        healthflow v1.1.0 → production                                        in force: v1.0.0 #12, verified

        Risks
          ! caution   steps 6–10: ‹name› runs both versions for a while

        Steps
          1–5  + create  5 × resource.aws_ecs_task_definition
                   svc_001, svc_002, svc_003, svc_004, svc_005
                 ~ container_definitions.app.image                 …/‹name›:v1.0.0 → …/‹name›:v1.1.0
                 ~ container_definitions.app.environment.RELEASE   v1.0.0 → v1.1.0
          6–9  ~ update  4 × resource.aws_ecs_service                                              after 1–4
                 ~ task_definition
                     6 svc_001       svc-001:7 → (known after step 1)
                     7 svc_002       svc-002:14 → (known after step 2)
                     8 svc_003       svc-003:21 → (known after step 3)
                     9 svc_004       svc-004:28 → (known after step 4)
          10   ~ update  resource.aws_ecs_service.svc_005                                            after 5
                 ~ task_definition   svc-005:35 → (known after step 5)
                 ~ desired_count     6 → 1

        Undo
          exact   steps 6–10: back to what was there
          kept    steps 1–5: stays, and does no harm

        Drift: none
        5 to create, 5 to update.  plan f33688ad…
        To apply exactly this: relctl apply plan.json
        ");
    }

    #[test]
    fn no_changes_is_terse() {
        let check = step("check.http.health", Verb::Check, &[], json!({}));
        let same = plan(std::slice::from_ref(&check), |body, _| {
            body.summary.noop = 7;
            body.new_version = false;
        });
        insta::assert_snapshot!(plan_text(&same, COMMAND, &Style::PLAIN), @"
        no changes: healthflow v1.1.0 → production, 7 objects as declared
        1 check would run: check.http.health
        ");
        let renamed = plan(&[check], |body, _| body.summary.noop = 7);
        insta::assert_snapshot!(plan_text(&renamed, COMMAND, &Style::PLAIN), @"
        no changes: healthflow v1.1.0 → production, 7 objects as declared
        only a new entry would be written; in force: v1.0.0 #12, verified
        1 check would run: check.http.health
        To apply exactly this: relctl apply plan.json
        ");
    }

    #[test]
    fn a_revert_with_a_point_of_no_return() {
        let steps = vec![
            step(
                "resource.aws_ecs_service.backend",
                Verb::Update,
                &[],
                json!({
                    "changes": [{ "path": "task_definition", "before": "backend:42", "after": "backend:41" }],
                }),
            ),
            step(
                "action.local_append.migrate",
                Verb::Run,
                &["resource.aws_ecs_service.backend#update"],
                json!({
                    "id": "action.local_append.migrate#undo-0123abcd",
                    "undoes": "0123abcd",
                    "reversal": "impossible",
                    "desired": { "value": { "line": "down" } },
                    "risks": [{ "severity": "point-of-no-return", "message": "rows written since are lost" }],
                }),
            ),
        ];
        let plan = plan(&steps, |body, _| {
            body.kind = PlanKind::Revert {
                target: Origin { serial: 11, entry: None, version: Some("v1.0.0".to_owned()) },
            };
        });
        insta::assert_snapshot!(plan_text(&plan, Some("relctl revert --to 11"), &Style::PLAIN), @"
        revert healthflow → production: back to v1.0.0 #11                    in force: v1.0.0 #12, verified

        Risks
          ! point of no return   step 2, action.local_append.migrate: rows written since are lost

        Steps
          1  ~ update  resource.aws_ecs_service.backend
               ~ task_definition   backend:42 → backend:41
          2  ▶ undo    action.local_append.migrate        line = down                                after 1
                 undoes an earlier run

        Undo of this revert
          impossible   step 2: no way back; after this, reverting is partial
          exact        step 1: back to what was there

        Drift: none
        1 to update, 1 to run.  plan 19cbbae5…
        To apply exactly this: relctl revert --to 11
        ");
    }

    #[test]
    fn hostile_text_forges_nothing() {
        insta::assert_snapshot!(plan_text(&hostile(), COMMAND, &Style::PLAIN), @r#"
        health`flow --> <b> v1\n\u{1b}[0m → production                        in force: v1.0.0 #12, verified

        Risks
          ! destructive   step 1, resource.local_file.evil: x\n\nRisks\n
                          none\u{1b}[2K\u{202e}```\n</details><script>@everyone #1 **bold**

        Steps
          1  ~ update  resource.local_file.evil   "a\u0007b"
                 note: x\n\nRisks\n  none\u{1b}[2K\u{202e}```\n</details><script>@everyone #1 **bold**
               ~ content   (3 lines added, 1 removed)
                   - safe
                   + ````
                   + </details>
                   + # title\u{1b}[31m\r
               + labels."a\"\n- b"   "(known after step 9)"
               ~ tag                 v1 → "v2 → v3"

        Undo
          exact   step 1: back to what was there

        Notes
          x\n\nRisks\n  none\u{1b}[2K\u{202e}```\n</details><script>@everyone #1 **bold**

        Drift: none
        1 to update.  plan c1b5c17d…
        To apply exactly this: relctl apply plan.json
        "#);
    }

    #[test]
    fn colour_adds_nothing_but_colour() {
        let colored = plan_text(&healthflow(), COMMAND, &Style { color: true, ..Style::PLAIN });
        let mut plain = String::new();
        let mut rest = colored.as_str();
        while let Some((before, after)) = rest.split_once('\u{1b}') {
            plain.push_str(before);
            rest = after.split_once('m').unwrap().1;
        }
        plain.push_str(rest);
        assert_eq!(plain, plan_text(&healthflow(), COMMAND, &Style::PLAIN));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn nothing_hidden_and_every_step_named(plan in random_plan(), unicode in any::<bool>()) {
            let style = Style { unicode, ..Style::PLAIN };
            let text = plan_text(&plan, None, &style);
            prop_assert!(!text.chars().any(|c| c != '\n' && is_hidden(c)));
            if !View::new(&plan, style).is_idle() {
                for step in &plan.body.steps {
                    prop_assert!(text.contains(step.address.name()), "{}", step.address);
                }
            }
        }
    }
}
