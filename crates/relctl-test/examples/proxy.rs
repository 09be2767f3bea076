//! The proxy as a program, for what is no test: `proxy ENDPOINT DELAY_MS`.
//!
//! Prints its URL. For each line that it reads, it prints what was called since, as JSON, and
//! forgets it. Ends with its input.
#![expect(clippy::print_stdout, reason = "this program talks to another")]

use std::collections::BTreeMap;
use std::error::Error;
use std::io::BufRead as _;
use std::time::Duration;

use relctl_test::proxy::{ProxyRules, rounds};
use serde_json::json;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let endpoint = arguments.next().ok_or("which endpoint?")?;
    let delay = arguments.next().ok_or("how long a delay, in milliseconds?")?.parse()?;
    let proxy = ProxyRules::default().delay(Duration::from_millis(delay)).before(&endpoint)?;
    println!("{}", proxy.url());
    for line in std::io::stdin().lock().lines() {
        line?;
        let calls = proxy.calls();
        proxy.clear();
        let mut operations: BTreeMap<&str, usize> = BTreeMap::new();
        for call in &calls {
            *operations.entry(&call.operation).or_default() += 1;
        }
        println!(
            "{}",
            json!({ "calls": calls.len(), "rounds": rounds(&calls), "operations": operations })
        );
    }
    Ok(())
}
