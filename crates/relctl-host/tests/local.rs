//! The real `local` component through the real host: every function of the contract.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "all of it is tests, also the functions that the tests share"
)]

mod support;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use relctl_broker::Grants;
use relctl_engine::{Provider as _, StepCall};
use relctl_host::{Host, HostOptions, Limits, LoadFault, LoadRequest, Plugin, grants_for};
use relctl_plan::{
    Attempt, Digest, Document, Failure, Outcome, Progress, Reversal, Role, Value, Verb,
};
use serde_json::json;
use support::{change, document, host, local, map, request, step, subject};

const HELLO: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

async fn plugin(root: &Path) -> Plugin {
    host(Limits::default()).load(request(&local(), root)).await.unwrap()
}

async fn apply(plugin: &Plugin, step: &StepCall) -> Result<Document, Failure> {
    match plugin.apply(step).await? {
        Progress::Done(document) => Ok(document),
        pending @ Progress::Pending { .. } => panic!("{pending:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn describes_itself() {
    let folder = tempfile::tempdir().unwrap();
    let plugin = plugin(folder.path()).await;
    let description = plugin.description();
    assert_eq!(description.name, "local");
    assert!(description.wants.files && description.wants.http.is_empty());
    let file = description.kind(Role::Resource, "local_file").unwrap();
    assert_eq!(file.identity, ["path"]);
    assert!(file.fields.fields["sha256"].computed);
    assert!(file.fields.fields["content"].multiline);
    for (role, kind) in [
        (Role::Lookup, "local_file"),
        (Role::Resource, "local_link"),
        (Role::Resource, "local_value"),
        (Role::Action, "local_append"),
        (Role::Check, "local_match"),
    ] {
        assert!(description.kind(role, kind).is_some(), "{role} {kind}");
    }
    let pin = plugin.pin();
    assert_eq!(pin.sha256, Digest::of(&local()));
    assert_eq!(pin.grants, json!({"files": true}));
    assert_eq!(pin.config, json!({"root": "site"}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_from_validate_to_delete() {
    let folder = tempfile::tempdir().unwrap();
    let plugin = plugin(&folder.path().join("site")).await;
    let written = json!({"path": "./a/index.html", "content": "hello", "mode": "640"});
    let validated =
        plugin.validate(vec![subject("resource.local_file.index", written)]).await.unwrap();
    let desired = json!({"path": "a/index.html", "content": "hello", "mode": "0640"});
    assert_eq!(validated, [Ok(document(desired.clone()))]);

    let index = || subject("resource.local_file.index", desired.clone());
    assert_eq!(plugin.observe(vec![index()]).await.unwrap(), [Ok(None)]);
    let create = change(Verb::Create, index(), None);
    let assessed = plugin.assess(vec![create.clone()]).await.unwrap().remove(0).unwrap();
    assert_eq!(assessed.planned, document(json!({"sha256": HELLO})));
    assert_eq!(assessed.reversal, Reversal::Exact);

    let mut done = map(desired.clone());
    done.insert("sha256".to_owned(), HELLO.into());
    let step = step(create);
    assert_eq!(apply(&plugin, &step).await, Ok(Document::known(done.clone())));
    assert_eq!(plugin.observe(vec![index()]).await.unwrap(), [Ok(Some(done.clone().into()))]);
    assert!(matches!(apply(&plugin, &step).await, Err(Failure::Precondition(_))));
    let again = StepCall { attempt: Attempt::Again, ..step };
    assert_eq!(apply(&plugin, &again).await, Ok(Document::known(done.clone())));

    let delete = support::step(change(Verb::Delete, index(), Some(done)));
    assert_eq!(apply(&plugin, &delete).await, Ok(Document::default()));
    assert_eq!(fs::read_dir(folder.path().join("site")).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_an_append_and_a_check() {
    let folder = tempfile::tempdir().unwrap();
    let plugin = plugin(folder.path()).await;
    let link = subject("resource.local_link.current", json!({"path": "current", "target": "v1"}));
    apply(&plugin, &step(change(Verb::Create, link, None))).await.unwrap();
    assert_eq!(fs::read_link(folder.path().join("current")).unwrap(), Path::new("v1"));

    let line = subject("action.local_append.migrate", json!({"path": "v1/log", "line": "001"}));
    let append = step(change(Verb::Run, line, None));
    for attempt in [Attempt::First, Attempt::Again, Attempt::First] {
        apply(&plugin, &StepCall { attempt, ..append.clone() }).await.unwrap();
    }
    assert_eq!(fs::read_to_string(folder.path().join("v1/log")).unwrap(), "001\n");

    let check = |equals: &str| {
        subject("check.local_match.log", json!({"path": "current/log", "equals": equals}))
    };
    let verdicts = plugin.probe(vec![check("001\n"), check("002\n")]).await.unwrap();
    let outcomes: Vec<Outcome> = verdicts.into_iter().map(|v| v.unwrap().outcome).collect();
    assert_eq!(outcomes, [Outcome::Pass, Outcome::Fail]);
}

#[tokio::test(flavor = "multi_thread")]
async fn values_are_kept_by_the_ledger_alone() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("site");
    let plugin = plugin(&root).await;
    let mut value = subject("resource.local_value.x", json!({"input": {"a": [1, "two"]}}));
    assert_eq!(plugin.observe(vec![value.clone()]).await.unwrap(), [Ok(None)]);
    let done = apply(&plugin, &step(change(Verb::Create, value.clone(), None))).await.unwrap();
    assert_eq!(done.value["output"], json!({"a": [1, "two"]}));
    value.prior = Some(done.value.clone());
    assert_eq!(plugin.observe(vec![value]).await.unwrap(), [Ok(Some(done.value))]);
    assert!(!root.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn many_subjects_come_back_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let plugin = plugin(folder.path()).await;
    let subjects: Vec<_> = (0..3000)
        .map(|n| {
            if n % 3 == 0 {
                fs::write(folder.path().join(format!("f{n}")), n.to_string()).unwrap();
                subject(&format!("lookup.local_file.f{n}"), json!({"path": format!("f{n}")}))
            } else {
                let mut value = subject(&format!("resource.local_value.v{n}"), json!({"input": n}));
                value.prior = Some(map(json!({"input": n})).into());
                value
            }
        })
        .collect();
    for (n, seen) in plugin.observe(subjects).await.unwrap().into_iter().enumerate() {
        let seen = seen.unwrap().unwrap();
        let expected = if n % 3 == 0 { json!(n.to_string()) } else { json!(n) };
        assert_eq!(seen[if n % 3 == 0 { "content" } else { "input" }], expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_the_way_is_named() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("folder")).unwrap();
    symlink("/etc", folder.path().join("escape")).unwrap();
    let plugin = plugin(folder.path()).await;
    let file = |path: &str| subject("resource.local_file.x", json!({"path": path, "content": ""}));
    let seen = plugin
        .observe(vec![file("folder"), file("escape/passwd"), file("../x"), file(".relctl/x")])
        .await
        .unwrap();
    assert!(matches!(&seen[0], Err(Failure::Precondition(m)) if m.contains("is a folder")));
    for seen in &seen[1..] {
        assert!(matches!(seen, Err(Failure::Denied(_))), "{seen:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_in_fields_are_told_by_path() {
    let folder = tempfile::tempdir().unwrap();
    let plugin = plugin(folder.path()).await;
    let wrong = subject("resource.local_file.x", json!({"path": "/etc/passwd", "mode": "rw"}));
    let diagnostics = plugin.validate(vec![wrong]).await.unwrap().remove(0).unwrap_err();
    let paths: Vec<String> = diagnostics.iter().map(|found| found.path.to_string()).collect();
    assert_eq!(paths, ["path", "mode"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_expected_of_it_is_checked_first() {
    let wasm = local();
    let folder = tempfile::tempdir().unwrap();
    let host = host(Limits::default());
    let other = LoadRequest { sha256: Some(Digest::of(b"")), ..request(&wasm, folder.path()) };
    let fault = *host.load(other).await.unwrap_err().fault;
    assert!(matches!(fault, LoadFault::Digest { .. }), "{fault:?}");

    let ungranted = LoadRequest { grants: Grants::default(), ..request(&wasm, folder.path()) };
    let error = host.load(ungranted).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "plugin `local` asks for more than relctl.lock grants: files; `relctl init --upgrade` \
         shows it and asks"
    );

    let rootless = LoadRequest { files_root: None, ..request(&wasm, folder.path()) };
    assert!(matches!(*host.load(rootless).await.unwrap_err().fault, LoadFault::NoRoot));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_inspection_grants_nothing_and_tells_all() {
    let wasm = local();
    let folder = tempfile::tempdir().unwrap();
    let cache_dir = Some(folder.path().join("cache"));
    let host = Host::new(HostOptions { cache_dir, limits: Limits::default() }).unwrap();
    let inspection = host.inspect("local", &wasm).await.unwrap();
    assert_eq!(inspection.imports, ["files", "host", "types"]);
    assert_eq!(inspection.size, wasm.len());
    assert!(grants_for(&inspection.description.wants).files);

    // The cache now serves loads.
    let root = folder.path().join("root");
    let plugin = host.load(request(&wasm, &root)).await.unwrap();
    assert_eq!(plugin.description(), &inspection.description);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subject_that_no_call_can_carry_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits { asked_bytes: 1000, ..Limits::default() };
    let plugin = host(limits).load(request(&local(), folder.path())).await.unwrap();
    let large: Value = json!({"input": "x".repeat(2000)});
    let error = plugin.validate(vec![subject("resource.local_value.big", large)]).await;
    assert_eq!(
        error.unwrap_err().to_string(),
        "plugin `local` cannot be asked about resource.local_value.big, which is larger than 1000 \
         bytes; make it smaller"
    );
}
