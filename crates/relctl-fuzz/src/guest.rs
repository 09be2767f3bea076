//! Plugins.

use std::sync::LazyLock;

use relctl_host::{Host, HostOptions, Limits};

use crate::block_on;

/// Loads a plugin and asks it to describe itself, as `relctl init` does.
pub fn guest(data: &[u8]) -> bool {
    static HOST: LazyLock<Host> = LazyLock::new(|| {
        let limits = Limits {
            fuel: 50_000_000,
            memory: 4 << 20,
            hostcall_bytes: 1 << 20,
            log_lines: 10,
            ..Limits::default()
        };
        Host::new(HostOptions { cache_dir: None, limits }).expect("this machine runs WebAssembly")
    });
    match block_on(HOST.inspect("fuzzed", data)) {
        Ok(inspection) => {
            let known = ["files", "host", "http", "types"];
            for import in &inspection.imports {
                assert!(known.contains(&import.as_str()), "it may import `{import}`");
            }
            true
        }
        Err(error) => {
            assert!(error.to_string().contains("fuzzed"), "the error does not name the plugin");
            false
        }
    }
}
