//! The ledger on S3: every command there, from machines that have nothing else, moved, checked,
//! shown.

use insta::assert_snapshot;
use relctl_test::proxy::ProxyRules;
use serde_json::Value;

use crate::bucket::{BUCKET, Bucket};
use crate::environment::{Output, TestEnvironment};
use crate::site;

/// The small site, with its ledger in the bucket.
fn on_s3() -> (Bucket, TestEnvironment) {
    let (bucket, site) = (Bucket::start(), site::uninitialised());
    let url = format!("[ledger]\nurl = \"s3://{BUCKET}/team\"\n\n[plugins.local]");
    site.edit("release.toml", "[plugins.local]", &url);
    bucket.relctl(&site, "init").success();
    (bucket, site)
}

/// A machine with the site's files, and neither release file nor plugin.
fn bare_machine(site: &TestEnvironment) -> TestEnvironment {
    let machine = TestEnvironment::new();
    crate::real::copy(&site.path("www"), &machine.path("www"));
    machine
}

fn from_bare(bucket: &Bucket, machine: &TestEnvironment, arguments: &str) -> Output {
    let arguments: Vec<&str> = arguments.split_whitespace().collect();
    machine.run(machine.bare_command(&arguments).envs(bucket.variables()))
}

#[test]
fn every_command_works_on_s3() {
    let (bucket, site) = on_s3();
    let relctl = |arguments: &str| bucket.relctl(&site, arguments);
    assert!(relctl("plan --detailed-exitcode").exits(2).stdout.contains("to create"));
    relctl("plan -o plan.json").success();
    relctl("apply plan.json").success();
    relctl("apply plan.json").exits(5);
    relctl("plan --detailed-exitcode").exits(0);
    site::bump(&site);
    relctl("apply --auto-approve").success();
    relctl("ledger verify").success();
    relctl("drift").success();
    relctl("diff 1 2").success();
    assert!(relctl("show 1").success().stdout.contains("v1.0.0"));
    relctl("resume").exits(1);
    assert_snapshot!(relctl("status"), @"
    exit code: 0
    ----- stdout
    site

      in force    v1.1.0 #2, verified
                  2026-11-22T10:00:00Z by ada
      entry       [sha256]
      ledger      s3://releases/team/site/default
      lock        free
      revert      would go to v1.0.0 #1
      drift       none
    ----- stderr
    ");
    relctl("revert --auto-approve").success();
    assert_eq!(site.read("www/current/index.html"), "<h1>site v1.0.0</h1>\n<p>blue</p>\n");
    assert_snapshot!(relctl("log"), @"
    exit code: 0
    ----- stdout
    #3  v1.0.0  reverted to #1, verified  2026-11-22T10:00:00Z  ada  [short]  in force
    #2  v1.1.0  applied, verified         2026-11-22T10:00:00Z  ada  [short]
    #1  v1.0.0  applied, verified         2026-11-22T10:00:00Z  ada  [short]
    ----- stderr
    ");
    assert_snapshot!(relctl("unlock --reason none"), @"
    exit code: 0
    ----- stdout
    Nobody holds the lock.
    ----- stderr
    ");
    assert!(!site.exists("state"), "nothing of the ledger is here");
    let keys: Vec<String> = bucket.objects().into_keys().collect();
    assert!(keys.iter().all(|key| key.starts_with("team/site/default/")), "{keys:?}");
}

#[test]
fn the_ledger_is_named_in_three_ways() {
    let (bucket, site) = (Bucket::start(), site::uninitialised());
    let flag = format!("--ledger s3://{BUCKET}/a");
    bucket.relctl(&site, &format!("init {flag}")).success();
    bucket.relctl(&site, &format!("apply --auto-approve {flag}")).success();
    let mut by_variable = bucket.command(&site, "status --json");
    let status = site.run(by_variable.env("RELCTL_LEDGER", format!("s3://{BUCKET}/a")));
    assert_eq!(status.success().json()["in_force"]["version"], "v1.0.0");

    // A URL of the release file may depend on variables, and on the environment.
    let url = "[ledger]\nurl = \"s3://releases/${vars.place}\"\n\n[plugins.local]";
    site.edit("release.toml", "[plugins.local]", url);
    site.edit("release.toml", "[vars]", "[vars]\nplace = \"a\"");
    let status = bucket.relctl(&site, "status --json").success();
    assert_eq!(status.json()["ledger"], format!("s3://{BUCKET}/a/site/default"));
    let other = bucket.relctl(&site, "status --var place=b").exits(1);
    assert!(other.stderr.contains("s3://releases/b/site/default"), "{other}");
}

#[test]
fn credentials_region_and_endpoint_come_from_a_profile() {
    let (bucket, site) = (Bucket::start(), site::uninitialised());
    site.write(
        "aws/config",
        &format!("[profile ci]\nregion = eu-west-1\nendpoint_url = {}\n", bucket.endpoint()),
    );
    site.write("aws/credentials", "[ci]\naws_access_key_id = a\naws_secret_access_key = b\n");
    let relctl = |arguments: &[&str]| {
        let mut command = site.command(arguments);
        command
            .env("AWS_CONFIG_FILE", site.path("aws/config"))
            .env("AWS_SHARED_CREDENTIALS_FILE", site.path("aws/credentials"))
            .env("AWS_PROFILE", "ci")
            .env("AWS_EC2_METADATA_DISABLED", "true");
        site.run(&mut command)
    };
    let url = format!("s3://{BUCKET}/team");
    relctl(&["init", "--ledger", &url]).success();
    relctl(&["apply", "--auto-approve", "--ledger", &url]).success();
    assert!(bucket.objects().contains_key("team/site/default/HEAD"));
    // Without a profile there are none.
    let mut without = site.command(&["status", "--ledger", &url]);
    without.env("AWS_ENDPOINT_URL", bucket.endpoint()).env("AWS_EC2_METADATA_DISABLED", "true");
    assert_snapshot!(site.run(&mut without).stderr, @"
    error: could not read `s3://releases/team/site/default/HEAD`: no AWS credentials were found: environment, profile, SSO, web identity, container and instance were asked

    hint: set AWS_PROFILE or the AWS_* variables, or sign in
    ");
}

#[test]
fn what_cannot_be_reached_says_why() {
    let (bucket, site) = (Bucket::start(), site::uninitialised());
    assert_snapshot!(bucket.relctl(&site, "init --ledger s3://nobody/team").stderr, @"
    error: could not read `s3://nobody/team/site/default/HEAD`: there is no such bucket

    hint: make the bucket, or correct its name
    ");
    assert_snapshot!(bucket.relctl(&site, "status --ledger s3://releases/none").stderr, @"
    error: there is no ledger: `s3://releases/none/site/default/HEAD` does not exist

    hint: `relctl init` creates one; if there should be one, check `--ledger`
    ");
    let mut closed = bucket.command(&site, "status --ledger s3://releases/team");
    // Nothing listens on this port, and TLS is spoken as far as it gets.
    closed.env("AWS_ENDPOINT_URL", "https://127.0.0.1:1");
    assert_snapshot!(site.run(&mut closed).stderr, @"
    error: could not read `s3://releases/team/site/default/HEAD`: the store cannot be reached: Connection refused (os error 111)

    hint: check the network, and the endpoint where one is set (AWS_ENDPOINT_URL)
    ");
    assert_snapshot!(bucket.relctl(&site, "status --ledger az://releases/team").stderr, @"
    error: `az://releases/team/site/default` cannot be reached with these settings: Account must be specified

    hint: set AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY, or check the variables AZURE_*
    ");
    let memory = bucket.relctl(&site, "status --ledger memory://releases/team").exits(1);
    assert!(memory.stderr.contains("there is no ledger: `memory://releases/team"), "{memory}");
    assert_snapshot!(bucket.relctl(&site, "status --ledger s4://releases").stderr, @"
    error: `s4://releases` is no ledger's location

    hint: write a folder, or `s3://bucket/prefix`, `gs://bucket/prefix`, `az://container/prefix`
    ");
}

#[test]
fn a_bare_machine_can_look_and_go_back() {
    let (bucket, site) = on_s3();
    bucket.relctl(&site, "apply --auto-approve").success();
    site::bump(&site);
    bucket.relctl(&site, "apply --auto-approve").success();
    let machine = bare_machine(&site);
    let url = format!("--ledger s3://{BUCKET}/team");
    assert_snapshot!(from_bare(&bucket, &machine, &format!("status {url}")), @"
    exit code: 0
    ----- stdout
    site

      in force    v1.1.0 #2, verified
                  2026-11-22T10:00:00Z by ada
      entry       [sha256]
      ledger      s3://releases/team/site/default
      lock        free
      revert      would go to v1.0.0 #1
      drift       none
    ----- stderr
    ");
    let log = from_bare(&bucket, &machine, &format!("log {url}")).success();
    assert!(log.stdout.contains("v1.1.0") && log.stdout.contains("v1.0.0"), "{log}");
    let reverted = from_bare(&bucket, &machine, &format!("revert --auto-approve {url}")).success();
    assert!(reverted.stdout.contains("is back at v1.0.0 #1"), "{reverted}");
    assert_eq!(machine.read("www/current/index.html"), "<h1>site v1.0.0</h1>\n<p>blue</p>\n");
    let kept: Vec<String> =
        bucket.objects().into_keys().filter(|key| key.contains("/plugins/")).collect();
    assert_eq!(kept.len(), 1, "one plugin, kept once: {kept:?}");
}

#[test]
fn a_bare_machine_is_told_what_it_may_mean() {
    let bucket = Bucket::start();
    for (name, environment) in [("site", "staging"), ("site", "production"), ("shop", "production")]
    {
        let site = site::uninitialised();
        site.edit("release.toml", "name = \"site\"", &format!("name = \"{name}\""));
        site.write(&format!("environments/{environment}.toml"), "");
        let url = format!("--ledger s3://{BUCKET}/team");
        bucket.relctl(&site, &format!("init -e {environment} {url}")).success();
    }
    let machine = TestEnvironment::new();
    let status = |flags: &str| {
        from_bare(&bucket, &machine, &format!("status --ledger s3://{BUCKET}/team {flags}"))
    };
    assert_snapshot!(status(""), @"
    exit code: 1
    ----- stdout
    ----- stderr
    error: `s3://releases/team` has 3 ledgers, and no release file says which is meant
           --release shop -e production
           --release site -e production
           --release site -e staging

    hint: name one with `--release` and `-e`
    ");
    assert_snapshot!(status("--release site").stderr, @"
    error: `s3://releases/team` has 3 ledgers, and no release file says which is meant
           --release shop -e production
           --release site -e production
           --release site -e staging

    hint: name the environment with `-e`
    ");
    assert!(status("--release site -e staging").success().stdout.starts_with("site → staging"));
    assert!(status("--release shop").success().stdout.starts_with("shop → production"));
    assert_snapshot!(status("--release market").stderr, @"
    error: `s3://releases/team` has no ledger of that release and environment
           --release shop -e production
           --release site -e production
           --release site -e staging
    ");
    assert_snapshot!(from_bare(&bucket, &machine, "status").stderr, @"
    error: there is no release file `release.toml`, and no ledger at `state`

    hint: go to the release's folder, or name it: -C FOLDER
    hint: or name the ledger: --ledger s3://bucket/prefix
    ");
}

/// The records of an export, without what moving changes.
fn exported(bucket: &Bucket, site: &TestEnvironment, flags: &str) -> Vec<Value> {
    let export = bucket.relctl(site, &format!("ledger export {flags}")).success();
    let records = export.raw.lines().map(|line| serde_json::from_str(line).unwrap());
    records.filter(|record: &Value| record["record"] != "head").collect()
}

#[test]
fn a_ledger_moves_there_and_back_without_losing_an_entry() {
    let (bucket, site) = (Bucket::start(), site::released());
    site::bump(&site);
    bucket.relctl(&site, "apply --auto-approve").success();
    let before = exported(&bucket, &site, "");
    assert_eq!(before.len(), 2);
    let url = format!("s3://{BUCKET}/team");
    bucket.relctl(&site, &format!("ledger migrate {url}")).exits(7);
    assert_snapshot!(bucket.relctl(&site, &format!("ledger migrate {url} --auto-approve")), @r#"
    exit code: 0
    ----- stdout
    moved 2 entries, 11 objects: state/site/default/ → s3://releases/team
    Next: write it into the release file, `[ledger] url = "s3://releases/team"`
    ----- stderr
    "#);
    // Whoever still comes to the old place is told.
    assert_snapshot!(bucket.relctl(&site, "status").stderr, @"
    error: the ledger at `state/site/default/HEAD` was migrated to `s3://releases/team` and is closed

    hint: use `--ledger s3://releases/team`, or write it into the release file
    ");

    let there = format!("--ledger {url}");
    assert_eq!(exported(&bucket, &site, &there), before);
    bucket.relctl(&site, &format!("revert --auto-approve {there}")).success();
    let after = exported(&bucket, &site, &there);
    assert_eq!((after.len(), &after[..2]), (3, &before[..]));

    // Back to where it was, where the closed ledger still lies.
    let back = format!("ledger migrate state --auto-approve {there}");
    let moved = bucket.relctl(&site, &format!("{back} --json")).success().json();
    assert_eq!((&moved["entries"], &moved["lineage"]), (&3.into(), &lineage(&site)));
    assert_eq!(exported(&bucket, &site, ""), after);
    bucket.relctl(&site, &back).exits(1);
    assert_snapshot!(bucket.relctl(&site, "ledger verify"), @"
    exit code: 0
    ----- stdout
    sound: state/site/default/
      entries   3, each follows from the one before
      read      18 objects, each is what was written
      head      #3 [sha256]
    ----- stderr
    ");
    site.edit("release.toml", "v1.1.0", "v1.2.0");
    bucket.relctl(&site, "apply --auto-approve").success();
    // And to a folder that never had it.
    bucket.relctl(&site, "ledger migrate elsewhere --auto-approve").success();
    assert_eq!(exported(&bucket, &site, "--ledger elsewhere").len(), 4);
}

fn lineage(site: &TestEnvironment) -> Value {
    let lock: toml::Table = site.read("relctl.lock").parse().unwrap();
    serde_json::to_value(&lock["ledgers"]["default"]["lineage"]).unwrap()
}

#[test]
fn verify_names_what_is_not_as_it_was() {
    let (bucket, site) = on_s3();
    bucket.relctl(&site, "apply --auto-approve").success();
    let verified = bucket.relctl(&site, "ledger verify --json").success().json();
    assert_eq!((&verified["sound"], &verified["entries"]), (&true.into(), &1.into()));
    let (key, mut bytes) =
        bucket.objects().into_iter().find(|(key, _)| key.contains("/plans/")).unwrap();
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    bucket.put(&key, &bytes);
    assert_snapshot!(bucket.relctl(&site, "ledger verify"), @"
    exit code: 1
    ----- stdout
    ----- stderr
    error: `s3://releases/team/site/default` is not sound: 1 thing(s) are not what was written
           `s3://releases/team/site/default/plans/[sha256].json` is damaged: its content does not match the digest in its name

    hint: restore what is named from a copy, then verify again
    hint: apply and revert refuse what cannot be trusted; what is sound can be read
    ");
    let verified = bucket.relctl(&site, "ledger verify --json").exits(1).json();
    assert_eq!(verified["sound"], false);
    assert!(verified["problems"][0]["message"].as_str().unwrap().contains(&key), "{verified}");
}

#[test]
fn an_export_is_written_to_a_file() {
    let site = site::released();
    site.relctl("ledger export -o out.jsonl").success();
    let lines = site.read("out.jsonl");
    assert_eq!(lines, site.relctl("ledger export").success().raw);
    assert_eq!(lines.lines().count(), 2);
    let closed = site.relctl("ledger export -o missing/out.jsonl").exits(1);
    assert!(closed.stderr.contains("missing/out.jsonl"), "{closed}");
}

/// However long the history is, its newest page is one request.
#[test]
fn a_log_takes_three_requests() {
    let (bucket, site) = on_s3();
    for color in ["red", "green", "blue"] {
        bucket.relctl(&site, &format!("apply --auto-approve --var color={color}")).success();
    }
    let proxy = ProxyRules::default().before(&bucket.endpoint()).unwrap();
    let mut log = bucket.command(&site, "log -n 100");
    let log = site.run(log.env("AWS_ENDPOINT_URL", proxy.url())).success();
    assert_eq!(log.stdout.lines().count(), 3, "{log}");
    let calls: Vec<String> = proxy.calls().into_iter().map(|call| call.operation).collect();
    assert!(calls.len() <= 3, "{calls:#?}");
}

/// The bucket is put back to what it was: whoever has seen more notices.
#[test]
fn an_older_copy_in_its_place_is_noticed() {
    let (bucket, site) = on_s3();
    let applied = bucket.relctl(&site, "apply --auto-approve").success();
    // The head is said at the end, for whoever has to compare by hand.
    let newest = bucket.relctl(&site, "log --json").json()["entries"][0].clone();
    assert!(
        applied.raw.contains(&format!("#1 {}", newest["entry"].as_str().unwrap())),
        "{}",
        applied.raw
    );
    let older = bucket.objects();
    site::bump(&site);
    bucket.relctl(&site, "apply --auto-approve").success();
    for (key, bytes) in &older {
        bucket.put(key, bytes);
    }
    for command in
        ["plan", "apply --auto-approve", "revert --auto-approve", "status", "ledger verify"]
    {
        let refused = bucket.relctl(&site, command).exits(1);
        assert!(
            refused.stderr.contains("is older than what was seen here"),
            "{command}: {refused}"
        );
    }
    assert_snapshot!(bucket.relctl(&site, "log").stderr, @"
    error: `s3://releases/team/site/default/HEAD` is older than what was seen here: it is at #1, revision 4; seen were #2, revision 7

    hint: if an older copy was put there on purpose, remove `$ROOT/home/state/relctl/heads/[id]` and run again
    ");
}
