//! Everything as files, for who would rather import it by hand. Asks no server.

use std::fs;
use std::path::{Path, PathBuf};

use super::cluster::{self, Offered};
use super::indices;
use super::kibana::{self, Target};
use super::plan::Piece;
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
    Ok(files)
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
