//! What `picket train` reports: figures of a cross-validation, and the report as people read it.
//! Never prints.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

use super::svm::{Curve, Settings};
use super::table::Shape;

/// Cross-validated figures: the mean over the repeats, each of which pools its folds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figures {
    /// What is kept in one fold.
    pub folds: &'static str,
    /// Share of the found rows that are an intruder's.
    pub precision: f64,
    /// Share of the intruders' rows that are found.
    pub recall: f64,
    /// Harmonic mean of both.
    pub f1: f64,
    /// Standard deviation of F1 over the repeats.
    pub f1_deviation: f64,
}

/// What was learnt, and how good it is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The table.
    pub shape: Shape,
    /// Chosen on the folds that are kept for choosing.
    pub settings: Settings,
    /// Out of so many.
    pub candidates: usize,
    /// On the folds that are kept for reporting.
    pub figures: Vec<Figures>,
    /// The probability's curve.
    pub curve: Curve,
    /// Probability from which a host is suspicious: that of the margin 0, where the machine itself
    /// parts the two kinds.
    pub threshold: f64,
    /// How many rows the model keeps.
    pub vectors: usize,
    /// Digest of the model.
    pub digest: String,
    /// Where the model was written.
    pub written: Option<PathBuf>,
}

/// Right and wrong answers.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    found: usize,
    false_alarms: usize,
    missed: usize,
}

impl Counts {
    pub(super) fn of(rows: &[usize], margins: &[f64], attacks: &[bool]) -> Self {
        let mut counts = Self::default();
        for (row, margin) in rows.iter().zip(margins) {
            counts.add(*margin > 0.0, attacks[*row]);
        }
        counts
    }

    pub(super) fn add(&mut self, said: bool, attack: bool) {
        match (said, attack) {
            (true, true) => self.found += 1,
            (true, false) => self.false_alarms += 1,
            (false, true) => self.missed += 1,
            (false, false) => {}
        }
    }

    fn precision(&self) -> f64 {
        self.found as f64 / (self.found + self.false_alarms).max(1) as f64
    }

    fn recall(&self) -> f64 {
        self.found as f64 / (self.found + self.missed).max(1) as f64
    }

    pub(super) fn f1(&self) -> f64 {
        let twice = 2 * self.found;
        twice as f64 / (twice + self.false_alarms + self.missed).max(1) as f64
    }
}

impl Figures {
    pub(super) fn of(folds: &'static str, runs: &[Counts]) -> Self {
        let count = runs.len().max(1) as f64;
        let mean = |of: fn(&Counts) -> f64| runs.iter().map(of).sum::<f64>() / count;
        let f1 = mean(Counts::f1);
        let squares: f64 = runs.iter().map(|run| (run.f1() - f1).powi(2)).sum();
        Self {
            folds,
            precision: mean(Counts::precision),
            recall: mean(Counts::recall),
            f1,
            f1_deviation: (squares / (count - 1.0).max(1.0)).sqrt(),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shape = &self.shape;
        writeln!(
            f,
            "{} rows, {} of intruders; {} different, {} of them contradict themselves: no model's F1 is above {:.4}",
            shape.rows, shape.attacks, shape.distinct, shape.contradictory, shape.ceiling
        )?;
        if shape.derived * 2 == shape.rows {
            writeln!(
                f,
                "the second half is the first half with at most one command changed in each row"
            )?;
        }
        writeln!(
            f,
            "settings: gamma {}, smoothing {}, cost {} (best of {} on folds of their own)",
            self.settings.gamma, self.settings.smoothing, self.settings.cost, self.candidates
        )?;
        writeln!(
            f,
            "\n{:36} {:>9} {:>9} {:>9}",
            "kept in one fold", "precision", "recall", "F1"
        )?;
        for figures in &self.figures {
            writeln!(
                f,
                "{:36} {:>9.4} {:>9.4} {:>9.4} ± {:.4}",
                figures.folds, figures.precision, figures.recall, figures.f1, figures.f1_deviation
            )?;
        }
        writeln!(
            f,
            "\nmodel {}: {} rows kept, suspicious from probability {:.3}",
            self.digest.get(..12).unwrap_or_default(),
            self.vectors,
            self.threshold
        )
    }
}
