//! Builds, tests and measures relctl.
fn main() {}
