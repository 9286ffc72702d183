//! The WASM host.
