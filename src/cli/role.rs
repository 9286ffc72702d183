//! `picket role`: what a cluster has to allow Picket, ready to paste. Connects to nothing.

use std::io::Write;

use super::machine::to_json;
use super::{Exit, Failure, Output};
use crate::config::{CLUSTER_SOURCES, Config};
use crate::store::elastic::{Kind, Role};

/// What may be said after `picket role`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  picket role                       for Kibana's Dev Tools
  picket role --for opensearch 'winlogbeat-*' cmdlogs
  picket role --load 'case-*'       to judge those, and to load files into them
  picket role --provision           for who sets up templates, jobs and dashboards
  picket role -o json | curl -u elastic https://127.0.0.1:9200/_security/role/picket \\
      --json @-                     the body alone")]
pub struct Args {
    /// For which server.
    #[arg(long = "for", value_enum, default_value_t, value_name = "SERVER")]
    server: Server,
    /// Also what `picket load` needs: to make the indices that are not there.
    #[arg(long)]
    load: bool,
    /// The role that `picket provision` needs, for a person rather than a service.
    #[arg(long, conflicts_with = "load")]
    provision: bool,
    /// Patterns of the indices to judge; without them those of the configuration.
    #[arg(value_name = "PATTERN")]
    patterns: Vec<String>,
}

/// The kind of a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Server {
    /// Elasticsearch.
    #[default]
    Elasticsearch,
    /// OpenSearch.
    #[value(name = "opensearch")]
    OpenSearch,
}

impl From<Server> for Kind {
    fn from(server: Server) -> Self {
        match server {
            Server::Elasticsearch => Self::Elasticsearch,
            Server::OpenSearch => Self::OpenSearch,
        }
    }
}

/// Runs the command.
pub fn run(args: &Args, config: &Config, output: Output) -> Result<Exit, Failure> {
    let kind = Kind::from(args.server);
    let patterns = patterns(&args.patterns, config);
    let role = match (args.provision, args.load) {
        (true, _) => Role::provisioning(kind, &patterns),
        (_, true) => Role::new(kind, &patterns).loading(),
        _ => Role::new(kind, &patterns),
    };
    let mut out = anstream::stdout().lock();
    match output {
        Output::Table => {
            let body = serde_json::to_string_pretty(&role.body)
                .map_err(|error| Failure::outside(error.to_string()))?;
            writeln!(out, "{}\n{body}", role.request)?;
        }
        Output::Json | Output::Ndjson => writeln!(out, "{}", to_json(&role.body)?)?,
    }
    Ok(Exit::Done)
}

/// The patterns that are swept: those given, configured, or what is swept on a cluster by default.
pub(super) fn patterns(given: &[String], config: &Config) -> Vec<String> {
    let configured = || config.sources.iter().flat_map(|source| &source.index.0);
    let mut patterns: Vec<String> = match (given, &config.cluster) {
        ([], Some(_)) => configured().cloned().collect(),
        ([], None) if configured().all(|pattern| pattern == "*") => {
            CLUSTER_SOURCES.map(str::to_owned).to_vec()
        }
        ([], None) => configured().cloned().collect(),
        (given, _) => given.to_vec(),
    };
    let mut known = std::collections::HashSet::new();
    patterns.retain(|pattern| known.insert(pattern.clone()));
    patterns
}
