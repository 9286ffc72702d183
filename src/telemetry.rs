//! Sets up the log: one line an occurrence, on standard error, readable alone and with fields for
//! machines. Field names carry their unit (`took_ms`). Command lines, credentials and sources of
//! documents are never logged.

use std::io::IsTerminal;

use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt;

/// Starts logging. Later calls change nothing.
pub fn start(verbosity: u8) {
    let level = match verbosity {
        0 => LevelFilter::WARN,
        1 => LevelFilter::INFO,
        _ => LevelFilter::DEBUG,
    };
    let started = fmt()
        .with_max_level(level)
        .with_target(false)
        .with_ansi(std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none())
        .with_writer(std::io::stderr)
        .try_init();
    // Only a test that runs two commands in one process gets here twice.
    drop(started);
}
