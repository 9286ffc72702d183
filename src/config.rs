//! The configuration, resolved and checked: the only place for defaults. `picket.yml` is optional;
//! every problem in it is named at once, with its line. Opens nothing but that file.

mod reader;

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::alert::AlertLevels;
use crate::problem::Problem;
use crate::rule::Placeholders;
use crate::schedule::Schedule;
use crate::store::{Begin, Sources};
use crate::sweep::Anomalies;

/// Where `picket.yml` is looked for.
pub const FILE: &str = "picket.yml";

/// What Picket works with.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file that it was read from, if there is one.
    pub file: Option<PathBuf>,
    /// Folder of the embedded store.
    pub data: PathBuf,
    /// The cluster that takes the embedded store's place, if one is named.
    pub cluster: Option<Cluster>,
    /// The Kibana or OpenSearch Dashboards that shows it, if one is named.
    pub kibana: Option<Kibana>,
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
    /// What `%name%` stands for in rules with the modifier `expand`.
    pub placeholders: Placeholders,
    /// Which results of anomaly jobs are folded in, on a cluster.
    pub anomalies: Anomalies,
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
    /// Where a sweep begins that has never read them.
    pub from: Begin,
}

/// An Elasticsearch or OpenSearch cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// Addresses of its nodes.
    pub urls: Vec<String>,
    /// The API key.
    pub api_key: Option<Secret>,
    /// The user, and below the password.
    pub username: Option<String>,
    /// The user's password.
    pub password: Option<Secret>,
    /// PEM file of the certificate authority to trust.
    pub ca: Option<PathBuf>,
    /// SHA-256 of the certificate authority to trust.
    pub fingerprint: Option<String>,
    /// Whether what goes over the network is compressed.
    pub gzip: bool,
    /// How long a request may take.
    pub timeout: Duration,
    /// How long a shard stays with a process that says nothing, before others go on with it.
    pub lease: Duration,
}

impl Default for Cluster {
    fn default() -> Self {
        Self {
            urls: Vec::new(),
            api_key: None,
            username: None,
            password: None,
            ca: None,
            fingerprint: None,
            gzip: false,
            timeout: Duration::from_secs(60),
            lease: Duration::from_secs(60),
        }
    }
}

/// Kibana, or OpenSearch Dashboards.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kibana {
    /// How it is reached; who names no login there has that of the cluster.
    pub connection: Cluster,
    /// The space to set up; without it the default one.
    pub space: Option<String>,
}

/// Where a secret is kept. Never the secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Secret {
    /// In that file.
    File(PathBuf),
    /// In that environment variable.
    Env(String),
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
    /// Where to begin with each of it.
    pub begin: Vec<(Sources, Begin)>,
}

impl Default for Config {
    fn default() -> Self {
        let every_quarter = "0 */15 * * * *".parse::<Schedule>();
        Self {
            file: None,
            data: PathBuf::from("picket-data"),
            cluster: None,
            kibana: None,
            sources: vec![Source {
                name: "all".into(),
                index: Sources::all(),
                from: Begin::default(),
            }],
            sweeps: every_quarter
                .map(|schedule| SweepConfig {
                    name: "default".into(),
                    schedule,
                    sources: Sources::all(),
                    begin: Vec::new(),
                })
                .into_iter()
                .collect(),
            rules: Vec::new(),
            blacklist: None,
            modules: None,
            placeholders: Placeholders::default(),
            anomalies: Anomalies::default(),
            alert_levels: AlertLevels::default(),
        }
    }
}

/// What is swept on a cluster unless the configuration says otherwise: the indices that Winlogbeat,
/// Elastic Agent, Logstash, the cmd.exe logger and `picket load` write.
pub const CLUSTER_SOURCES: [&str; 7] = [
    "winlogbeat-*",
    "logs-windows.*",
    "logs-system.*",
    "logs-winlog.*",
    "logstash-*",
    "cmdlogs*",
    "events",
];

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

    /// Reads more placeholders from files: a map of names and values each, as below `placeholders`.
    /// The problems say what in them cannot be used.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn more_placeholders(&mut self, files: &[PathBuf]) -> Result<Vec<Problem>, Problem> {
        let mut problems = Vec::new();
        for path in files {
            let text = std::fs::read_to_string(path)
                .map_err(|error| Problem::new(path, format!("cannot be read: {error}")))?;
            problems.extend(reader::placeholders(&text, path, &mut self.placeholders));
        }
        Ok(problems)
    }

    /// What is folded in: on the embedded store there are no jobs.
    pub fn folded(&self) -> Option<Anomalies> {
        self.cluster.as_ref().map(|_| self.anomalies.clone())
    }

    /// Reads the text of a configuration file. Paths in it are relative to the file's folder.
    pub fn read(text: &str, path: &Path) -> (Self, Vec<Problem>) {
        reader::read(text, path)
    }
}

/// A span of time such as `90s`, `15m`, `12h` or `7d`.
pub fn span(text: &str) -> Option<Duration> {
    let number = text.trim_end_matches(char::is_alphabetic);
    let seconds = match text.get(number.len()..)? {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    number
        .parse::<u64>()
        .ok()?
        .checked_mul(seconds)
        .map(Duration::from_secs)
}
