//! `picket load`: puts events from files into the store.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use sha2::{Digest, Sha256};

use super::finding::warning;
use super::{Exit, Failure, block_on, progress, text};
use crate::config::Config;
use crate::hex::hex;
use crate::input::{Inputs, Item, Progress};
use crate::problem::Problem;
use crate::store::embedded::Embedded;
use crate::store::{NewDocument, Store};
use crate::taxonomy::log_source::Origin;
use crate::taxonomy::{Fields, Reader, Slots};

/// Documents of one `add`.
const BATCH: usize = 2_500;

/// The most problems that are printed one by one.
const MAX_SHOWN: usize = 20;

/// What may be said after `picket load`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  picket load events.ndjson.gz Security.evtx
  picket load evidence/ --index case-42
  picket load cmdlogs.csv --host FS01    as DetectLM's logger writes it, without a host

Loading the same file again changes nothing: a document's id is made of what it says.")]
pub struct Args {
    /// .evtx, JSON, NDJSON, CSV; plain, .gz or .zip; folders; - for NDJSON on standard input.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Index to put them in; without it cmd.exe history goes to cmdlogs and the rest to events.
    #[arg(long, value_name = "NAME")]
    index: Option<String>,
    /// Host of the command histories in CSV that do not say theirs, as those of DetectLM's logger.
    #[arg(long, value_name = "NAME")]
    host: Option<String>,
    /// Read everything, write nothing.
    #[arg(long)]
    dry_run: bool,
}

/// The inputs, or which of them are not there.
pub fn inputs(files: &[PathBuf]) -> Result<Inputs, Failure> {
    let (inputs, problems) = Inputs::find(files);
    super::exit::refuse(&problems)?;
    Ok(inputs)
}

/// Prints what could not be read.
pub fn warn(problems: &[Problem], all: u64) {
    for problem in problems.iter().take(MAX_SHOWN) {
        anstream::eprintln!("{} {}", warning(), text::clean(&problem.to_string()));
    }
    let rest = all.saturating_sub(problems.len().min(MAX_SHOWN) as u64);
    if rest > 0 {
        anstream::eprintln!(
            "{} {} more could not be read",
            warning(),
            text::number(rest)
        );
    }
}

/// Runs the command.
pub fn run(args: &Args, config: Config) -> Result<Exit, Failure> {
    if let Some(index) = &args.index {
        check_index(index)?;
    }
    let mut inputs = inputs(&args.files)?;
    if let Some(host) = &args.host {
        check_host(host)?;
        inputs = inputs.from_host(host);
    }
    let store = if args.dry_run {
        Embedded::in_memory()?
    } else {
        Embedded::open(&config.data)?
    };
    let begun = Instant::now();
    let loaded = block_on(load(&store, inputs, args.index.as_deref(), args.dry_run))?;
    warn(&loaded.problems, loaded.unreadable);
    let took = i64::try_from(begun.elapsed().as_millis()).unwrap_or(i64::MAX);
    let unread = match loaded.unreadable {
        0 => String::new(),
        places => format!("; {} could not be read", text::count(places, "place")),
    };
    let verb = if args.dry_run { "would load" } else { "loaded" };
    anstream::println!(
        "{verb} {} into {} in {}{unread}",
        text::count(loaded.documents, "document"),
        text::clean(&config.data.display().to_string()),
        text::duration(took)
    );
    Ok(Exit::Done)
}

fn check_index(index: &str) -> Result<(), Failure> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c);
    let own = index.starts_with("picket-") || index.starts_with('.');
    if index.is_empty() || index.len() > 255 || own || !index.chars().all(allowed) {
        return Err(Failure::input(format!(
            "`{index}` is no index name; use lower-case letters, digits, `-`, `_` and `.`, not beginning with `.` or `picket-`"
        )));
    }
    Ok(())
}

fn check_host(host: &str) -> Result<(), Failure> {
    if host.is_empty() || host.len() > 255 || host.chars().any(|c| c.is_control() || c == ' ') {
        return Err(Failure::input(format!(
            "`{host}` is no host name; write it as the host's own events do, such as `FS01`"
        )));
    }
    Ok(())
}

/// What was loaded.
pub struct Loaded {
    /// How many documents.
    pub documents: u64,
    /// Lines, records and files that could not be read.
    pub unreadable: u64,
    /// The first of them, by name.
    pub problems: Vec<Problem>,
}

/// Reads on one thread, writes on another; what was written is durable when this returns.
pub async fn load(
    store: &Embedded,
    inputs: Inputs,
    index: Option<&str>,
    dry_run: bool,
) -> Result<Loaded, Failure> {
    let (batches, received) = tokio::sync::mpsc::channel::<Vec<NewDocument>>(1);
    let bar = progress::bytes(inputs.bytes());
    let progress = Arc::new(Progress::default());
    let mut namer = Namer::new(index.map(str::to_owned));
    let reading = tokio::task::spawn_blocking({
        let progress = Arc::clone(&progress);
        move || {
            let mut batch = Vec::with_capacity(BATCH);
            let mut problems = Vec::new();
            let end = inputs.read(&progress, &mut |item| {
                match item {
                    Item::Problem(problem) => problems.push(problem),
                    Item::Record(record) => batch.push(namer.name(record.source)),
                }
                if batch.len() < BATCH {
                    return ControlFlow::Continue(());
                }
                match batches
                    .blocking_send(std::mem::replace(&mut batch, Vec::with_capacity(BATCH)))
                {
                    Ok(()) => ControlFlow::Continue(()),
                    Err(_) => ControlFlow::Break(()),
                }
            });
            if end.is_continue() {
                // Fails only if writing failed, which is reported there.
                drop(batches.blocking_send(batch));
            }
            problems
        }
    });
    let received = tokio::sync::Mutex::new(received);
    let documents = AtomicU64::new(0);
    let write = async || {
        loop {
            let batch = received.lock().await.recv().await;
            let Some(batch) = batch else {
                return Ok::<_, Failure>(());
            };
            let count = batch.len() as u64;
            if !dry_run {
                store.add(batch).await?;
            }
            let documents = documents.fetch_add(count, Ordering::Relaxed) + count;
            bar.set_position(progress.bytes.load(Ordering::Relaxed));
            bar.set_message(text::count(documents, "document"));
        }
    };
    // Four adds under way: while some become durable, the next are read and parsed, and those that
    // wait share one commit. Each takes memory of some three times its documents.
    tokio::try_join!(write(), write(), write(), write())?;
    bar.finish_and_clear();
    let problems = reading
        .await
        .map_err(|error| Failure::outside(format!("reading broke down: {error}")))?;
    Ok(Loaded {
        documents: documents.into_inner(),
        unreadable: progress.unreadable.load(Ordering::Relaxed),
        problems,
    })
}

/// Gives each document its index, by its shape, and its id, by what it says. A line that stands
/// there twice is two documents, and the same two when the file is loaded again.
struct Namer {
    index: Option<String>,
    reader: Reader,
    slots: Slots,
    seen: HashMap<[u8; 16], u32>,
}

impl Namer {
    fn new(index: Option<String>) -> Self {
        Self {
            index,
            reader: Reader::new(&Fields::default()),
            slots: Slots::default(),
            seen: HashMap::new(),
        }
    }

    fn name(&mut self, source: &str) -> NewDocument {
        let mut key = [0; 16];
        key.copy_from_slice(&Sha256::digest(source)[..16]);
        let times = self.seen.entry(key).or_default();
        let mut id = hex(&key);
        if *times > 0 {
            id += &format!("-{times}");
        }
        *times += 1;
        let index = self
            .index
            .clone()
            .unwrap_or_else(|| self.shape(source).into());
        NewDocument {
            index,
            id: Some(id),
            replace: false,
            source: source.into(),
        }
    }

    fn shape(&mut self, source: &str) -> &'static str {
        match self.reader.read(source, &mut self.slots) {
            Ok(()) if self.slots.route().origin == Origin::CommandHistory => "cmdlogs",
            _ => "events",
        }
    }
}
