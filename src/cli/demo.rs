//! `picket demo`: loads bundled recordings of real attacks into a fresh embedded store, sweeps it,
//! and shows what was found and what to try next.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::arsenal::Arsenal;
use super::story::Story;
use super::sweep::{activate, summary, threads};
use super::{Exit, Failure, block_on, load, text};
use crate::config::Config;
use crate::input::Inputs;
use crate::store::Store;
use crate::store::embedded::Embedded;
use crate::sweep::Sweep;

/// Where the demo's store and recordings are put, in the working directory.
const FOLDER: &str = "picket-demo";

/// Says that the folder is the demo's own and may be replaced.
const MARK: &str = "made-by-picket-demo";

/// The recordings; demo/README.md says where they come from and how they were cut.
const RECORDINGS: [(&str, &[u8]); 5] = [
    (
        "lateral-movement-service.ndjson.gz",
        include_bytes!("../../demo/lateral-movement-service.ndjson.gz"),
    ),
    (
        "lateral-movement-wmi.ndjson.gz",
        include_bytes!("../../demo/lateral-movement-wmi.ndjson.gz"),
    ),
    (
        "credential-theft-psexec.ndjson.gz",
        include_bytes!("../../demo/credential-theft-psexec.ndjson.gz"),
    ),
    (
        "credential-theft-lsass.ndjson.gz",
        include_bytes!("../../demo/credential-theft-lsass.ndjson.gz"),
    ),
    (
        "cmdlogs.ndjson.gz",
        include_bytes!("../../demo/cmdlogs.ndjson.gz"),
    ),
];

/// Runs the command.
pub fn run(mut config: Config) -> Result<Exit, Failure> {
    let recordings = fresh_folder()?;
    config.data = Path::new(FOLDER).join("store");
    let arsenal = Arsenal::load(&config)?;
    arsenal.warn(5);
    let store = Arc::new(Embedded::open(&config.data)?);
    let (inputs, problems) = Inputs::find(&[recordings]);
    super::exit::refuse(&problems)?;
    let loaded = block_on(load::load(&load::Target::Embedded(&store), inputs, None))?;
    load::warn(&loaded.problems, loaded.unreadable, "could not be read");
    let mut out = anstream::stdout().lock();
    writeln!(
        out,
        "Real attacks, recorded in a lab by OTRF Security-Datasets (MIT): {} from {} recordings.",
        text::count(loaded.documents, "event"),
        RECORDINGS.len()
    )?;
    writeln!(out, "Judging them with {}.\n", arsenal.describe())?;
    let sources = crate::store::Sources::all();
    let sweep = Sweep::new(
        "default",
        Arc::clone(&store) as Arc<dyn Store>,
        sources,
        &arsenal.judge,
        threads(),
    );
    let (report, verdicts) = activate(&sweep)?;
    let mut story = Story::default();
    verdicts.iter().for_each(|verdict| story.add(verdict));
    story.print(&mut out, false)?;
    writeln!(out, "\n{}", summary(&report))?;
    next(&mut out)?;
    Ok(Exit::Done)
}

/// An empty demo folder with the recordings in it.
fn fresh_folder() -> Result<PathBuf, Failure> {
    let folder = Path::new(FOLDER);
    let wrong = |what: &str, error: std::io::Error| {
        Failure::outside(format!(
            "cannot {what} the folder {FOLDER} in the working directory: {error}"
        ))
    };
    if folder.exists() {
        if !folder.join(MARK).exists() {
            return Err(Failure::input(format!(
                "there is a {FOLDER} here that is not the demo's; run the demo in another folder"
            )));
        }
        std::fs::remove_dir_all(folder).map_err(|error| wrong("empty", error))?;
    }
    let recordings = folder.join("recordings");
    std::fs::create_dir_all(&recordings).map_err(|error| wrong("make", error))?;
    std::fs::write(folder.join(MARK), "").map_err(|error| wrong("write to", error))?;
    for (name, bytes) in RECORDINGS {
        std::fs::write(recordings.join(name), bytes).map_err(|error| wrong("write to", error))?;
    }
    Ok(recordings)
}

fn next(out: &mut impl Write) -> Result<(), Failure> {
    let me = std::env::args().next().unwrap_or_else(|| "picket".into());
    let me = text::clean(&me).into_owned();
    let commands = [
        (
            format!("{me} --data {FOLDER}/store search 'AlertLevel:2' --terms host"),
            "the alerts as they stand in the store",
        ),
        (
            format!("{me} --data {FOLDER}/store status"),
            "what was judged, and what waits",
        ),
        (
            format!("{me} scan {FOLDER}/recordings -o ndjson"),
            "the same files without a store, for machines",
        ),
    ];
    writeln!(out, "\nTry next:")?;
    for (command, what) in commands {
        writeln!(
            out,
            "  {}\n      {}",
            text::paint(text::BOLD, command),
            text::paint(text::DIM, what)
        )?;
    }
    Ok(())
}
