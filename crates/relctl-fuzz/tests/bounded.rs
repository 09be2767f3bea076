//! Every target for a while, from the corpus and what the repository has, with seeded mutations.
//!
//! `RELCTL_TEST_FUZZ` is how many inputs each target gets (default 2,000); `RELCTL_TEST_SEED` is
//! the first seed. What broke is written to `target/tmp/` and named in the message.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "tests may panic and print, their helpers too"
)]

#[path = "../../relctl-host/tests/support/mod.rs"]
mod support;

use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use relctl_fuzz::{TARGETS, mutate};

/// The most memory that a run of all targets may have taken.
const MEMORY: u64 = 1 << 30;

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// What the target accepts, and what else it is known to be interested in.
fn seeds(target: &str) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut accepted = read_all(&crate_folder.join("corpus").join(target));
    let mut others = Vec::new();
    match target {
        "release_file" => others = read_all(&crate_folder.join("../../examples")),
        "guest" => {
            accepted.push(support::guest(""));
            others.push(support::guest("(func $describe (result i32) unreachable)"));
            others.push(support::guest_for("9.9", ""));
        }
        _ => {}
    }
    assert!(!accepted.is_empty(), "`corpus/{target}` is empty");
    (accepted, others)
}

fn read_all(folder: &Path) -> Vec<Vec<u8>> {
    let mut files = Vec::new();
    walk(folder, &mut files);
    files.sort();
    files.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, files);
        } else {
            files.push(path);
        }
    }
}

/// Runs one target; the number of inputs.
fn run(name: &str) -> u64 {
    let (_, target) = TARGETS.iter().find(|(other, _)| *other == name).unwrap();
    let (good, others) = seeds(name);
    // Compiling what a guest's bytes have become takes longer than reading text.
    let rounds = number("RELCTL_TEST_FUZZ", 2_000) / if name == "guest" { 4 } else { 1 };
    let first_seed = number("RELCTL_TEST_SEED", 1);
    let attempt = |input: &[u8], what: &str| {
        catch_unwind(|| target(input)).unwrap_or_else(|_| {
            let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("broke-{name}"));
            std::fs::write(&file, input).unwrap();
            panic!("`{name}` broke on {what}, which is now in `{}`", file.display());
        })
    };
    for (index, seed) in good.iter().enumerate() {
        assert!(attempt(seed, &format!("seed file {index}")), "seed file {index} is not accepted");
    }
    for seed in &others {
        attempt(seed, "a seed of another kind");
    }
    let seeds = [good, others].concat();
    let mut accepted = 0;
    for round in 0..rounds {
        let mut rng = fastrand::Rng::with_seed(first_seed + round);
        let seed = &seeds[rng.usize(0..seeds.len())];
        let other = &seeds[rng.usize(0..seeds.len())];
        let input = mutate(&mut rng, seed, other);
        accepted += u64::from(attempt(&input, &format!("seed {}", first_seed + round)));
    }
    let inputs = rounds + seeds.len() as u64;
    println!(
        "`{name}` took {inputs} inputs, the first seed {first_seed}, and accepted {accepted}; peak \
         memory {} MiB",
        peak() >> 20
    );
    assert!(peak() < MEMORY, "{} bytes of memory", peak());
    inputs
}

/// The most memory that this process has ever had, in bytes; 0 where the system does not say.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kilobytes.unwrap_or(0) << 10
}

#[test]
fn release_file() {
    run("release_file");
}

#[test]
fn plan_file() {
    run("plan_file");
}

#[test]
fn ledger_object() {
    run("ledger_object");
}

#[test]
fn journal() {
    run("journal");
}

#[test]
fn wire() {
    run("wire");
}

#[test]
fn guest() {
    run("guest");
}

/// Each has a corpus, a test here, and an entry for cargo-fuzz.
#[test]
fn no_target_is_forgotten() {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest = std::fs::read_to_string(crate_folder.join("fuzz/Cargo.toml")).unwrap();
    let tests = include_str!("bounded.rs");
    for (name, _) in TARGETS {
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")), "{name}");
        let text =
            std::fs::read_to_string(crate_folder.join(format!("fuzz/fuzz_targets/{name}.rs")));
        assert!(text.unwrap().contains(&format!("relctl_fuzz::{name}(data)")), "{name}");
        assert!(tests.contains(&format!("run(\"{name}\")")), "{name}");
    }
}
