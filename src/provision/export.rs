//! Everything as files, for who would rather import it by hand. Asks no server.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::cluster::{self, Offered};
use super::indices;
use super::jobs;
use super::kibana::{self, Shape, Target};
use super::ml::{self, Span};
use super::plan::{Kind, Piece};
use crate::problem::Problem;
use crate::store::elastic::Kind as ServerKind;

/// Writes the files into that folder, which is made if it is not there; which files they are.
///
/// # Errors
/// A file cannot be written.
pub fn export(
    dir: &Path,
    server: ServerKind,
    patterns: &[String],
) -> Result<Vec<PathBuf>, Problem> {
    let pieces = indices::pieces(&Offered::all(server), patterns);
    let mut requests = String::new();
    for piece in &pieces {
        requests += &request(piece, server);
    }
    let mut files = vec![write(&dir.join("indices.txt"), &requests)?];
    let targets = Target::ALL.into_iter().filter(|target| match server {
        ServerKind::OpenSearch => *target == Target::OpenSearchDashboards,
        ServerKind::Elasticsearch => *target != Target::OpenSearchDashboards,
    });
    for target in targets {
        let made = kibana::files(target).map_err(first)?;
        for (name, text) in made {
            files.push(write(&dir.join(target.name()).join(name), &text)?);
        }
    }
    if server == ServerKind::Elasticsearch {
        for (name, text) in job_files() {
            files.push(write(&dir.join("ml").join(name), &text)?);
        }
    }
    Ok(files)
}

/// The jobs as Kibana imports them, by file: one for each shape of events and span.
pub fn job_files() -> Vec<(String, String)> {
    let mut files = Vec::new();
    for (span, suffix) in [(Span::Quarter, ""), (Span::Seconds, "-15s")] {
        let commands = ml::of_commands(&ml::commands(), span);
        files.push((format!("cmdlogs{suffix}.json"), ml::import_file(&commands)));
        for shape in Shape::ALL {
            let jobs = ml::events(shape).map(|data| ml::of_events(&data, span));
            let file = ml::import_file(&jobs.unwrap_or_default());
            files.push((format!("{}{suffix}.json", shape.name()), file));
        }
    }
    let text = |(name, file): (String, Value)| (name, format!("{file:#}\n"));
    files.into_iter().map(text).collect()
}

/// A body that is sent, and how: `component`, `template`, `policy`, `job`, `datafeed`, `jobupdate`
/// and so on.
#[derive(Clone, Debug, PartialEq)]
pub struct Body {
    /// How it is sent.
    pub kind: &'static str,
    /// The name of the thing.
    pub name: String,
    /// The body.
    pub body: Value,
}

/// Every body that is sent to Elasticsearch, for its parsers.
pub fn bodies() -> Vec<Body> {
    let mut pieces = indices::pieces(&Offered::all(ServerKind::Elasticsearch), &[]);
    for span in [Span::Quarter, Span::Seconds] {
        pieces.extend(ml::pieces(&Shape::ALL, span));
    }
    let mut bodies = Vec::new();
    for piece in pieces {
        let kinds: &[&str] = match piece.kind {
            Kind::ComponentTemplate => &["component"],
            Kind::IndexTemplate => &["template"],
            Kind::LifecyclePolicy => &["policy"],
            Kind::Job => &["job", "jobupdate"],
            Kind::Datafeed => &["datafeed", "datafeedupdate"],
            Kind::Transform => &["transform"],
            Kind::Outliers => &["outliers"],
            _ => &[],
        };
        for kind in kinds {
            let body = match kind.ends_with("update") {
                true => jobs::changeable(piece.kind, &piece.body),
                false => cluster::wrapped(piece.kind, &piece.body),
            };
            let name = piece.name.clone();
            bodies.push(Body { kind, name, body });
        }
    }
    bodies
}

/// A request as Kibana's and OpenSearch Dashboards' Dev Tools take it.
fn request(piece: &Piece, server: ServerKind) -> String {
    let path = cluster::path(piece.kind, &piece.name, server);
    let body = cluster::wrapped(piece.kind, &piece.body);
    format!("PUT {path}\n{body:#}\n\n")
}

fn first(problems: Vec<Problem>) -> Problem {
    let none = || Problem::new("kibana_objects", "cannot be made");
    problems.into_iter().next().unwrap_or_else(none)
}

fn write(path: &Path, text: &str) -> Result<PathBuf, Problem> {
    let failed = |error| Problem::new(path, format!("cannot be written: {error}"));
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    fs::write(path, text).map_err(failed)?;
    Ok(path.to_owned())
}
