//! Plans, applies and reverts releases.
fn main() {}
