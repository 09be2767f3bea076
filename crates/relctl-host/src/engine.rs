//! The one wasmtime engine of a host, and its clock.

use std::time::Duration;

use wasmtime::{Config, Engine};

/// How often a guest that computes lets others run, and can be stopped.
const TICK: Duration = Duration::from_millis(10);

/// An engine for plugins: fuel for their CPU, epochs so that a wall clock can stop them, nothing of
/// WebAssembly that they do not need. Memory is allocated on demand: relctl is a command line tool,
/// not a server.
pub(crate) fn new() -> wasmtime::Result<Engine> {
    let mut config = Config::new();
    config
        .consume_fuel(true)
        .epoch_interruption(true)
        .concurrency_support(false)
        .cranelift_nan_canonicalization(true)
        .wasm_relaxed_simd(false);
    Engine::new(&config)
}

/// Makes the engine's epochs pass, for as long as it exists.
pub(crate) fn start_clock(engine: &Engine) {
    let engine = engine.weak();
    std::thread::spawn(move || {
        while let Some(engine) = engine.upgrade() {
            engine.increment_epoch();
            drop(engine);
            std::thread::sleep(TICK);
        }
    });
}
