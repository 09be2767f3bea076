//! What the tests of this crate share: hosts, plugins, subjects, and hostile guests from text.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use relctl_broker::Grants;
use relctl_engine::{Change, StepCall, Subject};
use relctl_host::{Host, HostOptions, Limits, LoadError, LoadRequest, Plugin};
use relctl_plan::{Address, Attempt, Document, Map, StepId, Value, Verb};
use serde_json::json;
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};

/// The contract, as plugins are built against it.
const CONTRACT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../plugins/wit/v0.1");

/// The built `local` component.
pub(crate) fn local() -> Vec<u8> {
    let folder = std::env::var_os("RELCTL_TEST_PLUGINS").map_or_else(built_plugins, PathBuf::from);
    let path = folder.join("local.wasm");
    std::fs::read(&path).unwrap_or_else(|error| {
        panic!(
            "cannot read `{}`: {error}; run `cargo xtask plugins`, or set RELCTL_TEST_PLUGINS to \
             the folder of built plugins",
            path.display()
        )
    })
}

/// Beside the profile folder that this test was built into.
fn built_plugins() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.ancestors().nth(3).unwrap().join("release/plugins")
}

/// Limits that a test reaches quickly.
pub(crate) fn small_limits() -> Limits {
    Limits {
        fuel: 50_000_000,
        memory: 4 << 20,
        hostcall_bytes: 1 << 20,
        log_lines: 10,
        ..Limits::default()
    }
}

pub(crate) fn host(limits: Limits) -> Host {
    Host::new(HostOptions { cache_dir: None, limits }).unwrap()
}

/// A request that grants files below `root` and nothing else.
pub(crate) fn request<'a>(wasm: &'a [u8], root: &Path) -> LoadRequest<'a> {
    LoadRequest {
        instance: "local".to_owned(),
        wasm,
        sha256: None,
        grants: Grants { files: true, ..Grants::default() },
        config: json!({ "root": "site" }),
        auth: Value::Null,
        files_root: Some(root.to_owned()),
        http: None,
    }
}

/// Loads a guest under small limits, without files.
pub(crate) async fn load(wasm: &[u8]) -> Result<Plugin, LoadError> {
    load_with(wasm, small_limits()).await
}

/// Loads a guest, without files.
pub(crate) async fn load_with(wasm: &[u8], limits: Limits) -> Result<Plugin, LoadError> {
    let request = LoadRequest {
        instance: "hostile".to_owned(),
        grants: Grants::default(),
        files_root: None,
        ..request(wasm, Path::new(""))
    };
    host(limits).load(request).await
}

pub(crate) fn map(value: Value) -> Map {
    match value {
        Value::Object(map) => map,
        other => panic!("{other} is not an object"),
    }
}

pub(crate) fn document(value: Value) -> Document {
    Document::known(map(value))
}

pub(crate) fn subject(address: &str, desired: Value) -> Subject {
    Subject {
        address: address.parse().unwrap(),
        desired: Some(document(desired).into()),
        prior: None,
    }
}

pub(crate) fn change(verb: Verb, subject: Subject, observed: Option<Map>) -> Change {
    let desired = if verb == Verb::Delete { None } else { subject.desired.clone() };
    let observed = observed.map(Into::into);
    Change { subject, verb, observed, desired, paths: Vec::new(), undo: None }
}

pub(crate) fn step(change: Change) -> StepCall {
    let address: &Address = &change.subject.address;
    StepCall {
        id: StepId::new(address, change.verb),
        token: "0123456789abcdef0123456789abcdef".to_owned(),
        run_key: None,
        attempt: Attempt::First,
        change,
        planned: Document::default(),
        lineage: "test".to_owned(),
        timeout: Duration::from_secs(30),
    }
}

/// A guest whose functions are written in WebAssembly text. `parts` replaces the well-behaved
/// default of each function that it defines, by `$name`, and may define more; lines that are
/// imports come first, as WebAssembly wants it.
///
/// Its memory: the description at 0; at 64 an empty list; from 1024 on, what `parts` puts there.
pub(crate) fn guest(parts: &str) -> Vec<u8> {
    guest_for("0.1", parts)
}

/// A guest that says it was built for another contract.
pub(crate) fn guest_for(contract: &str, parts: &str) -> Vec<u8> {
    let (imports, parts): (Vec<&str>, Vec<&str>) =
        parts.lines().partition(|line| line.trim_start().starts_with("(import "));
    let (imports, parts) = (imports.join("\n"), parts.join("\n"));
    let default = |name: &str, signature: &str, body: &str| {
        if parts.contains(&format!("(func ${name} ")) {
            String::new()
        } else {
            format!("(func ${name} {signature} {body})\n")
        }
    };
    let many = "(param i32 i32) (result i32)";
    let one = "(param i32) (result i32)";
    let functions = [
        default("describe", "(result i32)", "i32.const 0"),
        default("validate", many, "i32.const 64"),
        default("observe", many, "i32.const 64"),
        default("assess", many, "i32.const 64"),
        default("probe", many, "i32.const 64"),
        default("apply", one, "unreachable"),
        default("poll", one, "unreachable"),
        // Room for what the host hands over: a bump allocator above 64 KiB.
        default(
            "realloc",
            "(param i32 i32 i32 i32) (result i32)",
            "(local $at i32)
             (local.set $at (i32.and (i32.add (global.get $free) (i32.const 7)) (i32.const -8)))
             (global.set $free (i32.add (local.get $at) (local.get 3)))
             (local.get $at)",
        ),
    ]
    .concat();
    let memory = if parts.contains("(memory ") { "" } else { "(memory (export \"memory\") 8)" };
    // The description: name, version, kinds (none), files (no), http (none).
    let text = format!(
        r#"(module
            (import "relctl:provider/host@0.1.0" "log" (func $log (param i32 i32 i32)))
            {imports}
            {memory}
            (global $free (mut i32) (i32.const 65536))
            (data (i32.const 0)
                "\00\01\00\00" "\07\00\00\00" "\08\01\00\00" "\03\00\00\00"
                "\00\00\00\00" "\00\00\00\00" "\00\00\00\00" "\00\00\00\00" "\00\00\00\00")
            (data (i32.const 256) "hostile")
            (data (i32.const 264) "0.1")
            {functions}
            {parts}
            (export "describe" (func $describe))
            (export "validate" (func $validate))
            (export "observe" (func $observe))
            (export "assess" (func $assess))
            (export "probe" (func $probe))
            (export "apply" (func $apply))
            (export "poll" (func $poll))
            (export "cabi_realloc" (func $realloc))
            (@custom "relctl:contract" "{contract}")
        )"#
    );
    component(&text)
}

/// Makes a component of a core module in text.
fn component(text: &str) -> Vec<u8> {
    let mut module = wat::parse_str(text).unwrap();
    let mut resolve = wit_parser::Resolve::default();
    let (package, _) = resolve.push_path(CONTRACT).unwrap();
    let world = resolve.select_world(&[package], Some("provider")).unwrap();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8, false).unwrap();
    ComponentEncoder::default().validate(true).module(&module).unwrap().encode().unwrap()
}
