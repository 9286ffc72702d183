//! Picket judges the Windows events and the cmd.exe history that stand in Elasticsearch,
//! OpenSearch or its own embedded store, with Sigma rules, a regex blacklist and sandboxed WASM
//! modules, and writes `AlertLevel` on each document that deserves one.
//!
//! A file uses only the groups above its own (`tests/tidy.rs` checks it):
//!
//! | group | files |
//! |---|---|
//! | words | `alert`, `document`, `finding`, `hex`, `problem` |
//! | modules | `module`: the WASM host |
//! | detection | `taxonomy`, `rule`, `detect` |
//! | data | `store`, `input` |
//! | work | `sweep`, `schedule`, `provision` |
//! | edges | `config`, `telemetry`, `cli` |

pub mod alert;
pub mod document;
pub mod finding;
pub mod hex;
pub mod problem;

pub mod module;

pub mod detect;
pub mod rule;
pub mod taxonomy;
pub mod train;

pub mod input;
pub mod store;

pub mod provision;
pub mod schedule;
pub mod sweep;

pub mod cli;
pub mod config;
pub mod telemetry;
