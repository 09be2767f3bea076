//! What a reader sees of the plans built by hand.

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

/// Whoever is called at night copies it: a line break in a command would run half of it.
#[test]
fn a_command_is_on_one_line_however_narrow() {
    let mut plan = healthflow();
    plan.body.notes = vec![
        "3. restore before-1 as db-restored, with class db.r6g.large, security groups sg-7 sg-8: \
         `aws rds restore-db-instance-from-db-snapshot --db-instance-identifier db-restored \
         --db-snapshot-identifier before-1 --db-instance-class db.r6g.large`"
            .to_owned(),
    ];
    let text = plan_text(&plan, COMMAND, &Style { width: 60, ..Style::PLAIN });
    let from = text.find("Notes").unwrap();
    let to = text.find("\n\nPlugins").unwrap();
    insta::assert_snapshot!(text[from..to], @"
    Notes
      3. restore before-1 as db-restored, with class
      db.r6g.large, security groups sg-7 sg-8:
      `aws rds restore-db-instance-from-db-snapshot --db-instance-identifier db-restored --db-snapshot-identifier before-1 --db-instance-class db.r6g.large`
    ");
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
      ! caution   steps 21–40: each of resource.aws_ecs_service.{svc_001, svc_002, svc_003, svc_004,
                  svc_005, svc_006, svc_007, svc_008} and 12 more runs both versions for a while

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
      ! caution   steps 6–10: each of resource.aws_ecs_service.{svc_001, svc_002, svc_003, svc_004,
                  svc_005} runs both versions for a while

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
