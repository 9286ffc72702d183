//! The seam to detection: trait [`Detector`], and [`Judge`], which puts a page before all of them
//! and makes one [`crate::finding::Verdict`] of what they find on a document. CPU only: no tokio, no I/O, no
//! printing. A detector that cannot do its work says so as a [`Problem`], never as silence.

pub mod anomaly;
pub mod blacklist;
pub mod correlate;
pub mod judge;
pub mod module;
pub mod sigma;

use std::sync::Arc;

use crate::document::Scope;
use crate::finding::Finding;
use crate::problem::Problem;
use crate::taxonomy::{Event, Fields};

use correlate::Hit;
pub use judge::{Judge, Judged};

/// What detectors say about some events: what they found, and what they could not do.
#[derive(Debug, Default)]
pub struct Inspection {
    /// Findings, each with the position of its event in the slice that was inspected.
    pub findings: Vec<(usize, Finding)>,
    /// Hits of correlations, each with the position of its event and that of its correlation.
    pub hits: Vec<(usize, usize, Hit)>,
    /// What went wrong; the other detectors go on.
    pub problems: Vec<Problem>,
}

/// A detector that wants to see the history of a host or user, not only what is new.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WindowNeed {
    /// Whose history.
    pub scope: Scope,
    /// How long, in milliseconds of event time.
    pub span: i64,
    /// An event that says none of these Sigma fields is not wanted. Empty: any may be.
    pub fields: Arc<[String]>,
}

/// Something that judges events: pure, synchronous, without I/O.
///
/// A detector is asked with at most a few hundred events at a time, by one thread at a time; other
/// threads ask their own [`Detector::fork`]. What it says of an event must not depend on which
/// other events stand in the slice, so that pages may be cut anywhere.
pub trait Detector: Send {
    /// `sigma`, `blacklist` or `module`.
    fn name(&self) -> &str;

    /// The same detector for another thread: shares what was compiled, not what is scratch.
    fn fork(&self) -> Box<dyn Detector>;

    /// Judges each of the events by itself.
    fn inspect(&mut self, events: &[Event<'_>], out: &mut Inspection);

    /// Whether it wants windows, and which.
    fn window(&self) -> Option<WindowNeed> {
        None
    }

    /// Whether that event belongs into this detector's windows (and, being new, asks for one).
    fn wants(&self, _event: &Event<'_>) -> bool {
        false
    }

    /// Judges a window of one entity: wanted events only, oldest first.
    fn inspect_window(&mut self, _entity: &str, _events: &[Event<'_>], _out: &mut Inspection) {}
}

/// All that was loaded to judge with, ready to be forked for each thread.
pub struct Detectors {
    /// Each judges every event.
    pub set: Vec<Box<dyn Detector>>,
    /// The fields that they ask for.
    pub fields: Arc<Fields>,
    /// Digest of rules, blacklist and modules: what `picket.judged` says.
    pub digest: Arc<str>,
}
