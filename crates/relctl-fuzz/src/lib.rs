//! What relctl reads with suspicion, as functions of bytes.
//!
//! Each target takes any bytes at all. It must neither panic nor take unbounded memory or time;
//! where it accepts something, it checks a law about it. `tests/bounded.rs` runs all of them for a
//! while, with the mutations of [`mutate`], on any toolchain; `fuzz/` holds the same targets for
//! [cargo-fuzz](https://rust-fuzz.github.io/book/cargo-fuzz.html):
//!
//! ```sh
//! cargo test -p relctl-fuzz                                          # bounded
//! RELCTL_TEST_FUZZ=100000 cargo test --release -p relctl-fuzz        # longer
//! cd crates/relctl-fuzz && cargo +nightly fuzz run release_file      # guided, until stopped
//! ```

#![expect(
    clippy::panic,
    clippy::expect_used,
    reason = "a target that finds a law broken says so with a panic"
)]

mod guest;
mod ledger;
mod mutate;
mod plan;
mod release;
mod wire;

pub use guest::guest;
pub use ledger::{journal, ledger_object};
pub use mutate::mutate;
pub use plan::plan_file;
pub use release::release_file;
pub use wire::wire;

/// A function of any bytes; it says whether they were accepted.
pub type Target = fn(&[u8]) -> bool;

/// Every target by its name, which is also the name of its folder in `corpus/`.
pub const TARGETS: [(&str, Target); 6] = [
    ("release_file", release_file),
    ("plan_file", plan_file),
    ("ledger_object", ledger_object),
    ("journal", journal),
    ("wire", wire),
    ("guest", guest),
];

/// A runtime for targets that wait.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime can be made")
        .block_on(future)
}
