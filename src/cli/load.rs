//! `picket load`: puts events from files into the store, embedded or a cluster.

mod namer;

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use self::namer::Namer;
use super::finding::warning;
use super::{Exit, Failure, block_on, progress, store, text};
use crate::config::Config;
use crate::input::{Inputs, Item, Progress, Record};
use crate::problem::Problem;
use crate::store::elastic::{Elastic, Loaded as Outcome, Loading};
use crate::store::embedded::Embedded;
use crate::store::{NewDocument, Store, StoreError};

/// The most documents and bytes of one write.
const BATCH: usize = 2_500;
const BATCH_BYTES: usize = 8 << 20;

/// The most problems that are printed one by one.
const MAX_SHOWN: usize = 20;

/// What may be said after `picket load`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  picket load events.ndjson.gz Security.evtx
  picket load evidence/ --index case-42
  picket load cmdlogs.csv --host FS01    as DetectLM's logger writes it, without a host

Loading the same file again changes nothing: a document's id is made of what it says.

Into a cluster, if picket.yml names one. An index that is not there is made: dates at @timestamp
and timestamp, strings as text and whole (`.keyword`, up to 8,191 characters), values that do not
fit a field's type kept but not searchable, AlertLevel and Ignore as numbers. One that is there
stays as it is; a document that it refuses is named and stops nothing. Data streams take only
documents with @timestamp, and know those of before only until they roll over.
`picket role --load` prints what the cluster has to allow.")]
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

/// Prints problems, the first of them one by one; `what` is said of the rest.
pub fn warn(problems: &[Problem], all: u64, what: &str) {
    for problem in problems.iter().take(MAX_SHOWN) {
        anstream::eprintln!("{} {}", warning(), text::clean(&problem.to_string()));
    }
    let rest = all.saturating_sub(problems.len().min(MAX_SHOWN) as u64);
    if rest > 0 {
        anstream::eprintln!("{} {} more {what}", warning(), text::number(rest));
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
    let begun = Instant::now();
    let loaded = open_and_load(args, &config, inputs)?;
    warn(&loaded.problems, loaded.unreadable, "could not be read");
    warn(&loaded.refusals, loaded.refused, "were refused");
    let took = i64::try_from(begun.elapsed().as_millis()).unwrap_or(i64::MAX);
    let mut extras = String::new();
    if loaded.there > 0 {
        extras += &format!("; {} of them were there before", text::number(loaded.there));
    }
    if loaded.refused > 0 {
        let refused = text::count(loaded.refused, "document");
        extras += &format!("; {refused} refused, which another `--index` may take");
    }
    if loaded.unreadable > 0 {
        let places = text::count(loaded.unreadable, "place");
        extras += &format!("; {places} could not be read");
    }
    let verb = if args.dry_run { "would load" } else { "loaded" };
    anstream::println!(
        "{verb} {} into {} in {}{extras}",
        text::count(loaded.documents, "document"),
        text::clean(&store::name(&config)),
        text::duration(took)
    );
    let swept = store::sources(&config);
    for index in loaded.indices.iter().filter(|index| !swept.feed(index)) {
        anstream::eprintln!(
            "{} {index} is not swept; name it in `sources` of picket.yml",
            warning()
        );
    }
    Ok(Exit::Done)
}

fn open_and_load(args: &Args, config: &Config, inputs: Inputs) -> Result<Loaded, Failure> {
    let index = args.index.as_deref();
    let cluster = match &config.cluster {
        Some(cluster) => Some(store::connect(cluster, config)?),
        None => None,
    };
    match &cluster {
        _ if args.dry_run => block_on(load(&Target::Nowhere, inputs, index)),
        Some(cluster) => block_on(load(&Target::cluster(cluster), inputs, index)),
        None => {
            let store = Embedded::open(&config.data)?;
            block_on(load(&Target::Embedded(&store), inputs, index))
        }
    }
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

/// Where documents go.
pub enum Target<'s> {
    /// They are only read.
    Nowhere,
    /// The embedded store.
    Embedded(&'s Embedded),
    /// A cluster.
    Cluster(Loading<'s>),
}

impl<'s> Target<'s> {
    fn cluster(cluster: &'s Elastic) -> Self {
        Self::Cluster(cluster.loading())
    }

    /// Writes documents, durably; one outcome each.
    async fn write(&self, documents: Vec<NewDocument>) -> Result<Vec<Outcome>, StoreError> {
        let written = vec![Outcome::Written; documents.len()];
        match self {
            Self::Nowhere => Ok(written),
            Self::Embedded(store) => store.add(documents).await.map(|()| written),
            Self::Cluster(loading) => loading.write(documents).await,
        }
    }
}

/// What was loaded.
#[derive(Default)]
pub struct Loaded {
    /// How many documents.
    pub documents: u64,
    /// Those of them that a cluster had before.
    there: u64,
    /// Documents that the store took not.
    refused: u64,
    /// The first of them, by name.
    refusals: Vec<Problem>,
    /// The indices that documents went to.
    indices: BTreeSet<String>,
    /// Lines, records and files that could not be read.
    pub unreadable: u64,
    /// The first of them, by name.
    pub problems: Vec<Problem>,
}

impl Loaded {
    fn add(&mut self, places: &[Place], outcomes: &[Outcome]) {
        for (place, outcome) in places.iter().zip(outcomes) {
            match outcome {
                Outcome::Written => self.documents += 1,
                Outcome::There => {
                    self.documents += 1;
                    self.there += 1;
                }
                Outcome::Refused(why) => {
                    self.refused += 1;
                    if self.refusals.len() < MAX_SHOWN {
                        let line = usize::try_from(place.number).unwrap_or(usize::MAX);
                        self.refusals.push(Problem::new(&*place.file, why).at(line));
                    }
                }
            }
        }
    }
}

/// Where a document stands.
struct Place {
    file: Arc<str>,
    number: u64,
}

/// Documents that are written together.
#[derive(Default)]
struct Batch {
    places: Vec<Place>,
    documents: Vec<NewDocument>,
    bytes: usize,
}

impl Batch {
    fn add(&mut self, record: &Record<'_>, document: NewDocument) {
        let file = match self.places.last() {
            Some(last) if *last.file == *record.file => Arc::clone(&last.file),
            _ => record.file.into(),
        };
        let number = record.number;
        self.places.push(Place { file, number });
        self.bytes += document.source.len();
        self.documents.push(document);
    }

    fn is_full(&self) -> bool {
        self.documents.len() >= BATCH || self.bytes >= BATCH_BYTES
    }
}

/// Reads on one thread, writes on others; what was written is durable when this returns.
pub async fn load(
    target: &Target<'_>,
    inputs: Inputs,
    index: Option<&str>,
) -> Result<Loaded, Failure> {
    let (batches, received) = tokio::sync::mpsc::channel::<Batch>(1);
    let bar = progress::bytes(inputs.bytes());
    let progress = Arc::new(Progress::default());
    let mut namer = Namer::new(index.map(str::to_owned));
    let reading = tokio::task::spawn_blocking({
        let progress = Arc::clone(&progress);
        move || {
            let mut batch = Batch::default();
            let mut problems = Vec::new();
            let mut indices = BTreeSet::new();
            let end = inputs.read(&progress, &mut |item| {
                match item {
                    Item::Problem(problem) => problems.push(problem),
                    Item::Record(record) => {
                        let document = namer.name(record.source);
                        if !indices.contains(&document.index) {
                            indices.insert(document.index.clone());
                        }
                        batch.add(&record, document);
                    }
                }
                if !batch.is_full() {
                    return ControlFlow::Continue(());
                }
                match batches.blocking_send(std::mem::take(&mut batch)) {
                    Ok(()) => ControlFlow::Continue(()),
                    Err(_) => ControlFlow::Break(()),
                }
            });
            if end.is_continue() {
                // Fails only if writing failed, which is reported there.
                drop(batches.blocking_send(batch));
            }
            (problems, indices)
        }
    });
    let received = tokio::sync::Mutex::new(received);
    let loaded = Mutex::new(Loaded::default());
    let write = async || {
        loop {
            let batch = received.lock().await.recv().await;
            let Some(batch) = batch else {
                return Ok::<_, Failure>(());
            };
            let outcomes = target.write(batch.documents).await?;
            let mut loaded = loaded.lock().unwrap_or_else(PoisonError::into_inner);
            loaded.add(&batch.places, &outcomes);
            bar.set_position(progress.bytes.load(Ordering::Relaxed));
            bar.set_message(text::count(loaded.documents, "document"));
        }
    };
    // Four writes under way: while some become durable, the next are read and parsed, and those that
    // wait share one commit of the embedded store, where each takes memory of some three times its
    // documents.
    tokio::try_join!(write(), write(), write(), write())?;
    bar.finish_and_clear();
    let (problems, indices) = reading
        .await
        .map_err(|error| Failure::outside(format!("reading broke down: {error}")))?;
    let loaded = loaded.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(Loaded {
        indices,
        unreadable: progress.unreadable.load(Ordering::Relaxed),
        problems,
        ..loaded
    })
}
