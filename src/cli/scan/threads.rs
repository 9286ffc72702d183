//! The threads of a scan: one reads and judges, the others judge what it read, block by block, and
//! what they found is taken in in the order of the files. Never prints.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use smol_str::SmolStr;

use super::shown::{Form, Shown};
use crate::cli::Failure;
use crate::detect::{Judge, Judged};
use crate::document::{Document, DocumentId};
use crate::input::{Block, Inputs, Item, Part, Progress, Tally};
use crate::problem::Problem;
use crate::sweep::Panel;

/// Documents that are judged at a time, where they do not come in blocks of lines.
const BATCH: usize = 1_024;

/// What is judged at a time.
enum Batch {
    Lines(Block),
    Documents(Vec<Document>),
}

/// What was made of a batch.
struct Done {
    /// Those of its documents that are needed further.
    documents: Vec<Document>,
    judged: Judged,
    shown: Result<Shown, Failure>,
    /// Lines that cannot be read.
    problems: Vec<Problem>,
    /// The file of lines that ends here.
    ended: Option<Arc<str>>,
}

/// Buffers of blocks that were judged, for those that are read next.
type Spare = Mutex<Vec<Vec<u8>>>;

/// Judges all files. `take` gets what was found in that form, what else was made of the documents,
/// and those of them whose history is asked for, or all. Returns what cannot be read.
///
/// # Errors
/// `take` fails, or reading breaks down.
pub(super) fn judge(
    panel: &mut Panel,
    inputs: &Inputs,
    progress: &Progress,
    keeps_all: bool,
    form: &Form,
    mut take: impl FnMut(&[Document], Judged, Shown) -> Result<(), Failure> + Send,
) -> Result<Vec<Problem>, Failure> {
    let (mut tally, mut of_lines) = (Tally::default(), Vec::new());
    let (mut problems, spare) = (Ok(Vec::new()), &Spare::default());
    panel.in_order(
        |give| {
            let read = || read(inputs, progress, spare, give);
            problems = catch_unwind(AssertUnwindSafe(read));
        },
        |judge, batch: Batch| batch.judge(judge, progress, keeps_all, form, spare),
        |done| {
            take(&done.documents, done.judged, done.shown?)?;
            of_lines.extend(done.problems.into_iter().filter_map(|p| tally.name(p)));
            of_lines.extend(done.ended.and_then(|file| tally.finish(&file)));
            Ok::<_, Failure>(())
        },
    )?;
    let broken = |_| Failure::outside("reading broke down; this is a bug, please report it");
    let mut problems = problems.map_err(broken)?;
    problems.append(&mut of_lines);
    Ok(problems)
}

fn buffers(spare: &Spare) -> MutexGuard<'_, Vec<Vec<u8>>> {
    spare.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads everything into batches; ends early if nobody takes them.
fn read(
    inputs: &Inputs,
    progress: &Progress,
    spare: &Spare,
    give: &mut dyn FnMut(Batch) -> ControlFlow<()>,
) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut documents = Vec::new();
    let mut file: Arc<str> = Arc::default();
    let end = inputs.read_parts(progress, &mut |part| match part {
        Part::Lines(block) => {
            if !documents.is_empty() {
                give(Batch::Documents(std::mem::take(&mut documents)))?;
            }
            let buffer = buffers(spare).pop().unwrap_or_default();
            give(Batch::Lines(std::mem::replace(block, Block::empty(buffer))))
        }
        Part::Item(Item::Problem(problem)) => {
            problems.push(problem);
            ControlFlow::Continue(())
        }
        Part::Item(Item::Record(record)) => {
            if *file != *record.file {
                file = Arc::from(record.file);
            }
            let id = padded(record.number);
            documents.push(Document::loose(Arc::clone(&file), id, record.source));
            if documents.len() < BATCH {
                return ControlFlow::Continue(());
            }
            give(Batch::Documents(std::mem::take(&mut documents)))
        }
    });
    if end.is_continue() && !documents.is_empty() {
        // Nothing follows, whether it is wanted or not.
        let _ = give(Batch::Documents(documents));
    }
    problems
}

impl Batch {
    fn judge(
        self,
        judge: &mut Judge,
        progress: &Progress,
        keeps_all: bool,
        form: &Form,
        spare: &Spare,
    ) -> Done {
        let (mut problems, mut ended, mut text) = (Vec::new(), None, None);
        let mut documents = match self {
            Self::Documents(documents) => documents,
            Self::Lines(block) => {
                // Of this thread alone: all count by one number how often it is held.
                let file: Arc<str> = Arc::from(&**block.file());
                ended = block.is_last().then(|| Arc::clone(&file));
                let mut documents = Vec::new();
                let remains = block.take_apart(progress, |number, source| {
                    let id = padded(number);
                    documents.push(Document::loose(Arc::clone(&file), id, source));
                });
                problems = remains.problems;
                text = Some(remains.text);
                documents
            }
        };
        let mut judged = judge.page(&documents);
        let shown = form.show(&mut judged);
        if !keeps_all {
            keep_asked(&mut documents, &judged);
        }
        // Nobody else holds it, unless documents are kept.
        if let Some(text) = text.and_then(Arc::into_inner) {
            buffers(spare).push(text.into_bytes());
        }
        Done {
            documents,
            judged,
            shown,
            problems,
            ended,
        }
    }
}

/// Drops the documents whose history nobody asks for; the others no longer hold their block.
fn keep_asked(documents: &mut Vec<Document>, judged: &Judged) {
    let news = judged.asks.values().flatten();
    let asked: HashSet<&DocumentId> = news.map(|new| &new.document).collect();
    documents.retain(|document| asked.contains(&document.id));
    for document in documents {
        document.source = document.source.clone().detached();
    }
}

/// The number of a record as an id: the order of ids is that of the file.
fn padded(number: u64) -> SmolStr {
    let mut digits = [b'0'; 20];
    let (mut first, mut rest) = (digits.len(), number);
    while rest > 0 {
        first -= 1;
        digits[first] += (rest % 10) as u8;
        rest /= 10;
    }
    let shown = &digits[first.min(10)..];
    std::str::from_utf8(shown).unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_padded() {
        for number in [0, 7, 1_234_567_890, 12_345_678_901, u64::MAX] {
            assert_eq!(*padded(number), format!("{number:010}"));
        }
    }
}
