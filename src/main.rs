//! The command line; only this file ends the process.

fn main() {}
