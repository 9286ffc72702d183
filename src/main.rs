//! The program; only this file ends the process.

use std::process::ExitCode;

fn main() -> ExitCode {
    picket::cli::main().into()
}
