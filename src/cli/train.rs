//! `picket train`.
use super::*;
/// x
#[derive(Debug, clap::Args)]
pub struct Args {}
/// x
pub fn run(_args: &Args, _output: Output) -> Result<Exit, Failure> {
    Ok(Exit::Done)
}
