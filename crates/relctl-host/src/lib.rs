//! Runs plugins: loads, pins, limits and calls WebAssembly components.
