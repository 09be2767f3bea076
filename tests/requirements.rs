//! The requirements that a release engine must meet, each by a named test. What another test shows
//! already stands in this table; the tests below show what is left.
//!
//! | | shown by |
//! |---|---|
//! | R1 closed plan | `r01_*`; engine `apply::a_plan_is_applied_from_its_bytes_alone`; `cycle::a_plan_is_applied_without_its_release_file` |
//! | R2 deterministic | `r02_*`; `laws::a_plan_is_the_same_in_another_folder_and_on_more_threads`; engine `plan::a_plan_is_the_same_bytes_whatever_does_not_matter` |
//! | R3 no secrets | `r03_*`; broker `http::secrets::canaries_stay_inside`, `http::check::evidence_holds_no_credential` |
//! | R4 staleness by field | `r04_*`; engine `apply::a_stale_plan_names_the_field_and_changes_nothing` |
//! | R5 single use | `r05_*`; `refusals::*`; engine `apply::a_plan_applies_once_also_the_first_one` |
//! | R6 exit codes | `r06_*`; relctl `error::each_refusal_has_its_exit_code` |
//! | R7 risks first | `r07_*`; render `plan::tests::what_destroys_comes_first`, `plan::tests::twenty_services_fit_on_a_page` |
//! | R8 ownership, one spelling | `r08_*`; `laws::a_plan_after_its_apply_is_empty` |
//! | R13 versions | `r13_*`; ledger `identity::a_newer_format_is_refused`, `identity::unknown_fields_survive` |
//! | R15 write-ahead journal | `kill::*`; engine `crash::*`; ledger `model::every_point_of_one_operation` |
//! | R16 truthful success | `aws_rollout::a_rollout_that_is_seen_to_complete`, `aws_rollout::a_circuit_breaker_that_rolled_back_and_then_stable`, `aws_rollout::a_newer_deployment_of_somebody_else`, `aws_rollout::scaled_to_zero_proves_nothing`, `aws_rollout::a_rollout_that_does_not_end_has_failed_after_its_time` |
//! | R17 migration | `aws_migration::a_migration_that_exits_1`, `aws_migration::a_migration_that_runs_out_of_memory`, `aws_migration::a_migration_that_does_not_end_is_unknown_and_looked_for_again`, `aws_migration::a_migration_that_never_starts`, `aws_migration::two_applies_at_once_run_one_migration`, `aws_logs::a_migration_that_fails_shows_the_end_of_its_log`, `aws_logs::the_schemas_version_is_recorded_before_and_after` |
//! | R18 snapshot first | `aws_snapshot::the_snapshot_is_available_and_tagged_before_the_migration`, `aws_snapshot::a_snapshot_that_is_creating_and_then_failed`, `aws_snapshot::a_snapshot_that_stalls`, `aws_snapshot::a_name_that_another_instance_has_taken`, `aws_snapshot::a_snapshot_that_is_deleted_before_the_migration`, `aws_snapshot::a_snapshot_that_is_not_what_the_database_is`, `aws_snapshot::only_its_own_snapshots_are_pruned` |
//! | R22 signals | `interruption::a_signal_parks_and_resume_goes_on`, `interruption::two_signals_leave_at_once_and_resume_settles` |
//! | R25 the last verified | `r25_*`; engine `revert::goes_back_to_the_nearest_verified_entry_that_was_not_reverted` |
//! | R26 revert is a plan | `r26_*`; `cycle::a_reviewed_revert_is_applied_like_any_plan`, `cycle::a_revert_needs_no_plugin_beside_relctl` |
//! | R27 restores everything | `laws::a_revert_brings_back_what_was_there`, `laws::a_revert_to_any_entry_brings_back_what_it_left`; engine `laws::*` |
//! | R44 guards in the ledger | `r44_*`; engine `plan::an_object_that_leaves_is_retained_unless_its_deletion_is_written` |
//! | R46 no ambient authority | host `hostile::*`; broker `files::tests::no_path_leads_out_of_the_root`, `files::tests::each_phase_allows_what_it_says`; `r46_*` |
//! | R47 pinned by digest | `r47_*`; `initialising::a_changed_plugin_waits_for_upgrade`; `refusals::a_plan_made_with_another_plugin_is_refused` |
//! | R48 bounded | host `hostile::an_endless_loop_ends_with_its_fuel`, `hostile::a_memory_bomb_is_refused`, `hostile::a_trap_while_applying_is_unknown` |
//!
//! What is said of AWS. What moto cannot show is scripted before it, at the HTTP level.
//!
//! | | shown by |
//! |---|---|
//! | E1 a plan after an apply is empty | `aws_story::a_second_plan_is_empty`; aws-ecs `task_definitions::after_the_rollout_nothing_differs` |
//! | E2 order where it means nothing | aws-ecs `canonical::same_and_different`, of task definitions and of services |
//! | E3 this step's deployment | `aws_rollout::a_rollout_that_is_seen_to_complete`, `aws_rollout::what_cannot_be_seen_is_degraded`, `aws_rollout::a_blue_green_rollout_is_followed_in_the_history` |
//! | E4 rolled back is failed | `aws_rollout::a_circuit_breaker_that_rolled_back_and_then_stable`, `aws_rollout::stable_on_the_old_revision_is_no_success`, `aws_rollout::a_rollout_that_does_not_end_has_failed_after_its_time` |
//! | E5 recorded content | `aws_revert::a_revision_that_was_deregistered_since`, `aws_revert::a_revision_that_was_deleted_since` |
//! | E6 the count is not sent | `aws_story::an_autoscaler_changes_the_count_between_plan_and_apply` |
//! | E7 never deregistered | `aws_story::foreign_revisions_between_releases`; aws-ecs `task_definitions::a_deletion_leaves_every_revision` |
//! | E8 registered once | `aws_rollout::a_lost_reply_of_register_task_definition`; aws-ecs `task_definitions::the_same_content_is_not_registered_twice` |
//! | E9 batches, local rules | `aws_story::twenty_five_services`; aws-ecs `rules::what_aws_refuses_is_refused_here`, `rules::families_and_doubled_names`, `canonical::units_are_aws_units` |
//! | E10 one migration | `aws_migration::a_release_that_is_applied_again_after_a_revert_does_not_migrate_twice`, `aws_migration::a_migration_without_an_exit_code`, `aws_migration::a_side_car_exits_0_and_the_migration_exits_3`, `aws_migration::a_lost_reply_of_run_task` |
//! | RDS R1 our snapshot | `aws_snapshot::the_snapshot_is_available_and_tagged_before_the_migration`, `aws_snapshot::a_snapshot_of_a_cluster_that_is_no_backup`; aws-rds `snapshots::a_failed_or_foreign_snapshot_is_no_backup` |
//! | RDS R2 what waits | `aws_database::what_waits_for_the_window_is_shown_and_not_sent_again`, `aws_database::what_apply_immediately_would_flush_is_a_risk` |
//! | RDS R3 no way down | `aws_database::a_downgrade_is_refused`, `aws_database::shrinking_is_refused`, `aws_database::an_unflagged_major_upgrade_is_refused` |
//! | RDS R4 going back | `aws_database::a_major_upgrade_is_not_taken_back_by_modifying`, `aws_revert::what_a_migration_without_an_undo_means_is_said_before` |
//! | RDS R5 available, more than once | aws-rds `instances::done_is_available_and_as_wanted_more_than_once`, `instances::a_stale_available_is_not_believed`; `aws_database::a_database_is_adopted_and_modified` |
//! | RDS R6 protection | `aws_database::protection_and_final_snapshots_are_never_bypassed` |
//! | C1 the account first | `aws_story::another_account_is_refused_before_any_other_call`; broker `guard::another_account_or_partition_gets_nothing` |
//! | C2 planning looks | `aws_story::planning_only_looks`, `aws_permissions::the_generated_policies_are_enough_and_a_refusal_names_the_action` |
//! | C3 no secret is read | `aws_permissions::planning_calls_what_its_policy_allows_and_applying_no_more` |

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;

use crate::environment::{Output, TestEnvironment};
use crate::real::{copy, tree};
use crate::site;

const HEAD: &str = "[release]\nname = \"site\"\nversion = \"v1.0.0\"\n\n\
                    [plugins.local]\nconfig = { root = \"www\" }\n";

/// A site with this release file below the usual beginning, initialised.
fn with(release: &str) -> TestEnvironment {
    let site = TestEnvironment::new();
    site.write("release.toml", &format!("{HEAD}{release}"));
    site.relctl("init").success();
    site
}

fn file(name: &str, content: &str) -> String {
    format!("\n[resource.local_file.{name}]\npath = \"{name}\"\ncontent = \"{content}\"\n")
}

fn apply(site: &TestEnvironment) {
    site.relctl("apply --auto-approve").success();
}

fn plan_id(output: &Output) -> String {
    output.json()["plan_id"].as_str().unwrap().to_owned()
}

#[test]
fn r01_a_plan_is_closed() {
    let site = site::uninitialised();
    site.write("parts/about.html", "about");
    site.write("vars.toml", "color = \"green\"\n");
    let release = site.read("release.toml");
    let about = "\n[resource.local_file.about]\npath = \"about\"\ncontent = \"${file('parts/about.html')}\"\n";
    site.write("release.toml", &format!("{release}{about}"));
    site.relctl("init").success();
    site.relctl("plan --var-file vars.toml -o plan.json").success();
    for gone in ["release.toml", "vars.toml", "parts/about.html"] {
        std::fs::remove_file(site.path(gone)).unwrap();
    }
    let plan: Value = serde_json::from_str(&site.read("plan.json")).unwrap();
    let output = site.relctl("apply plan.json --json --parallelism 1").success();
    let done: Vec<Value> = output
        .raw
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|event| event["event"] == "step-done")
        .map(|event| event["step"].clone())
        .collect();
    let steps = plan["body"]["steps"].as_array().unwrap().iter();
    let planned: Vec<Value> =
        steps.filter(|step| step["verb"] != "check").map(|step| step["id"].clone()).collect();
    assert_eq!(done, planned, "{output}");
    assert_eq!(site.read("www/about"), "about");
    assert_eq!(site.read("www/current/index.html"), "<h1>site v1.0.0</h1>\n<p>green</p>\n");
}

#[test]
fn r02_a_plan_is_the_same_in_a_hundred_ways() {
    let mut tables: Vec<String> = (0..12)
        .map(|n| {
            let text = if n == 0 {
                String::new()
            } else {
                format!("${{resource.local_file.f{}.sha256}}", n - 1)
            };
            let mut table = format!("[resource.local_file.f{n}]\n");
            let mut lines = [format!("path = \"d/{n}\""), format!("content = \"{n} {text}\"")];
            if n % 2 == 0 {
                lines.reverse();
            }
            writeln!(table, "{}\n", lines.join("\n")).unwrap();
            table
        })
        .collect();
    let site = with(&tables.concat());
    apply(&site);
    tables.push(
        "[action.local_append.a]\npath = \"log\"\nline = \"é ${resource.local_file.f3.sha256}\"\n"
            .into(),
    );
    tables[4] = tables[4].replace("4 $", "changed $");

    let locales = ["C", "de_DE.UTF-8", "tr_TR.UTF-8", "POSIX"];
    let zones = ["UTC", "Asia/Kathmandu", "America/St_Johns"];
    let mut ids = BTreeSet::new();
    for run in 0..100 {
        // Another order of the tables, another folder, another machine as far as a process sees it.
        tables.rotate_left(1 + run % 3);
        let (left, right) = (run % tables.len(), run * 7 % tables.len());
        tables.swap(left, right);
        let folder = format!("elsewhere/{}/{run}", "deep/".repeat(run % 4));
        copy(&site.path("state"), &site.path(&folder).join("state"));
        copy(&site.path("www"), &site.path(&folder).join("www"));
        std::fs::copy(site.path("relctl.lock"), site.path(&folder).join("relctl.lock")).unwrap();
        site.write(&format!("{folder}/release.toml"), &format!("{HEAD}{}", tables.concat()));
        let mut command = site.command(&["-C", &folder, "plan", "--json"]);
        command
            .env("LC_ALL", locales[run % locales.len()])
            .env("TZ", zones[run % zones.len()])
            .env("TOKIO_WORKER_THREADS", (1 + run % 8).to_string())
            .env("HOSTNAME", format!("host-{run}"))
            .env("USER", format!("user-{run}"))
            .env("RELCTL_TEST_NOW", format!("2026-11-22T10:00:{:02}Z", run % 60));
        ids.insert(plan_id(&site.run(&mut command).success()));
    }
    assert_eq!(ids.len(), 1, "{ids:#?}");
}

/// What must be nowhere, in every spelling in which it could be somewhere.
fn spellings(canary: &str) -> Vec<String> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bytes = canary.as_bytes();
    let mut spellings = vec![canary.to_owned()];
    // Base64 of a text that begins at each of the three places within a group.
    for skipped in 0..3 {
        let groups = bytes[skipped..].chunks_exact(3);
        spellings.push(
            groups
                .flat_map(|group| {
                    let bits =
                        group.iter().fold(0_usize, |bits, byte| bits << 8 | usize::from(*byte));
                    [18, 12, 6, 0].map(|shift| char::from(ALPHABET[bits >> shift & 63]))
                })
                .collect(),
        );
    }
    let percent = bytes.iter().fold(String::new(), |mut text, byte| {
        if byte.is_ascii_alphanumeric() {
            text.push(char::from(*byte));
        } else {
            write!(text, "%{byte:02X}").unwrap();
        }
        text
    });
    spellings.push(percent.to_lowercase());
    spellings.push(percent);
    spellings.push(bytes.iter().map(|byte| format!("{byte:02x}")).collect());
    // Split: no part of some length either.
    spellings.push(canary[..12].to_owned());
    spellings.push(canary[canary.len() - 12..].to_owned());
    spellings
}

#[test]
fn r03_no_secret_is_in_any_artefact_or_stream() {
    let canaries =
        ["cAnArY1/+=q:environment", "cAnArY2/+=q:credentials", "cAnArY3/+=q:beside-root"];
    let site = site::initialised();
    std::fs::create_dir_all(site.root().join("home/.aws")).unwrap();
    let profile =
        format!("[default]\naws_access_key_id = AKIA\naws_secret_access_key = {}\n", canaries[1]);
    std::fs::write(site.root().join("home/.aws/credentials"), profile).unwrap();
    // Files that the release does not name, within the root and beside it.
    site.write("www/unrelated", canaries[2]);
    site.write("secret", canaries[2]);

    let mut seen = String::new();
    let mut run = |arguments: &str| {
        let mut command = site.command(&arguments.split(' ').collect::<Vec<_>>());
        for name in ["AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "GITHUB_TOKEN", "PASSWORD"] {
            command.env(name, canaries[0]);
        }
        let output = site.run(command.env("RELCTL_LOG", "trace"));
        write!(seen, "{arguments}\n{}\n{}\n", output.raw, output.stderr).unwrap();
        output.code
    };
    assert_eq!(run("plan -vvv -o plan.json"), Some(0));
    assert_eq!(run("plan --format markdown"), Some(0));
    assert_eq!(run("apply -vvv --json plan.json"), Some(0));
    // Refusals and failures too.
    assert_eq!(run("apply -vvv plan.json"), Some(5));
    site::bump(&site);
    std::fs::remove_file(site.path("www/current")).unwrap();
    site.write("www/current/in-the-way", "");
    assert_ne!(run("apply -vvv --auto-approve"), Some(0));
    std::fs::remove_dir_all(site.path("www/current")).unwrap();
    assert_eq!(run("apply -vvv --auto-approve"), Some(0));
    for arguments in
        ["status --json", "show --json", "log --json", "drift --json", "diff --json", "schema"]
    {
        run(arguments);
    }
    assert_eq!(run("revert -vvv --auto-approve"), Some(0));

    // What the release file did not name is not in a file that relctl wrote.
    let written = ["work/state", "work/plan.json", "work/relctl.lock", "home/state", "tmp"];
    for path in written.map(|path| site.root().join(path)) {
        read_all(&path, &mut seen);
    }
    assert!(seen.contains("migrated to v1.0.0"), "the search looks at the right places");
    for spelling in canaries.iter().flat_map(|canary| spellings(canary)) {
        assert!(!seen.contains(&spelling), "found `{spelling}`");
    }
}

/// The text of everything at or below `path`, packed snapshots unpacked by `show --json` above.
fn read_all(path: &Path, text: &mut String) {
    if path.is_dir() {
        for entry in path.read_dir().unwrap() {
            read_all(&entry.unwrap().path(), text);
        }
    } else if let Ok(bytes) = std::fs::read(path) {
        text.push_str(&String::from_utf8_lossy(&bytes));
    }
}

#[test]
fn r04_only_what_a_plan_depends_on_makes_it_stale() {
    use std::os::unix::fs::PermissionsExt as _;
    let site = with(&file("page", "one"));
    apply(&site);
    site.edit("release.toml", "one", "two");
    site.relctl("plan -o plan.json").success();

    let used = site.fork();
    used.write("www/page", "by hand");
    let before = tree(&used.path("www"));
    let refused = used.relctl("apply plan.json").exits(5);
    for named in ["resource.local_file.page", "content", "one", "by hand"] {
        assert!(refused.stderr.contains(named), "`{named}`: {refused}");
    }
    assert_eq!(tree(&used.path("www")), before);

    // A field that the release does not declare, and a file that it does not name.
    std::fs::set_permissions(site.path("www/page"), std::fs::Permissions::from_mode(0o640))
        .unwrap();
    site.write("www/another", "by hand");
    site.relctl("apply plan.json").success();
    assert_eq!(site.read("www/page"), "two");
    let mode = std::fs::metadata(site.path("www/page")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o640, "what is not declared is not changed");
}

#[test]
fn r05_the_first_plan_too_is_used_once_and_can_be_shown_after() {
    let site = site::initialised();
    site.relctl("plan -o plan.json").success();
    let fresh = site.relctl("show plan.json").success();
    assert_eq!(fresh.stderr, "", "nothing is wrong with it yet");
    site.relctl("apply plan.json").success();
    let before = tree(&site.path("www"));
    let again = site.relctl("apply plan.json").exits(5);
    assert!(again.stderr.contains("#1"), "{again}");
    assert_eq!(tree(&site.path("www")), before);
    let shown = site.relctl("show plan.json").success();
    assert_eq!(shown.raw, fresh.raw);
    assert!(shown.stderr.contains("applied already: entry #1"), "{shown}");

    site::bump(&site);
    site.relctl("plan -o next.json").success();
    site.relctl("apply --auto-approve --var color=red").success();
    let stale = site.relctl("show next.json").success();
    assert!(stale.stderr.contains("stale"), "{stale}");
}

#[test]
fn r06_exit_codes_are_those_of_the_table() {
    let site = site::initialised();
    let exits = |command: &str, code: i32| {
        let output = site.relctl(command);
        assert_eq!(output.code, Some(code), "{command}: {output}");
    };
    exits("plan --no-such-flag", 1);
    exits("apply no-such-plan.json", 1);
    exits("plan", 0);
    exits("plan --detailed-exitcode", 2);
    exits("apply", 7);
    exits("plan -o plan.json", 0);
    exits("apply plan.json --expect 000000000000", 7);
    exits("apply plan.json", 0);
    exits("apply plan.json", 5);
    exits("plan --detailed-exitcode", 0);
    exits("drift", 0);
    exits("resume", 1);

    site.write("www/v1.0.0/index.html", "by hand");
    exits("drift", 3);
    exits("apply --auto-approve", 0);
    exits("drift", 0);

    let release = site.read("release.toml");
    let gate =
        "\n[check.local_match.ready]\nwhen = \"before\"\npath = \"ready\"\nequals = \"yes\"\n";
    site.write("release.toml", &format!("{}{gate}", release.replace("v1.0.0", "v1.1.0")));
    exits("apply --auto-approve", 4);

    // A step that fails: what it would replace is in its way only once it is planned.
    site.write("release.toml", &release.replace("v1.0.0", "v1.2.0"));
    exits("plan -o plan.json", 0);
    site.write("www/v1.2.0", "a file where the folder should be");
    let output = site.relctl("apply plan.json");
    assert!(matches!(output.code, Some(5 | 9)), "{output}");
}

#[test]
fn r06_an_interrupted_operation_locks_out_others() {
    let site = site::initialised();
    // The first journal line is durable by then; nothing has been done.
    let mut moment = 1;
    while !site.read("state/site/default/HEAD").contains("\"plan_id\"") {
        let mut command = site.command(&["apply", "--auto-approve"]);
        let output = site.run(command.env("RELCTL_TEST_DIE_AT", moment.to_string()));
        assert_eq!(output.code, None, "{output}");
        moment += 1;
    }
    let refused = site.relctl("plan -o plan.json").exits(6);
    assert!(refused.stderr.contains("relctl resume"), "{refused}");
    site.relctl("resume").success();
}

#[test]
fn r07_risks_stand_before_everything_else() {
    let site = with(&format!("{}{}", file("page", "one"), file("old", "x")));
    apply(&site);
    let release = file("page", "two") + "\n[removed.resource.local_file.old]\ndelete = true\n";
    let line = "\n[action.local_append.a]\npath = \"log\"\nline = \"x\"\n";
    site.write("release.toml", &format!("{}{release}{line}", HEAD.replace("v1.0.0", "v1.1.0")));
    for format in ["text", "markdown"] {
        let plan = site.relctl(&format!("plan --format {format}")).success();
        let place = |word: &str| {
            plan.stdout.find(word).unwrap_or_else(|| panic!("`{word}` is not in {plan}"))
        };
        assert!(place("Risks") < place("Steps"), "{plan}");
    }
}

#[test]
fn r08_another_spelling_is_no_change() {
    let site =
        with("\n[resource.local_file.page]\npath = \"a/page\"\ncontent = \"x\"\nmode = \"0640\"\n");
    apply(&site);
    for (from, to) in
        [("\"0640\"", "\"640\""), ("\"640\"", "\"0o640\""), ("\"a/page\"", "\"./a/page\"")]
    {
        site.edit("release.toml", from, to);
        let plan = site.relctl("plan --detailed-exitcode");
        assert_eq!(plan.code, Some(0), "{to}: {plan}");
    }
}

#[test]
fn r13_a_plan_of_a_newer_format_is_refused() {
    let site = site::initialised();
    site.relctl("plan -o plan.json").success();
    let mut plan: Value = serde_json::from_str(&site.read("plan.json")).unwrap();
    plan["format"] = 99.into();
    site.write("plan.json", &plan.to_string());
    for command in ["apply plan.json", "show plan.json"] {
        let refused = site.relctl(command);
        assert!(matches!(refused.code, Some(1 | 5)), "{command}: {refused}");
        assert!(refused.stderr.contains("newer relctl"), "{command}: {refused}");
    }
    assert!(!site.exists("www"));
}

#[test]
fn r13_plans_are_as_their_schema_says() {
    let schema: Value = serde_json::from_str(include_str!("../docs/plan.schema.json")).unwrap();
    let (mut schemas, mut compiler) = (boon::Schemas::new(), boon::Compiler::new());
    compiler.add_resource("plan.json", schema).unwrap();
    let schema = compiler.compile("plan.json", &mut schemas).unwrap();
    let check = |plan: &Value| {
        if let Err(error) = schemas.validate(plan, schema) {
            panic!("{error:#}");
        }
    };
    let site = site::initialised();
    check(&site.relctl("plan --json").json());
    apply(&site);
    check(&site.relctl("plan --json").json());
    site.write("www/v1.0.0/index.html", "drift");
    site::bump(&site);
    let plan = site.relctl("plan --json").json();
    check(&plan);
    apply(&site);
    site.relctl("revert -o back.json").success();
    check(&serde_json::from_str(&site.read("back.json")).unwrap());
    // The schema is one that can fail.
    let mut edited = plan;
    edited["body"]["steps"][0]["verb"] = "destroy".into();
    assert!(schemas.validate(&edited, schema).is_err());
}

/// v1 good, v2 and v3 fail their check.
fn good_bad_bad() -> TestEnvironment {
    let check = "\n[check.local_match.good]\npath = \"page\"\nequals = \"good\"\ndepends_on = [\"resource.local_file.page\"]\n";
    let site = with(&(file("page", "good") + check));
    apply(&site);
    for (from, to) in [("\"good\"\n\n[check", "\"bad 2\"\n\n[check"), ("bad 2", "bad 3")] {
        site.edit("release.toml", from, to);
        let applied = site.relctl("apply --auto-approve");
        assert_ne!(applied.code, Some(0), "{applied}");
    }
    assert_eq!(site.read("www/page"), "bad 3");
    site
}

#[test]
fn r25_a_revert_goes_to_the_last_verified_release() {
    let site = good_bad_bad();
    site.relctl("revert --auto-approve").success();
    assert_eq!(site.read("www/page"), "good");
}

#[test]
fn r25_what_was_reverted_is_no_target() {
    let site = with(&file("page", "1"));
    apply(&site);
    site.edit("release.toml", "\"1\"", "\"2\"");
    apply(&site);
    site.relctl("revert --auto-approve").success();
    assert_eq!(site.read("www/page"), "1");
    site.edit("release.toml", "\"2\"", "\"3\"");
    apply(&site);
    site.relctl("revert --auto-approve").success();
    assert_eq!(site.read("www/page"), "1", "2 was reverted, and is not where anyone wants to be");
}

#[test]
fn r26_a_revert_is_a_plan_that_goes_stale_and_needs_only_the_ledger() {
    let site = with(&file("page", "one"));
    apply(&site);
    site.edit("release.toml", "one", "two");
    apply(&site);
    std::fs::remove_file(site.path("release.toml")).unwrap();
    site.relctl("revert -o back.json").success();
    let plan: Value = serde_json::from_str(&site.read("back.json")).unwrap();
    assert_eq!(plan["body"]["kind"]["revert"]["target"]["serial"], 1, "{plan:#}");

    let stale = site.fork();
    stale.write("www/page", "by hand");
    stale.relctl("apply back.json").exits(5);
    assert_eq!(stale.read("www/page"), "by hand");

    site.relctl("apply back.json").success();
    assert_eq!(site.read("www/page"), "one");
    site.relctl("apply back.json").exits(5);
}

#[test]
fn r44_protection_outlives_its_line() {
    let page = file("page", "precious");
    let site = with(&format!("{page}lifecycle = {{ protect = true }}\n"));
    apply(&site);
    // Both lines leave at once, and the deletion is even written.
    let removal = "\n[removed.resource.local_file.page]\ndelete = true\n";
    site.write("release.toml", &format!("{HEAD}{removal}"));
    let refused = site.relctl("apply --auto-approve");
    assert!(matches!(refused.code, Some(1 | 4)), "{refused}");
    assert!(refused.stderr.contains("protect"), "{refused}");
    assert_eq!(site.read("www/page"), "precious");

    // Two releases: first the line leaves, then the object.
    site.write("release.toml", &format!("{HEAD}{page}"));
    apply(&site);
    site.write("release.toml", &format!("{HEAD}{removal}"));
    assert_ne!(site.relctl("apply --auto-approve").code, Some(0));
    assert_eq!(site.read("www/page"), "precious");

    // Only where it is taken back in so many words.
    site.write("release.toml", &format!("{HEAD}{page}lifecycle = {{ protect = false }}\n"));
    apply(&site);
    site.write("release.toml", &format!("{HEAD}{removal}"));
    apply(&site);
    assert!(!site.exists("www/page"));
}

#[test]
fn r46_a_path_out_of_the_root_is_denied_from_the_release_file_on() {
    for path in ["../outside", "/tmp/outside", "a/../../outside"] {
        let site = with("");
        site.write(
            "release.toml",
            &format!(
                "{HEAD}{}",
                file("x", "1").replace("path = \"x\"", &format!("path = \"{path}\""))
            ),
        );
        let refused = site.relctl("apply --auto-approve").exits(1);
        assert!(refused.stderr.contains(path), "{path}: {refused}");
        assert!(!site.exists("outside") && !site.exists("www"), "{path}");
    }
    // A folder that is a link out of the root.
    let site = with(&file("x", "1").replace("path = \"x\"", "path = \"door/x\""));
    std::fs::create_dir_all(site.path("www")).unwrap();
    std::fs::create_dir_all(site.path("outside")).unwrap();
    std::os::unix::fs::symlink("../outside", site.path("www/door")).unwrap();
    assert_ne!(site.relctl("apply --auto-approve").code, Some(0));
    assert!(!site.exists("outside/x"));
}

#[test]
fn r47_another_plugin_is_a_risk_of_the_next_plan() {
    let site = site::with_own_plugin();
    site.relctl("init").success();
    apply(&site);
    site::bump(&site);
    site::change_own_plugin(&site);
    site.relctl("plan").exits(1);
    site.relctl("init --upgrade").success();
    let plan = site.relctl("plan --json").success().json();
    let risks = plan["body"]["risks"].as_array().unwrap();
    assert!(
        risks.iter().any(|risk| risk["message"].as_str().unwrap().contains("plugin")),
        "{risks:#?}"
    );
}
