//! The program; only this file ends the process.

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// Threads hand documents and findings to one another, which the systems' own allocators are slow at.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    picket::cli::main().into()
}
