//! The configuration, resolved and checked: the only place for defaults. `picket.yml` is optional;
//! every problem in it is named at once, with its line. Opens nothing but that file.

mod reader;

use std::path::{Path, PathBuf};

use crate::alert::AlertLevels;
use crate::problem::Problem;
use crate::schedule::Schedule;
use crate::store::Sources;

/// Where `picket.yml` is looked for.
pub const FILE: &str = "picket.yml";

/// What Picket works with.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file that it was read from, if there is one.
    pub file: Option<PathBuf>,
    /// Folder of the embedded store.
    pub data: PathBuf,
    /// What to sweep.
    pub sources: Vec<Source>,
    /// When to sweep it.
    pub sweeps: Vec<SweepConfig>,
    /// Folders and files of Sigma rules; empty: the built-in ones.
    pub rules: Vec<PathBuf>,
    /// The blacklist; `None`: the built-in one.
    pub blacklist: Option<PathBuf>,
    /// Folder of the modules; `None`: the built-in ones.
    pub modules: Option<PathBuf>,
    /// Which `AlertLevel` a rule's level gives.
    pub alert_levels: AlertLevels,
}

/// Some indices under a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The name that sweeps call it by.
    pub name: String,
    /// Index patterns.
    pub index: Sources,
}

/// One sweep.
#[derive(Clone, Debug)]
pub struct SweepConfig {
    /// Its checkpoint is kept under this name.
    pub name: String,
    /// When it runs under `picket run`.
    pub schedule: Schedule,
    /// Everything that it sweeps.
    pub sources: Sources,
}

impl Default for Config {
    fn default() -> Self {
        let every_quarter = "0 */15 * * * *".parse::<Schedule>();
        Self {
            file: None,
            data: PathBuf::from("picket-data"),
            sources: vec![Source {
                name: "all".into(),
                index: Sources::all(),
            }],
            sweeps: every_quarter
                .map(|schedule| SweepConfig {
                    name: "default".into(),
                    schedule,
                    sources: Sources::all(),
                })
                .into_iter()
                .collect(),
            rules: Vec::new(),
            blacklist: None,
            modules: None,
            alert_levels: AlertLevels::default(),
        }
    }
}

impl Config {
    /// Reads that file, or `./picket.yml` if there is one, or takes the defaults. The problems say
    /// what in the file cannot be used; the rest of it holds.
    ///
    /// # Errors
    /// The file that was asked for cannot be read.
    pub fn find(file: Option<&Path>) -> Result<(Self, Vec<Problem>), Problem> {
        let path = match file {
            Some(path) => path,
            None if Path::new(FILE).is_file() => Path::new(FILE),
            None => return Ok((Self::default(), Vec::new())),
        };
        let text = std::fs::read_to_string(path)
            .map_err(|error| Problem::new(path, format!("cannot be read: {error}")))?;
        Ok(Self::read(&text, path))
    }

    /// Reads the text of a configuration file. Paths in it are relative to the file's folder.
    pub fn read(text: &str, path: &Path) -> (Self, Vec<Problem>) {
        reader::read(text, path)
    }
}
