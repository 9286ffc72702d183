//! `picket train`: learns the model of the module `lateral-commands` from its table, and says how
//! good it is. Seeded: the same table and options give the same model. Settings are chosen on
//! folds of their own; the folds that the figures are reported on are used once, at the end.

mod folds;
mod report;
mod svm;
mod table;

use std::path::PathBuf;

use sha2::{Digest, Sha256};

use self::folds::folds;
use self::report::Counts;
use self::svm::{Kernels, Machine, fit};
use crate::hex::hex;

pub use self::report::{Figures, Report};
pub use self::svm::{Curve, Settings};
pub use self::table::{Shape, Table};

/// What is trained, and how it is tried.
#[derive(Clone, Debug)]
pub struct Options {
    /// The folder of the module: `command.csv` is read there, `model.txt` is written.
    pub folder: PathBuf,
    /// Whether `model.txt` is written.
    pub write: bool,
    /// Of all folds.
    pub seed: u64,
    /// How often the cross-validation is repeated with other folds.
    pub repeats: usize,
    /// What the settings are chosen from; a single one is taken untried.
    pub candidates: Vec<Settings>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            folder: PathBuf::from("wasm-modules/lateral-commands"),
            write: true,
            seed: 2017,
            repeats: 10,
            candidates: candidates(),
        }
    }
}

/// How far the training is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What is being done.
    pub what: &'static str,
    /// Machines fitted.
    pub done: usize,
    /// Of so many.
    pub total: usize,
}

/// Ways to keep rows together in one fold.
struct Scheme {
    name: &'static str,
    groups: Vec<usize>,
}

const FOLDS: usize = 10;
/// How often settings are tried before they are chosen.
const CHOICE_REPEATS: u64 = 3;
/// They are chosen by the first so many schemes: the others scatter too much to choose by.
const CHOSEN_BY: usize = 2;

/// Far from the seeds of the choice.
fn reporting_seed(options: &Options, repeat: usize) -> u64 {
    options.seed.wrapping_add(3000).wrapping_add(repeat as u64)
}

/// The settings to choose from.
fn candidates() -> Vec<Settings> {
    let mut all = Vec::new();
    for gamma in [2.0, 3.0, 4.0, 6.0] {
        for smoothing in [0.5, 1.0, 2.0] {
            for cost in [3.0, 10.0] {
                all.push(Settings {
                    gamma,
                    smoothing,
                    cost,
                });
            }
        }
    }
    all
}

/// Trains, tries and writes the model.
///
/// # Errors
/// The table cannot be read or the model not written; the sentence names the file.
pub fn run(options: &Options, progress: &mut dyn FnMut(Progress)) -> Result<Report, String> {
    let path = options.folder.join("command.csv");
    let text = std::fs::read_to_string(&path)
        .map_err(|error| format!("{}: cannot be read: {error}", path.display()))?;
    let table = Table::parse(&text).map_err(|error| format!("{}: {error}", path.display()))?;
    let (mut report, model) = train(&table, options, progress);
    if options.write {
        let path = options.folder.join("model.txt");
        std::fs::write(&path, model)
            .map_err(|error| format!("{}: cannot be written: {error}", path.display()))?;
        report.written = Some(path);
    }
    Ok(report)
}

/// Trains and tries; gives the report and the text of the model.
pub fn train(
    table: &Table,
    options: &Options,
    progress: &mut dyn FnMut(Progress),
) -> (Report, String) {
    let schemes = [
        Scheme {
            name: "rows",
            groups: (0..table.sets.len()).collect(),
        },
        Scheme {
            name: "equal rows",
            groups: table.equal_rows(),
        },
        Scheme {
            name: "equal and derived rows",
            groups: table.derived_rows(),
        },
    ];
    let all: Vec<usize> = (0..table.sets.len()).collect();
    let settings = choose(
        table,
        &options.candidates,
        &all,
        &schemes[..CHOSEN_BY],
        (options.seed, CHOICE_REPEATS),
        &mut |done, total| {
            progress(Progress {
                what: "choosing settings",
                done,
                total,
            });
        },
    );
    let kernels = Kernels::new(&settings, &table.sets);
    let mut figures = Vec::new();
    for (number, scheme) in schemes.iter().enumerate() {
        let runs = (0..options.repeats).map(|repeat| {
            progress(Progress {
                what: "trying",
                done: number * options.repeats + repeat,
                total: schemes.len() * options.repeats,
            });
            let seed = reporting_seed(options, repeat);
            let margins = margins(table, &kernels, settings.cost, &all, scheme, seed);
            Counts::of(&all, &margins, &table.attacks)
        });
        figures.push(Figures::of(scheme.name, &runs.collect::<Vec<_>>()));
    }
    let machine = fit(&kernels, &all, &table.attacks, settings.cost);
    let held_out = margins(
        table,
        &kernels,
        settings.cost,
        &all,
        &schemes[1],
        options.seed,
    );
    let curve = Curve::fit(&held_out, &table.attacks);
    let threshold = curve.probability(0.0);
    let model = write_model(table, &settings, &machine, &curve, threshold);
    let report = Report {
        shape: table.shape(),
        settings,
        candidates: options.candidates.len(),
        figures,
        curve,
        threshold,
        vectors: machine.weights.len(),
        digest: model
            .split_whitespace()
            .nth(1)
            .unwrap_or_default()
            .to_owned(),
        written: None,
    };
    (report, model)
}

/// The settings with the best F1, averaged over some ways to keep rows together.
fn choose(
    table: &Table,
    candidates: &[Settings],
    rows: &[usize],
    schemes: &[Scheme],
    (seed, repeats): (u64, u64),
    progress: &mut dyn FnMut(usize, usize),
) -> Settings {
    let mut best = (
        f64::NEG_INFINITY,
        candidates.first().copied().unwrap_or_default(),
    );
    if candidates.len() < 2 {
        return best.1;
    }
    for (number, settings) in candidates.iter().enumerate() {
        progress(number, candidates.len());
        let kernels = Kernels::new(settings, &table.sets);
        let score: f64 = schemes
            .iter()
            .flat_map(|scheme| (0..repeats).map(move |repeat| (scheme, seed.wrapping_add(repeat))))
            .map(|(scheme, seed)| {
                let margins = margins(table, &kernels, settings.cost, rows, scheme, seed);
                Counts::of(rows, &margins, &table.attacks).f1()
            })
            .sum();
        if score > best.0 {
            best = (score, *settings);
        }
    }
    best.1
}

/// The margin of each of `rows` by a machine that learnt from the other folds.
fn margins(
    table: &Table,
    kernels: &Kernels,
    cost: f64,
    rows: &[usize],
    scheme: &Scheme,
    seed: u64,
) -> Vec<f64> {
    let fold_of = folds(&scheme.groups, &table.attacks, FOLDS, seed);
    let mut margins = vec![0.0; rows.len()];
    for fold in 0..FOLDS {
        let outside: Vec<usize> = rows
            .iter()
            .copied()
            .filter(|row| fold_of[*row] != fold)
            .collect();
        let machine = fit(kernels, &outside, &table.attacks, cost);
        for (at, row) in rows.iter().enumerate() {
            if fold_of[*row] == fold {
                margins[at] = machine.margin(kernels, *row);
            }
        }
    }
    margins
}

/// The model as the module reads it. The first line is the digest of all others.
fn write_model(
    table: &Table,
    settings: &Settings,
    machine: &Machine,
    curve: &Curve,
    threshold: f64,
) -> String {
    use std::fmt::Write;
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(text, "commands {}", table.commands.join(" "));
    let _ = writeln!(text, "gamma {}", settings.gamma);
    let _ = writeln!(text, "smoothing {}", settings.smoothing);
    let _ = writeln!(text, "cost {}", settings.cost);
    let _ = writeln!(text, "bias {:.6}", machine.bias);
    let _ = writeln!(text, "curve {:.6} {:.6}", curve.slope, curve.offset);
    let _ = writeln!(text, "threshold {threshold:.6}");
    let _ = writeln!(text, "vectors {}", machine.weights.len());
    for (row, weight) in &machine.weights {
        let _ = writeln!(text, "{:x} {weight:.4}", table.sets[*row]);
    }
    let digest = hex(&Sha256::digest(&text));
    format!("digest {digest}\n{text}")
}
