//! Rules by themselves, and the events of recordings as those rules see them: what most
//! subcommands of `picket rules` begin with.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::cli::{Failure, arsenal, finding, load, progress, text};
use crate::config::Config;
use crate::detect::sigma::SigmaDetector;
use crate::document::Document;
use crate::input::{Item, Progress};
use crate::problem::Problem;
use crate::rule::RuleSet;
use crate::taxonomy::{Event, Fields, Reader, Slots};

/// Rules that were loaded without blacklist and modules.
pub struct Rules {
    /// Those that can be used.
    pub set: Arc<RuleSet>,
    /// The fields that they ask for.
    pub fields: Fields,
    /// What runs them.
    pub detector: SigmaDetector,
    /// Those that cannot.
    pub problems: Vec<Problem>,
}

impl Rules {
    /// Loads these rules, or those of the configuration if there are none, or what is built in.
    pub fn load(config: &mut Config, instead: &[PathBuf]) -> Result<Self, Failure> {
        if !instead.is_empty() {
            config.rules = instead.to_vec();
        }
        let mut fields = Fields::default();
        let mut problems = Vec::new();
        let set = Arc::new(arsenal::rules(config, &mut fields, &mut problems)?);
        let detector = SigmaDetector::new(Arc::clone(&set), &fields, config.alert_levels);
        Ok(Self {
            set,
            fields,
            detector,
            problems,
        })
    }

    /// Says on standard error how many rules cannot be used, if there are any.
    pub fn warn(&self) {
        if !self.problems.is_empty() {
            anstream::eprintln!(
                "{} {} of rules; see them with `picket check`",
                finding::warning(),
                text::count(self.problems.len() as u64, "problem")
            );
        }
    }
}

/// Reads every event of those files, with a progress display, until `each` fails. What cannot be
/// read is said on standard error. Returns how many events there were.
pub fn read(
    files: &[PathBuf],
    fields: &Fields,
    mut each: impl FnMut(&Event<'_>) -> Result<(), Failure>,
) -> Result<u64, Failure> {
    let inputs = load::inputs(files)?;
    let reader = Reader::new(fields);
    let mut slots = Slots::default();
    let progress = Progress::default();
    let bar = progress::bytes(inputs.bytes());
    let mut file: Arc<str> = Arc::from("");
    let (mut events, mut failed) = (0, Ok(()));
    let mut problems = Vec::new();
    let _ = inputs.read(&progress, &mut |item| {
        let record = match item {
            Item::Problem(problem) => {
                problems.push(problem);
                return ControlFlow::Continue(());
            }
            Item::Record(record) => record,
        };
        if *file != *record.file {
            file = Arc::from(record.file);
        }
        let id = record.number.to_string();
        let document = Document::loose(Arc::clone(&file), id, record.source);
        if let Err(error) = reader.read(&document.source, &mut slots) {
            progress.unreadable.fetch_add(1, Ordering::Relaxed);
            problems.push(Problem::new(&*document.id.index, error.to_string()));
            return ControlFlow::Continue(());
        }
        events += 1;
        bar.set_position(progress.bytes.load(Ordering::Relaxed));
        failed = each(&Event::new(&document, &slots));
        match failed {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    });
    bar.finish_and_clear();
    let unreadable = progress.unreadable.load(Ordering::Relaxed);
    load::warn(&problems, unreadable, "could not be read");
    failed.map(|()| events)
}
