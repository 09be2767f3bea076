//! What a migration wrote to its log, told when it fails: bounded, harmless, and never a verdict.

use std::sync::{Mutex, mpsc};

use relctl_test::proxy::{ProxyRules, Reply};
use serde_json::{Value, json};

use crate::environment::Output;
use crate::moto::{Moto, post};
use crate::production::{MIGRATION, Production, tasks_end, whole};

/// Calls AWS's log service, of the moto on this port.
fn logs(port: u16, operation: &str, body: &Value) {
    let headers = format!(
        "Content-Type: application/x-amz-json-1.1\r\nX-Amz-Target: Logs_20140328.{operation}\r\n"
    );
    post(port, "logs", &headers, &body.to_string());
}

/// Has every task that is started log these messages, as its `awslogs` driver would.
fn logging(rules: ProxyRules, port: u16, messages: Vec<String>) -> ProxyRules {
    rules.rewrite("RunTask", move |_, reply| {
        let json: Value = serde_json::from_slice(&reply.body).unwrap();
        let task = json["tasks"][0]["taskArn"].as_str().unwrap().rsplit('/').next().unwrap();
        let (group, stream) = ("/ecs/production", format!("api/api/{task}"));
        logs(port, "CreateLogGroup", &json!({ "logGroupName": group }));
        let stream = json!({ "logGroupName": group, "logStreamName": stream });
        logs(port, "CreateLogStream", &stream);
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let now = u64::try_from(now.as_millis()).unwrap();
        let events: Vec<Value> = messages
            .iter()
            .map(|message| json!({ "timestamp": now, "message": message }))
            .collect();
        let mut events = json!({ "logEvents": events });
        events.as_object_mut().unwrap().extend(stream.as_object().unwrap().clone());
        logs(port, "PutLogEvents", &events);
    })
}

/// The migration exits with 1.
fn exits_1(rules: ProxyRules) -> ProxyRules {
    tasks_end(
        rules,
        json!({ "lastStatus": "STOPPED", "stopCode": "EssentialContainerExited", "containers": [{ "name": "api", "exitCode": 1 }] }),
    )
}

/// Applies: the migration fails as it does, whatever its log comes to, and the service is untouched.
fn fails(production: &Production, arguments: &str) -> Output {
    let applied = production.relctl(&format!("apply --auto-approve {arguments}")).exits(9);
    assert_eq!(production.proxy.count("UpdateService"), 0, "{applied}");
    for part in
        ["container api ended with exit code 1", "log: group /ecs/production, stream api/api/"]
    {
        assert!(applied.stderr.contains(part), "`{part}` is not said: {applied}");
    }
    applied
}

/// R17: the end of the log stands with the failure, without what could do harm on a terminal or in
/// a CI log.
#[test]
fn a_migration_that_fails_shows_the_end_of_its_log() {
    let moto = Moto::start();
    let mut messages: Vec<String> = (1..=30).map(|n| format!("up {n}")).collect();
    messages.push("connecting to postgres://app:canary-of-the-log@db:5432/app".to_owned());
    messages
        .push("\u{1b}[31mERROR\u{1b}[0m\n 4 ~ update resource.aws_ecs_service.api done".to_owned());
    let rules = logging(exits_1(ProxyRules::default()), moto.port(), messages);
    let production = Production::on(moto, &whole(), rules);
    let applied = fails(&production, "");
    for part in [
        "|     up 14\n",
        "|     up 30\n",
        "|     connecting to postgres://[redacted]@db:5432/app\n",
        "|     \\u{1b}[31mERROR\\u{1b}[0m\n",
        // Further lines of a message are set off: none can be taken for a line of relctl.
        "|      4 ~ update resource.aws_ecs_service.api done\n",
    ] {
        assert!(applied.stderr.contains(part), "`{part}`: {applied}");
    }
    assert!(!applied.stderr.contains("up 13\n"), "it is bounded: {applied}");
    let shown = production.relctl("show").success();
    assert!(shown.stdout.contains("up 30"), "{shown}");
    let everything = format!("{applied}{shown}{}", production.relctl("log --json").success());
    assert!(!everything.contains("canary-of-the-log"), "{everything}");
}

/// R17: who may not read the log, or finds none, or gets no answer, is told so, and where it is.
#[test]
fn a_log_that_cannot_be_read_changes_no_verdict() {
    let denied = || {
        ProxyRules::default().answer("GetLogEvents", |_| {
            Reply::json_error(400, "AccessDeniedException", "User is not authorized")
        })
    };
    // Neither answered nor refused, for as long as the test runs.
    let (ends, end) = mpsc::channel::<()>();
    let end = Mutex::new(end);
    let silent = ProxyRules::default().answer("GetLogEvents", move |_| {
        end.lock().unwrap().recv().unwrap_err();
        Reply::json(200, &json!({}))
    });
    for (rules, arguments, why) in [
        (denied(), "", "`logs:GetLogEvents` is not allowed for these credentials"),
        // moto has no such group.
        (ProxyRules::default(), "", "ResourceNotFoundException"),
        (silent, "--step-timeout 10s", "no answer within"),
    ] {
        let production = Production::behind(&whole(), exits_1(rules));
        let applied = fails(&production, arguments);
        assert!(applied.stderr.contains("what it says cannot be shown: "), "{applied}");
        assert!(applied.stderr.contains(why), "`{why}`: {applied}");
    }
    drop(ends);
}

/// A migration that went well has nothing to tell: its log is not read.
#[test]
fn the_log_of_a_success_is_not_read() {
    let production = Production::start(&whole());
    production.relctl("apply --auto-approve").success();
    assert_eq!(production.proxy.count("GetLogEvents"), 0);
}

/// How the migration's log states the schema's version.
const SCHEMA_VERSION: &str =
    "schema_version = { before = 'schema is at (\\d+)', after = 'schema is at (\\d+)' }\n";

fn versioned() -> String {
    let migration = format!("{MIGRATION}{SCHEMA_VERSION}");
    whole().replace(MIGRATION, &migration)
}

/// R17: the schema's version before and after is recorded, shown, and can be referred to.
#[test]
fn the_schemas_version_is_recorded_before_and_after() {
    let moto = Moto::start();
    let said = ["schema is at 41", "up 42", "schema is at 42", "up 43", "schema is at 43", "bye"];
    let rules = logging(ProxyRules::default(), moto.port(), said.map(str::to_owned).to_vec());
    let tag = "tags = { schema = \"${action.aws_ecs_task.migrate.schema_version_after}\" }\n";
    let production = Production::on(moto, &(versioned() + tag), rules);
    let applied = production.relctl("apply --auto-approve").success();
    assert!(!applied.stderr.contains("is not known"), "{applied}");
    let shown = production.relctl("show").success();
    for part in ["schema_version_before   \"41\"\n", "schema_version_after    \"43\"\n"] {
        assert!(shown.stdout.contains(part), "`{part}`: {shown}");
    }
    let tags = production.service("api")["tags"].clone();
    assert!(
        tags.as_array().unwrap().contains(&json!({ "key": "schema", "value": "43" })),
        "{tags}"
    );
}

/// R17: also where the migration failed, and how far it came is the question.
#[test]
fn the_schemas_version_is_recorded_of_a_failure_too() {
    let moto = Moto::start();
    let said = ["schema is at 41", "up 42", "schema is at 42", "no such column"];
    let rules = exits_1(ProxyRules::default());
    let rules = logging(rules, moto.port(), said.map(str::to_owned).to_vec());
    let production = Production::on(moto, &versioned(), rules);
    let applied = fails(&production, "");
    assert!(applied.stderr.contains("|   schema_version_after is 42\n"), "{applied}");
    let shown = production.relctl("show").success();
    for part in ["schema_version_before   \"41\"\n", "schema_version_after    \"42\"\n"] {
        assert!(shown.stdout.contains(part), "`{part}`: {shown}");
    }
}

/// A log that does not state it fails nothing; relctl says so, and no version is recorded.
#[test]
fn a_version_that_is_not_stated_is_warned_of() {
    let production = Production::start(&versioned());
    let applied = production.relctl("apply --auto-approve").success();
    for field in ["schema_version_before", "schema_version_after"] {
        let warning = format!("WARN action.aws_ecs_task.migrate: {field} is not known: ");
        assert!(applied.stderr.contains(&warning), "`{warning}`: {applied}");
    }
    let shown = production.relctl("show").success();
    assert!(shown.stdout.contains("exit_code"), "{shown}");
    assert!(!shown.stdout.contains("schema_version_before  "), "{shown}");
}

/// A pattern that cannot be meant is a mistake in the release file, with its place.
#[test]
fn a_pattern_without_a_group_is_refused() {
    let production = Production::start(&versioned());
    production.environment.edit(
        "release.toml",
        "after = 'schema is at (\\d+)'",
        "after = 'schema'",
    );
    let refused = production.relctl("validate").exits(1);
    for part in ["has 0 groups", "release.toml:", "schema_version", "write one group"] {
        assert!(refused.stderr.contains(part), "`{part}`: {refused}");
    }
}
