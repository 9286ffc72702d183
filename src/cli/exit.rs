//! Exit codes, and the one sentence that goes with a failure.

use std::fmt;
use std::process::ExitCode;

use crate::problem::Problem;
use crate::store::{StoreError, StoreErrorKind};
use crate::sweep::SweepError;

/// How the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0: done.
    Done,
    /// 1: there are findings, and `--exit-code` asked to be told.
    Findings,
    /// 2: the user's input.
    Input,
    /// 3: the outside world.
    Outside,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command could not do its work.
#[derive(Debug)]
pub struct Failure {
    /// How the process ends.
    pub exit: Exit,
    /// What happened and what to do: a lowercase sentence without a full stop. Empty: nobody
    /// listens.
    pub message: String,
}

impl Failure {
    /// The user's input is at fault.
    pub fn input(message: impl Into<String>) -> Self {
        Self {
            exit: Exit::Input,
            message: message.into(),
        }
    }

    /// The outside world is at fault.
    pub fn outside(message: impl Into<String>) -> Self {
        Self {
            exit: Exit::Outside,
            message: message.into(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error.kind {
            StoreErrorKind::BadRequest => Self::input(error.message),
            _ => Self::outside(error.message),
        }
    }
}

impl From<SweepError> for Failure {
    fn from(error: SweepError) -> Self {
        match error {
            SweepError::Store(mut error) => {
                if error.kind == StoreErrorKind::Unavailable {
                    error.message +=
                        "\n       what was judged is kept; the next sweep goes on there";
                }
                error.into()
            }
            SweepError::Broken(_) => Self::outside(error.to_string()),
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        // `picket status | head` has seen enough.
        match error.kind() {
            std::io::ErrorKind::BrokenPipe => Self::outside(String::new()),
            _ => Self::outside(error.to_string()),
        }
    }
}

/// Fails with all of the problems at once, if there are any.
pub fn refuse(problems: &[Problem]) -> Result<(), Failure> {
    if problems.is_empty() {
        return Ok(());
    }
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    Err(Failure::input(lines.join("\n       ")))
}
