//! A ledger that cannot be written in the middle of an apply: nothing is lost.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use insta::assert_snapshot;
use relctl_test::proxy::{Interference, Proxy, ProxyRules, Reply};

use crate::bucket::{BUCKET, Bucket};
use crate::environment::{Output, TestEnvironment};
use crate::shared::SOON;
use crate::site;

/// The small site on S3, behind a proxy that refuses every write from the fourth part of a journal
/// on, while `broken` is set.
struct Behind {
    _bucket: Bucket,
    proxy: Proxy,
    variables: Vec<(&'static str, String)>,
    broken: Arc<AtomicBool>,
    site: TestEnvironment,
}

impl Behind {
    fn new() -> Self {
        let bucket = Bucket::start();
        let broken = Arc::new(AtomicBool::new(false));
        let (armed, closed) = (Arc::clone(&broken), AtomicBool::new(false));
        let proxy = ProxyRules::default()
            .interfere(move |call| {
                if !armed.load(Ordering::SeqCst) {
                    return Interference::Pass;
                }
                let is_late = ["4", "5", "6", "7", "8"]
                    .iter()
                    .any(|part| call.operation.ends_with(&format!("/0000000{part}.jsonl")));
                if call.operation.starts_with("PUT ") && is_late {
                    closed.store(true, Ordering::SeqCst);
                }
                if call.operation.starts_with("PUT ") && closed.load(Ordering::SeqCst) {
                    let slow_down = "<Error><Code>SlowDown</Code></Error>";
                    return Interference::Answer(Reply::xml(503, slow_down));
                }
                Interference::Pass
            })
            .before(&bucket.endpoint())
            .unwrap();
        let mut variables = bucket.variables().to_vec();
        proxy.url().clone_into(&mut variables[0].1);
        let site = site::uninitialised();
        let section = format!("[ledger]\nurl = \"s3://{BUCKET}/team\"\n\n[plugins.local]");
        site.edit("release.toml", "[plugins.local]", &section);
        let behind = Self { _bucket: bucket, proxy, variables, broken, site };
        behind.relctl("init").success();
        behind.broken.store(true, Ordering::SeqCst);
        behind
    }

    fn relctl(&self, arguments: &str) -> Output {
        self.site.run(&mut self.command(arguments))
    }

    fn command(&self, arguments: &str) -> Command {
        let mut command = self.site.command(&arguments.split_whitespace().collect::<Vec<_>>());
        command.envs(self.variables.iter().cloned());
        command
    }

    /// Resumes. The lock of whoever could not give it back is taken over soon.
    fn resume(&self) -> Output {
        self.site.run(self.command("resume").env("RELCTL_TEST_LOCK_TTL_MS", SOON))
    }

    fn heal(&self) {
        self.broken.store(false, Ordering::SeqCst);
    }

    /// The copies on this machine.
    fn copies(&self) -> Vec<std::path::PathBuf> {
        let mut found = Vec::new();
        let mut open = vec![self.site.root().join("home/state/relctl/unsaved")];
        while let Some(folder) = open.pop() {
            for entry in folder.read_dir().into_iter().flatten() {
                let path = entry.unwrap().path();
                if path.is_dir() { open.push(path) } else { found.push(path) }
            }
        }
        found
    }
}

#[test]
fn what_was_done_is_kept_here_and_recorded_later() {
    let behind = Behind::new();
    let failed = behind.relctl("apply --auto-approve").exits(9);
    // Which of the two steps starts first is nobody's business.
    let error = failed.stderr.split_once("error: ").unwrap().1;
    assert_snapshot!(error, @r"
    the ledger could not be written while applying
           2 line(s) that it could not take are kept in `$ROOT/home/state/relctl/unsaved/[id]/000001-[short].jsonl`
      caused by: could not write `s3://releases/team/site/default/journal/000001-[short]/[short].jsonl`: the store answered SlowDown

    hint: the store is overloaded or down; try again, nothing of the ledger is lost
    hint: nothing new was started; what ran was seen to its end where that could be
    hint: when the ledger can be written again, on this machine: relctl resume
    ");
    assert_eq!(behind.copies().len(), 1);
    let log = behind.site.read("www/migrations.log");
    assert_eq!(log, "migrated to v1.0.0\n");
    assert!(!behind.site.exists("www/current"), "nothing new was started");

    // Still broken: nothing is lost, nothing is done.
    let calls = behind.proxy.calls().len();
    let refused = behind.resume().exits(1);
    assert!(refused.stderr.contains("SlowDown"), "{refused}");
    assert!(behind.proxy.calls().len() - calls < 200, "a bounded number of calls");
    assert_eq!(behind.copies().len(), 1);

    behind.heal();
    let resumed = behind.resume().success();
    assert!(resumed.stderr.contains("that an earlier run could not record"), "{resumed}");
    assert_eq!(behind.copies().len(), 0);
    assert_eq!(behind.site.read("www/migrations.log"), log, "each effect once");
    assert!(behind.site.exists("www/current/index.html"));
    behind.relctl("ledger verify").success();
    assert!(behind.relctl("plan --detailed-exitcode").success().stdout.contains("no changes"));
}

#[test]
fn another_machine_goes_on_without_the_copy() {
    let behind = Behind::new();
    behind.relctl("apply --auto-approve").exits(9);
    behind.heal();
    let elsewhere = behind.site.fork();
    let mut resume = elsewhere.command(&["resume"]);
    resume.envs(behind.variables.iter().cloned()).env("XDG_STATE_HOME", elsewhere.path("other"));
    resume.env("RELCTL_TEST_LOCK_TTL_MS", SOON);
    elsewhere.run(&mut resume).success();
    assert_eq!(elsewhere.read("www/migrations.log"), "migrated to v1.0.0\n");
    // The copy is of an operation that is over: it is in nobody's way.
    behind.relctl("status").success();
    behind.relctl("ledger verify").success();
}
