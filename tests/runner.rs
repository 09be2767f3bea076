//! Runs the built `relctl` with the built plugins, as a person would, and compares everything it
//! says: stdout, stderr and the exit code together, in inline snapshots.
//!
//! One binary with a module for each subject. `cargo xtask test` builds what it needs.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::needless_pass_by_value,
    clippy::format_collect,
    reason = "all of it is tests, also the functions that the tests share"
)]

mod aws_calls;
mod aws_creation;
mod aws_database;
mod aws_deaths;
mod aws_endpoints;
mod aws_import;
mod aws_logs;
mod aws_migration;
mod aws_permissions;
mod aws_revert;
mod aws_rollout;
mod aws_snapshot;
mod aws_story;
mod bucket;
mod checks;
mod cycle;
mod death;
mod deaths;
mod documents;
mod encryption;
mod environment;
mod examples;
mod faults;
mod healthflow;
mod help;
mod history;
mod holders;
mod importing;
mod initialising;
mod interruption;
mod kill;
mod laws;
mod mistakes;
mod moto;
mod production;
mod programs;
mod real;
mod refusals;
mod remote;
mod requirements;
mod resolving;
mod secrets;
mod shared;
mod site;
mod unsaved;

/// Every file in this folder is a module of the runner: a forgotten one would never run.
#[test]
fn no_file_is_forgotten() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let runner = std::fs::read_to_string(folder.join("runner.rs")).unwrap();
    let mut forgotten = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if let Some(module) = name.strip_suffix(".rs")
            && module != "runner"
            && !runner.contains(&format!("\nmod {module};\n"))
        {
            forgotten.push(name);
        }
    }
    assert_eq!(forgotten, Vec::<String>::new(), "add `mod …;` to tests/runner.rs");
}
