//! A [`Problem`] is what every load and check returns beside its result: one bad rule, line or
//! module is named with file, line and what to do, and stops nothing else. Never printed here.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Something of the user's that could not be used, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The file (or the name of what is bundled) that it stands in.
    pub path: PathBuf,
    /// The line, counted from 1; `None` where the whole file is meant.
    pub line: Option<usize>,
    /// What is wrong: a lowercase fragment without a full stop.
    pub message: String,
    /// What to do about it, if that is known: a lowercase fragment without a full stop.
    pub help: Option<String>,
}

impl Problem {
    /// A problem with the whole of `path`.
    pub fn new(path: impl AsRef<Path>, message: impl Into<String>) -> Self {
        Self {
            path: path.as_ref().to_path_buf(),
            line: None,
            message: message.into(),
            help: None,
        }
    }

    /// The same, at that line (counted from 1).
    #[must_use]
    pub fn at(mut self, line: usize) -> Self {
        self.line = Some(line);
        self
    }

    /// The same, with what to do about it.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl fmt::Display for Problem {
    /// `path:line: message; help`. Not sanitised: a terminal gets it through `cli::text`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.path.display())?;
        if let Some(line) = self.line {
            write!(f, "{line}:")?;
        }
        write!(f, " {}", self.message)?;
        if let Some(help) = &self.help {
            write!(f, "; {help}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_where_what_and_what_to_do() {
        let problem = Problem::new("rules/a.yml", "unknown modifier `foo`")
            .at(7)
            .help("did you mean `re`?");
        assert_eq!(
            problem.to_string(),
            "rules/a.yml:7: unknown modifier `foo`; did you mean `re`?"
        );
    }
}
