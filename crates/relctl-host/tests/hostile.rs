//! Hostile guests: each is contained, and named in one sentence.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "all of it is tests, also the functions that the tests share"
)]

mod support;

use std::time::Duration;

use relctl_engine::Provider as _;
use relctl_host::{Limits, LoadFault};
use relctl_plan::{Failure, Verb};
use serde_json::json;
use support::{
    change, guest, guest_for, host, load, load_with, request, small_limits, step, subject,
};

/// What `observe` of one subject comes to.
async fn observe(wasm: &[u8], limits: Limits) -> String {
    let plugin = load_with(wasm, limits).await.unwrap();
    let subjects = vec![subject("resource.local_value.x", json!({}))];
    plugin.observe(subjects).await.unwrap_err().to_string()
}

/// What `apply` comes to.
async fn apply(wasm: &[u8], time: Duration) -> Failure {
    let plugin = load_with(wasm, Limits { fuel: u64::MAX, ..small_limits() }).await.unwrap();
    let change = change(Verb::Create, subject("resource.local_value.x", json!({})), None);
    let mut step = step(change);
    step.timeout = time;
    plugin.apply(&step).await.unwrap_err()
}

async fn load_error(wasm: &[u8]) -> LoadFault {
    *load(wasm).await.unwrap_err().fault
}

#[tokio::test(flavor = "multi_thread")]
async fn a_well_behaved_guest_is_loaded() {
    let plugin = load(&guest("")).await.unwrap();
    assert_eq!(plugin.description().name, "hostile");
    assert_eq!(plugin.pin().contract, "0.1");
    assert!(plugin.observe(Vec::new()).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endless_loop_ends_with_its_fuel() {
    let wasm =
        guest("(func $observe (param i32 i32) (result i32) (loop $on (br $on)) i32.const 0)");
    assert_eq!(
        observe(&wasm, small_limits()).await,
        "plugin `hostile` used its whole CPU budget in `observe`"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loop_with_fuel_ends_with_its_time() {
    let wasm =
        guest("(func $observe (param i32 i32) (result i32) (loop $on (br $on)) i32.const 0)");
    let limits =
        Limits { fuel: u64::MAX, planning_time: Duration::from_millis(200), ..small_limits() };
    assert_eq!(
        observe(&wasm, limits).await,
        "plugin `hostile` took longer than 0.2 s in `observe`"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_memory_bomb_is_refused() {
    let wasm = guest(
        "(func $observe (param i32 i32) (result i32)
            (loop $on (drop (memory.grow (i32.const 16))) (br $on))
            i32.const 64)",
    );
    assert_eq!(
        observe(&wasm, small_limits()).await,
        "plugin `hostile` needed more than 4 MiB of memory in `observe`"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_memory_that_starts_too_large_is_refused() {
    let wasm = guest("(memory (export \"memory\") 1024)");
    let LoadFault::Describe(fault) = load_error(&wasm).await else { panic!("was described") };
    assert_eq!(fault.to_string(), "needed more than 4 MiB of memory in `describe`");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_string_of_a_gibibyte_is_not_taken() {
    let wasm = guest(
        "(memory (export \"memory\") 16400)
         (func $observe (param i32 i32) (result i32)
            (call $log (i32.const 1) (i32.const 0) (i32.const 0x40000000))
            i32.const 64)",
    );
    let limits = Limits { memory: 2 << 30, ..small_limits() };
    assert_eq!(
        observe(&wasm, limits).await,
        "plugin `hostile` handed over more than 1 MiB at once in `observe`"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_points_out_of_memory_breaks_the_contract() {
    let wasm = guest("(func $observe (param i32 i32) (result i32) i32.const 0x7ffffffc)");
    let message = observe(&wasm, small_limits()).await;
    assert!(message.starts_with("plugin `hostile` broke the contract ("), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stack_without_end_is_contained() {
    let wasm = guest(
        "(func $observe (param i32 i32) (result i32)
            (call $observe (local.get 0) (local.get 1)))",
    );
    assert_eq!(
        observe(&wasm, small_limits()).await,
        "plugin `hostile` used its whole stack in `observe`"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_is_told_with_its_last_words() {
    let wasm = guest(
        "(data (i32.const 1024) \"index out of range\")
         (func $observe (param i32 i32) (result i32)
            (call $log (i32.const 3) (i32.const 1024) (i32.const 18))
            unreachable)",
    );
    let message = observe(&wasm, small_limits()).await;
    assert!(message.contains("the last error that it logged: index out of range"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_flood_ends_with_the_fuel_and_keeps_few_lines() {
    let wasm = guest(
        "(func $observe (param i32 i32) (result i32)
            (loop $on (call $log (i32.const 0) (i32.const 256) (i32.const 7)) (br $on))
            i32.const 64)",
    );
    let limits = Limits { fuel: 1_000_000, ..small_limits() };
    assert_eq!(
        observe(&wasm, limits).await,
        "plugin `hostile` used its whole CPU budget in `observe`"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_number_of_answers_is_told() {
    assert_eq!(
        observe(&guest(""), small_limits()).await,
        "plugin `hostile` answered 0 results to 1 subjects in `observe`; this is the plugin's \
         mistake"
    );
}

/// A guest that observes this document for the one subject that it is asked about.
fn observes(json: &str, unknown: &str) -> Vec<u8> {
    let length = |text: &str| format!("\\{:02x}\\00\\00\\00", text.len());
    let escaped = json.replace('"', "\\22");
    let (unknowns, count) = if unknown.is_empty() { ("", 0) } else { (unknown, 1) };
    guest(&format!(
        // At 1024 the list of one answer, at 1032 the answer: ok, some, text, unknown pointers. At
        // 1072 the pointer list's one entry.
        r#"(data (i32.const 1024) "\08\04\00\00" "\01\00\00\00")
           (data (i32.const 1032)
             "\00\00\00\00" "\01\00\00\00" "\00\05\00\00" "{}" "\30\04\00\00" "\0{count}\00\00\00")
           (data (i32.const 1072) "\00\06\00\00" "{}")
           (data (i32.const 1280) "{escaped}")
           (data (i32.const 1536) "{unknowns}")
           (func $observe (param i32 i32) (result i32) i32.const 1024)"#,
        length(json),
        length(unknowns),
    ))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_well_formed_answer_is_taken() {
    let plugin = load(&observes("{\"a\": 1}", "")).await.unwrap();
    let subjects = vec![subject("resource.local_value.x", json!({}))];
    let seen = plugin.observe(subjects).await.unwrap();
    assert_eq!(seen, [Ok(Some(support::map(json!({"a": 1})).into()))]);
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_answers_are_told() {
    for (json, unknown, detail) in [
        ("{\"a\": ", "", "a document that is not a JSON object"),
        ("[1]", "", "a document that is not a JSON object"),
        ("{\"a\": 9007199254740993}", "", "the integer 9007199254740993, beyond 2^53 - 1"),
        ("{\"a\": 1}", "a", "`a`, which is no JSON pointer"),
        ("{\"a\": 1}", "/a", "`/a` is called unknown and has a value"),
        ("{\"a\": null}", "/a", "`a` is unknown where everything is known"),
    ] {
        let message = observe(&observes(json, unknown), small_limits()).await;
        assert!(
            message.starts_with(
                "plugin `hostile` answered in `observe` with what is not in the contract"
            ),
            "{message}"
        );
        assert!(message.contains(detail), "{message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trap_while_applying_is_unknown() {
    let failure = apply(&guest(""), Duration::from_secs(30)).await;
    let Failure::Unknown(message) = failure else { panic!("{failure:?}") };
    assert!(message.starts_with("plugin `hostile` trapped ("), "{message}");
    assert!(message.ends_with("in `apply`"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timeout_while_applying_is_unknown() {
    let wasm = guest("(func $apply (param i32) (result i32) (loop $on (br $on)) i32.const 0)");
    let failure = apply(&wasm, Duration::from_millis(200)).await;
    let message = "plugin `hostile` took longer than 0.2 s in `apply`";
    assert_eq!(failure, Failure::Unknown(message.to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_trapped_serves_the_next_call() {
    let wasm = guest("(func $probe (param i32 i32) (result i32) unreachable)");
    let plugin = load(&wasm).await.unwrap();
    let subjects = || vec![subject("check.local_match.x", json!({}))];
    for _ in 0..2 {
        assert!(plugin.probe(subjects()).await.unwrap_err().to_string().contains("trapped"));
    }
    assert!(plugin.observe(subjects()).await.unwrap_err().to_string().contains("0 results"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_a_component_is_refused() {
    for bytes in [&b""[..], b"\0asm", b"not wasm at all", b"\0asm\x01\0\0\0", &[0xff; 64]] {
        let fault = load_error(bytes).await;
        assert!(matches!(fault, LoadFault::Parse(_) | LoadFault::NoComponent), "{fault:?}");
    }
    let mut cut = guest("");
    cut.truncate(cut.len() / 2);
    assert!(matches!(load_error(&cut).await, LoadFault::Parse(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn valid_framing_with_invalid_code_does_not_compile() {
    let mut wasm = guest("(func $observe (param i32 i32) (result i32) i32.const 77)");
    let at = wasm.windows(3).position(|bytes| *bytes == [0x41, 0xcd, 0x00]).unwrap();
    // `i32.const 77` becomes `f32.const`, whose operand is then cut off.
    wasm[at] = 0x43;
    assert!(matches!(load_error(&wasm).await, LoadFault::Compile(_) | LoadFault::Parse(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_contract_version_is_asked_for_first() {
    let fault = load_error(&guest_for("9.0", "")).await;
    assert!(matches!(&fault, LoadFault::Contract { found } if found == "9.0"), "{fault:?}");
    let silent = wat::parse_str("(component)").unwrap();
    assert!(matches!(load_error(&silent).await, LoadFault::NoContract));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_outside_the_contract_is_refused() {
    for import in
        ["wasi:cli/environment@0.2.0", "relctl:provider/shell@0.1.0", "relctl:provider/host@0.2.0"]
    {
        let text = format!(
            "(component (import \"{import}\" (instance)) (@custom \"relctl:contract\" \"0.1\"))"
        );
        let fault = load_error(&wat::parse_str(text).unwrap()).await;
        assert!(matches!(&fault, LoadFault::Import { import: found } if found == import));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_export_is_refused() {
    let text = "(component (@custom \"relctl:contract\" \"0.1\"))";
    let fault = load_error(&wat::parse_str(text).unwrap()).await;
    assert!(matches!(fault, LoadFault::Exports(_)), "{fault:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_capability_that_was_not_granted_is_refused() {
    let wasm = guest(
        "(import \"relctl:provider/http@0.1.0\" \"read\" (func $send (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)))",
    );
    let fault = load_error(&wasm).await;
    assert!(matches!(&fault, LoadFault::Capability(beyond) if beyond == &["http"]), "{fault:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_while_planning_is_denied() {
    // The result of the write is laid out as the answer that `observe` and `assess` give, so the
    // guest hands it over as it is: a list of one answer at 1024, the answer at 1032.
    let wasm = guest(
        "(import \"relctl:provider/files@0.1.0\" \"write-atomic\" (func $write (param i32 i32 i32 i32 i32 i32)))
         (data (i32.const 1024) \"\\08\\04\\00\\00\" \"\\01\\00\\00\\00\")
         (func $attempt (result i32)
            (call $write (i32.const 256) (i32.const 7) (i32.const 256) (i32.const 7)
                (i32.const 420) (i32.const 1032))
            i32.const 1024)
         (func $observe (param i32 i32) (result i32) call $attempt)
         (func $assess (param i32 i32) (result i32) call $attempt)",
    );
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    let plugin = host(small_limits()).load(request(&wasm, &root)).await.unwrap();
    let subject = subject("resource.local_file.x", json!({}));
    let observed = plugin.observe(vec![subject.clone()]).await.unwrap();
    let message = "writing `hostile` is not allowed while planning";
    assert_eq!(observed, [Err(Failure::Denied(message.to_owned()))]);
    let assessed = plugin.assess(vec![change(Verb::Create, subject, None)]).await.unwrap();
    let message = "writing `hostile` is not allowed while the plugin only computes";
    assert_eq!(assessed, [Err(Failure::Denied(message.to_owned()))]);
    assert!(!root.exists());
}
