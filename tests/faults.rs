//! Stores and disks that fail now and then, or altogether: relctl converges or stops cleanly, asks
//! a bounded number of times, and does nothing twice.

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::Mutex;

use relctl_test::proxy::{Interference, Proxy, ProxyRules, Reply};
use serde_json::Value;

use crate::environment::{Output, TestEnvironment};
use crate::healthflow::Production;
use crate::shared::{Shared, Store};

/// How many seeds; docs/reliability.md has what 20 gave.
fn seeds() -> std::ops::RangeInclusive<u64> {
    let count = std::env::var("RELCTL_TEST_SEEDS").ok().and_then(|text| text.parse().ok());
    1..=count.unwrap_or(2)
}

const LINES: usize = 6;

fn release() -> String {
    let head = "[release]\nname = \"site\"\nversion = \"v1\"\n\n[plugins.local]\nconfig = { root = \"www\" }\n";
    let line = |line| {
        format!("\n[action.local_append.a{line}]\npath = \"log{line}\"\nline = \"line {line}\"\n")
    };
    (0..LINES).map(line).fold(head.to_owned(), |text, line| text + &line)
}

/// A chance of so many in a hundred, from a seed.
fn dice(seed: u64) -> impl Fn() -> u32 {
    let state = Mutex::new(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    move || {
        let mut state = state.lock().unwrap();
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        u32::try_from(*state % 100).unwrap()
    }
}

fn s3_error(status: u16, code: &str) -> Interference {
    Interference::Answer(Reply::xml(status, &format!("<Error><Code>{code}</Code></Error>")))
}

/// A store of which three answers in ten say "slow down", and others are worse.
fn unreliable_store(endpoint: &str, seed: u64) -> Proxy {
    let roll = dice(seed);
    ProxyRules::default()
        .interfere(move |call| match roll() {
            0..30 => s3_error(503, "SlowDown"),
            30..35 => s3_error(500, "InternalError"),
            35..38 => Interference::Reset,
            38..41 => Interference::Lose(Box::new(|| {})),
            41..44 if call.writes => s3_error(409, "ConditionalRequestConflict"),
            _ => Interference::Pass,
        })
        .before(endpoint)
        .unwrap()
}

#[test]
fn an_unreliable_store_costs_time_and_nothing_else() {
    let store = Store::start();
    let start = Shared::new(&store, &release());
    start.relctl("plan -o plan.json").success();
    let (mut stopped, mut calls, mut runs) = (0, 0, 0);
    for seed in seeds() {
        let shared = start.fork();
        let mut attempt = 0;
        loop {
            attempt += 1;
            runs += 1;
            let proxy = unreliable_store(&store.url(), seed * 1000 + attempt);
            let mut command = shared.command("apply plan.json --lock-timeout 60s", proxy.url());
            let output = shared.site.run(command.env("RELCTL_TEST_LOCK_TTL_MS", "3000"));
            let asked = proxy.calls().len();
            calls += asked;
            assert!(asked < 1_000, "seed {seed}: {asked} calls: {output}");
            match output.code {
                Some(0) => break,
                // Applied already: the last answer got lost.
                Some(5) if shared.serial() == 1 => break,
                // It stopped, and says why and what next.
                Some(1 | 6 | 9) => {
                    assert!(output.stderr.contains("hint: "), "seed {seed}: {output}");
                    stopped += 1;
                }
                _ => panic!("seed {seed}: {output}"),
            }
            assert!(attempt < 20, "seed {seed} never converges: {output}");
        }
        done_once(&shared, seed);
    }
    println!(
        "{runs} runs made {calls} calls of an unreliable S3; {stopped} of them stopped cleanly"
    );
}

fn done_once(shared: &Shared<'_>, seed: u64) {
    for line in 0..LINES {
        let text = shared.site.read(&format!("www/log{line}"));
        assert_eq!(text, format!("line {line}\n"), "seed {seed}");
    }
    let head = shared.head();
    assert_eq!((&head["operation"], &head["serial"]), (&Value::Null, &1.into()), "seed {seed}");
}

/// ECS and RDS of which three answers in ten are "throttled", and others are lost.
fn unreliable_cloud(endpoint: &str, seed: u64) -> Proxy {
    let roll = dice(seed);
    ProxyRules::default()
        .interfere(move |call| {
            let throttled = match call.service.as_str() {
                "rds" | "sts" => Reply::xml(
                    400,
                    "<ErrorResponse><Error><Code>Throttling</Code></Error></ErrorResponse>",
                ),
                _ => Reply::json_error(400, "ThrottlingException", "Rate exceeded"),
            };
            match roll() {
                0..30 => Interference::Answer(throttled),
                30..33 => Interference::Reset,
                33..36 => Interference::Lose(Box::new(|| {})),
                _ => Interference::Pass,
            }
        })
        .before(endpoint)
        .unwrap()
}

const MIGRATION: &str = "action.aws_ecs_task.migrate";

#[test]
fn an_unreliable_cloud_costs_time_and_nothing_else() {
    let (mut calls, mut runs, mut questions) = (0, 0, 0);
    for seed in seeds() {
        let production = Production::start();
        let run = |arguments: &str, endpoint: &str| -> Output {
            production.environment.run(&mut production.command(arguments, endpoint))
        };
        run("init -e production", &production.moto.url()).success();
        let (mut attempt, mut migrations) = (0, BTreeSet::new());
        let mut is_asked = false;
        loop {
            attempt += 1;
            runs += 1;
            let proxy = unreliable_cloud(
                &production.moto.url(),
                seed * 1000 + u64::try_from(attempt).unwrap(),
            );
            let open = production
                .environment
                .read("state/healthflow/production/HEAD")
                .contains("\"plan_id\"");
            // Of a migration that was begun and that ECS does not show, only a person can tell.
            let command = match (open, is_asked) {
                (_, true) => {
                    format!("resume -e production --resolve {MIGRATION}=not-done --reason looked")
                }
                (true, _) => "resume -e production".to_owned(),
                (false, _) => "apply -e production --auto-approve".to_owned(),
            };
            let output = run(&command, proxy.url());
            let asked = proxy.calls().len();
            calls += asked;
            let run = proxy.calls().into_iter().filter(|call| call.operation == "RunTask");
            let run = run.filter(|call| call.status == Some(200));
            migrations.extend(run.map(|call| call.json()["clientToken"].to_string()));
            assert!(asked < 1_000, "seed {seed}: {asked} calls: {output}");
            if output.code == Some(0) {
                break;
            }
            assert!(output.code.is_some(), "seed {seed}: {output}");
            assert!(attempt < 20, "seed {seed} never converges: {output}");
            is_asked = output.code == Some(10);
            questions += usize::from(is_asked);
            assert!(!is_asked || production.tasks() == 0, "seed {seed}: it is there: {output}");
        }
        assert_eq!(production.runs(), ("v1.1.0".to_owned(), 2), "seed {seed}");
        // A snapshot is taken before each try to migrate; the migration itself runs once. (To AWS
        // two calls with one token are one task; to moto they are two.)
        assert!(production.snapshots() <= attempt, "seed {seed}");
        assert_eq!(migrations.len(), 1, "seed {seed}: {migrations:?}");
    }
    println!("{runs} runs made {calls} calls of an unreliable cloud; {questions} asked a person");
}

/// Runs a script in which `$RELCTL` is `relctl` and `disk` a file system of so many KiB.
fn on_a_small_disk(site: &TestEnvironment, kilobytes: u32, script: &str) -> Output {
    let script = format!(
        "mkdir -p disk && mount -t tmpfs -o size={kilobytes}k tmpfs disk || exit 77\n{script}"
    );
    let relctl = site.command::<&str>(&[]);
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", &script]);
    command.env("RELCTL", relctl.get_program()).current_dir(site.work());
    for (name, value) in relctl.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let output = site.run(&mut command);
    assert_ne!(output.code, Some(77), "this system lets nobody mount a tmpfs: {output}");
    output
}

/// The ledger's disk is full to the last `left` KiB when v1 is applied; then there is room again.
#[test]
fn a_full_disk_stops_cleanly_and_nothing_is_lost() {
    let mut stopped = 0;
    let every = if seeds().count() > 2 { 4 } else { 24 };
    for left in (0..=72).step_by(every) {
        let site = TestEnvironment::new();
        site.write("release.toml", &release());
        let output = on_a_small_disk(
            &site,
            4096,
            &format!(
                "set -e
                 $RELCTL init --ledger disk/state >&2
                 $RELCTL plan -o plan.json --ledger disk/state >&2
                 free=$(df -k --output=avail disk | tail -1)
                 head -c $(( (free - {left}) * 1024 )) /dev/zero > disk/filler
                 set +e; $RELCTL apply plan.json --ledger disk/state; echo \"first: $?\"
                 rm disk/filler
                 $RELCTL resume --ledger disk/state; $RELCTL apply plan.json --ledger disk/state
                 $RELCTL log --json --ledger disk/state > log.json"
            ),
        );
        let first = output.stdout.lines().find_map(|line| line.strip_prefix("first: ")).unwrap();
        assert!(["0", "1", "9"].contains(&first), "{left} KiB left: {output}");
        if first != "0" {
            assert!(output.stderr.contains("hint: "), "{left} KiB left: {output}");
            stopped += 1;
        }
        for line in 0..LINES {
            let text = site.read(&format!("www/log{line}"));
            assert_eq!(text, format!("line {line}\n"), "{left} KiB left: {output}");
        }
        let log: Value = serde_json::from_str(&site.read("log.json")).unwrap();
        assert_eq!(log["entries"].as_array().unwrap().len(), 1, "{left} KiB left: {output}");
    }
    assert!(stopped > 0, "the disk was never full");
    println!("{stopped} applies met a full disk and stopped cleanly");
}

/// The disk of the files that are written is full; then there is room again. A line of which half was
/// appended is finished, not begun anew.
#[test]
fn a_full_disk_under_the_files_leaves_no_half_line() {
    let long = |line: usize| line.to_string().repeat(30_000);
    let lines = (0..LINES).map(|line| (format!("\"line {line}\""), format!("\"{}\"", long(line))));
    let release = lines
        .fold(release().replace("\"www\"", "\"disk/www\""), |text, (short, long)| {
            text.replace(&short, &long)
        });
    let (mut stopped, mut half) = (0, 0);
    let every = if seeds().count() > 2 { 12 } else { 48 };
    for left in (0..=204).step_by(every) {
        let site = TestEnvironment::new();
        site.write("release.toml", &release);
        let output = on_a_small_disk(
            &site,
            4096,
            &format!(
                "set -e
                 $RELCTL init >&2
                 free=$(df -k --output=avail disk | tail -1)
                 head -c $(( (free - {left}) * 1024 )) /dev/zero > disk/filler
                 set +e; $RELCTL apply --auto-approve; echo \"first: $?\"
                 rm disk/filler; find disk/www -name '*.intent' | sed 's/^/half: /'
                 $RELCTL apply --auto-approve; echo \"again: $?\"
                 cp -r disk/www www"
            ),
        );
        assert!(output.stdout.contains("again: 0"), "{left} KiB left: {output}");
        if !output.stdout.contains("first: 0") {
            assert!(output.stdout.contains("first: 9"), "{left} KiB left: {output}");
            stopped += 1;
        }
        half += usize::from(output.stdout.contains("half: "));
        for line in 0..LINES {
            let text = site.read(&format!("www/log{line}"));
            assert!(text == format!("{}\n", long(line)), "{left} KiB left, {line}: {output}");
        }
    }
    assert!(half > 0, "no append was interrupted");
    println!("{stopped} applies met a full disk, {half} of them within an append");
}

#[test]
fn a_read_only_disk_is_read_and_not_written() {
    let site = TestEnvironment::new();
    site.write("release.toml", &release());
    let output = on_a_small_disk(
        &site,
        4096,
        "set -e
         $RELCTL init --ledger disk/state >&2
         $RELCTL apply --auto-approve --ledger disk/state >&2
         sed -i s/v1/v2/ release.toml
         mount -o remount,ro disk
         $RELCTL log --ledger disk/state
         $RELCTL status --ledger disk/state
         $RELCTL plan --ledger disk/state > /dev/null
         set +e; $RELCTL apply --auto-approve --ledger disk/state; echo \"apply: $?\"
         mount -o remount,rw disk
         $RELCTL apply --auto-approve --ledger disk/state >&2; echo \"again: $?\"",
    );
    assert!(output.stdout.contains("apply: 1") && output.stdout.contains("again: 0"), "{output}");
    assert!(output.stderr.contains("Read-only file system"), "{output}");
    assert_eq!(site.read("www/log0"), "line 0\n", "{output}");
}
