//! Reads documents from files: `.evtx`, JSON (one object a line, one array, or objects one after
//! the other) and the CSV of DetectLM's logger; plain, gzip, or members of a zip; recognised by
//! content first and by name second. Streams: holds a record or a block of lines, never a whole file.
//! What cannot be read is a [`Problem`] with file and line, is counted, and stops nothing else.

mod archive;
mod blocks;
mod csv;
mod evtx;
mod json;
mod lines;
mod utf8;

use std::fs::File;
use std::io::{self, BufReader, IsTerminal, Read, Seek, SeekFrom};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub use blocks::{Block, Remains};
use walkdir::WalkDir;

use crate::problem::Problem;

/// The longest record, in bytes: what is longer is a problem.
pub const MAX_RECORD: usize = 16 << 20;

/// So many problems of one file are named; the rest are counted.
const NAMED_PROBLEMS: u64 = 20;

/// How much is buffered of a file; also how far into it one looks to recognise it.
const BUFFER: usize = 1 << 16;

/// Endings of the files that are read where a folder is named.
const ENDINGS: [&str; 8] = ["evtx", "json", "ndjson", "jsonl", "csv", "log", "gz", "zip"];

/// One document of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// The file, or `archive!member`.
    pub file: &'a str,
    /// Which of the file: `EventRecordID` in `.evtx`; the line, counted from 1, where each line is
    /// a record; the object's number, counted from 1, in an array and in pretty-printed JSON.
    pub number: u64,
    /// A JSON object: checked, so that every JSON parser can read it.
    pub source: &'a str,
}

/// What reading yields.
#[derive(Debug)]
pub enum Item<'a> {
    /// A document.
    Record(Record<'a>),
    /// Something that cannot be read; reading goes on.
    Problem(Problem),
}

/// What reading yields to who takes lines apart himself.
#[derive(Debug)]
pub enum Part<'a> {
    /// What does not stand line by line.
    Item(Item<'a>),
    /// Lines of objects. Who takes them leaves an empty block in their place.
    Lines(&'a mut Block),
}

/// Names the first problems of a file and counts the rest.
#[derive(Debug, Default)]
pub struct Tally {
    unreadable: u64,
}

impl Tally {
    /// The problem, if it is to be named.
    pub fn name(&mut self, problem: Problem) -> Option<Problem> {
        self.unreadable += 1;
        (self.unreadable <= NAMED_PROBLEMS).then_some(problem)
    }

    /// Says at the end of a file how many of its problems were not named.
    pub fn finish(&mut self, file: &str) -> Option<Problem> {
        let unnamed = std::mem::take(&mut self.unreadable).saturating_sub(NAMED_PROBLEMS);
        let message = || format!("{unnamed} more records of this file cannot be read");
        (unnamed > 0).then(|| Problem::new(file, message()))
    }
}

/// How far reading is, for progress bars; shared between threads.
#[derive(Debug, Default)]
pub struct Progress {
    /// Bytes of the files as they lie on disk, that is compressed.
    pub bytes: AtomicU64,
    /// Records handed over.
    pub records: AtomicU64,
    /// Lines, records and files that could not be read, those not named included.
    pub unreadable: AtomicU64,
}

/// A file to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputFile {
    /// Where it is; `-` is standard input.
    pub path: PathBuf,
    /// Its size; 0 if that is not known.
    pub bytes: u64,
    /// The host of command histories that do not say theirs.
    host: Option<Arc<str>>,
}

/// All files that the given paths lead to, in a fixed order.
#[derive(Clone, Debug, Default)]
pub struct Inputs {
    files: Vec<InputFile>,
}

impl Inputs {
    /// Finds the files: those named, those in named folders (recursively, by name, what looks like
    /// a recording), and standard input for `-`.
    pub fn find(paths: &[PathBuf]) -> (Self, Vec<Problem>) {
        let mut inputs = Self::default();
        let mut problems = Vec::new();
        for path in paths {
            let before = inputs.files.len();
            match path.metadata() {
                _ if path.as_os_str() == "-" => inputs.files.push(InputFile {
                    path: path.clone(),
                    bytes: 0,
                    host: None,
                }),
                Ok(metadata) if metadata.is_dir() => {
                    inputs.find_in(path, &mut problems);
                    if inputs.files.len() == before {
                        problems.push(Problem::new(path, "the folder holds no recording").help(
                            format!("files that end in .{} are read", ENDINGS.join(", .")),
                        ));
                    }
                }
                Ok(metadata) => inputs.files.push(InputFile {
                    path: path.clone(),
                    bytes: metadata.len(),
                    host: None,
                }),
                Err(error) => problems.push(unopened(path, &error)),
            }
        }
        (inputs, problems)
    }

    fn find_in(&mut self, folder: &Path, problems: &mut Vec<Problem>) {
        for entry in WalkDir::new(folder).sort_by_file_name() {
            match entry {
                Ok(entry) if entry.file_type().is_file() && is_recording(entry.path()) => {
                    self.files.push(InputFile {
                        bytes: entry.metadata().map_or(0, |metadata| metadata.len()),
                        path: entry.into_path(),
                        host: None,
                    });
                }
                Ok(_) => {}
                Err(error) => {
                    let path = error.path().unwrap_or(folder).to_path_buf();
                    problems.push(Problem::new(path, error.to_string()));
                }
            }
        }
    }

    /// The same; command histories in CSV that do not say their host are that one's.
    #[must_use]
    pub fn from_host(mut self, host: &str) -> Self {
        let host: Arc<str> = host.into();
        for file in &mut self.files {
            file.host = Some(Arc::clone(&host));
        }
        self
    }

    /// The files, in the order in which they are read.
    pub fn files(&self) -> &[InputFile] {
        &self.files
    }

    /// Their size on disk, standard input not counted.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// Reads all files, one after the other, until `each` says [`ControlFlow::Break`].
    pub fn read(
        &self,
        progress: &Progress,
        each: &mut dyn FnMut(Item<'_>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        self.files
            .iter()
            .try_for_each(|file| file.read(progress, each))
    }

    /// The same; lines are handed over in blocks, to be taken apart and checked by who judges them.
    pub fn read_parts(
        &self,
        progress: &Progress,
        each: &mut dyn FnMut(Part<'_>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        self.files
            .iter()
            .try_for_each(|file| file.read_parts(progress, each))
    }
}

impl InputFile {
    /// Reads this file until `each` says [`ControlFlow::Break`].
    pub fn read(
        &self,
        progress: &Progress,
        each: &mut dyn FnMut(Item<'_>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let mut tally = Tally::default();
        self.read_parts(progress, &mut |part| match part {
            Part::Item(item) => each(item),
            Part::Lines(block) => block.check(progress, &mut tally, each),
        })
    }

    fn read_parts(
        &self,
        progress: &Progress,
        each: &mut dyn FnMut(Part<'_>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let name = self.path.to_string_lossy();
        let mut sink = Sink {
            file: &name,
            host: self.host.as_deref(),
            progress,
            tally: Tally::default(),
            each,
        };
        if self.path.as_os_str() == "-" {
            let stdin = io::stdin();
            if stdin.is_terminal() {
                return sink.problem(None, "standard input is a terminal", Some("pipe a file in"));
            }
            let counted = Counted {
                inner: stdin.lock(),
                progress,
            };
            let mut input = BufReader::with_capacity(BUFFER, counted);
            return archive::read(&mut input, &name, 0, &mut sink);
        }
        match File::open(&self.path) {
            Ok(file) => {
                let counted = Counted {
                    inner: file,
                    progress,
                };
                archive::read_file(counted, &name, &mut sink)
            }
            Err(error) => sink.pass_on(unopened(&self.path, &error)),
        }
    }
}

fn unopened(path: &Path, error: &io::Error) -> Problem {
    let problem = Problem::new(path, format!("cannot be opened: {error}"));
    match error.kind() {
        io::ErrorKind::NotFound => problem.help("check the path"),
        io::ErrorKind::PermissionDenied => problem.help("ask for the right to read it"),
        _ => problem,
    }
}

/// By its ending, or, for recordings that lost theirs, because it begins as `.evtx` does.
fn is_recording(path: &Path) -> bool {
    let ending = path.extension().unwrap_or_default().to_ascii_lowercase();
    if ENDINGS.iter().any(|known| ending == *known) {
        return true;
    }
    let mut start = [0; evtx::MAGIC.len()];
    File::open(path).is_ok_and(|mut file| file.read_exact(&mut start).is_ok())
        && start == evtx::MAGIC
}

/// Counts the bytes that are read.
struct Counted<'a, R> {
    inner: R,
    progress: &'a Progress,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        let bytes = &self.progress.bytes;
        bytes.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

impl<R: Seek> Seek for Counted<'_, R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.inner.seek(to)
    }
}

/// Where the records and problems of one file go.
struct Sink<'a> {
    file: &'a str,
    /// The host of command histories that do not say theirs.
    host: Option<&'a str>,
    progress: &'a Progress,
    tally: Tally,
    each: &'a mut dyn FnMut(Part<'_>) -> ControlFlow<()>,
}

impl Sink<'_> {
    /// Hands over an object that `json::check` has seen, or that we wrote ourselves.
    fn record(&mut self, number: u64, source: &str) -> ControlFlow<()> {
        self.progress.records.fetch_add(1, Ordering::Relaxed);
        (self.each)(Part::Item(Item::Record(Record {
            file: self.file,
            number,
            source,
        })))
    }

    fn problem(
        &mut self,
        line: Option<usize>,
        message: impl Into<String>,
        help: Option<&str>,
    ) -> ControlFlow<()> {
        let mut problem = Problem::new(self.file, message);
        problem.line = line;
        problem.help = help.map(Into::into);
        self.pass_on(problem)
    }

    fn pass_on(&mut self, problem: Problem) -> ControlFlow<()> {
        self.progress.unreadable.fetch_add(1, Ordering::Relaxed);
        let named = self.tally.name(problem);
        self.say(named)
    }

    /// Says how many problems were not named.
    fn finish(&mut self) -> ControlFlow<()> {
        let rest = self.tally.finish(self.file);
        self.say(rest)
    }

    fn say(&mut self, problem: Option<Problem>) -> ControlFlow<()> {
        match problem {
            Some(problem) => (self.each)(Part::Item(Item::Problem(problem))),
            None => ControlFlow::Continue(()),
        }
    }
}
