//! The scoring module `lateral-commands`: do the commands of a host's last 24 hours look like
//! those of somebody who moves through a network? Each host is judged by which of DetectLM's 50
//! commands it ran; how often, and in which order, does not matter. Keeps nothing between calls.

mod commands;
mod model;

use commands::{COMMANDS, Found, commands};
use model::Model;

wit_bindgen::generate!({ world: "window-module", path: "../../../wit" });

use exports::picket::scoring::module::{Description, Guest as Describe};
use exports::picket::scoring::window::{Guest as Score, Hit, Row};
use picket::scoring::types::{Condition, Evidence, Level, Scope, Selector, Source};

/// What `picket train` wrote.
const MODEL: &str = include_str!("../../model.txt");
/// Probability from which a finding is `high`.
const HIGH: f64 = 0.95;
/// Commands that a reason names.
const NAMED: usize = 6;

struct LateralCommands;

export!(LateralCommands);

impl Describe for LateralCommands {
    fn describe() -> Description {
        let digest = MODEL.split_whitespace().nth(1).unwrap_or_default();
        Description {
            name: "lateral-commands".to_owned(),
            version: format!(
                "{}+{}",
                env!("CARGO_PKG_VERSION"),
                digest.get(..12).unwrap_or_default()
            ),
            abi: 1,
            title: "Commands of a lateral movement".to_owned(),
            scope: Scope::Host,
            span: 24 * 60 * 60,
            selectors: vec![
                Selector {
                    source: Source::CommandHistory,
                    category: None,
                    event_ids: Vec::new(),
                    conditions: Vec::new(),
                },
                Selector {
                    source: Source::Windows,
                    category: Some("process_creation".to_owned()),
                    event_ids: Vec::new(),
                    conditions: vec![Condition {
                        field: "ParentImage".to_owned(),
                        ends_with: vec!["\\cmd.exe".to_owned()],
                    }],
                },
            ],
            fields: vec!["CommandLine".to_owned()],
            // System owner, network configuration, remote systems, shares, accounts; cmd.exe.
            techniques: ["T1059.003", "T1033", "T1016", "T1018", "T1135", "T1087"]
                .map(str::to_owned)
                .to_vec(),
        }
    }

    fn configure(_options: String) -> Result<(), String> {
        Ok(())
    }
}

impl Score for LateralCommands {
    fn score_window(_entity: String, rows: Vec<Row>) -> Result<Vec<Hit>, String> {
        let found: Vec<Vec<Found>> = rows.iter().map(commands_of).collect();
        let ran = found.iter().flatten().fold(0, |ran, f| ran | 1_u64 << f.command);
        if ran == 0 {
            return Ok(Vec::new());
        }
        let model = Model::parse(MODEL).ok_or("its model cannot be read")?;
        let margin = model.margin(ran);
        let probability = model.probability(margin);
        if probability < model.threshold {
            return Ok(Vec::new());
        }
        let speaks = contributions(&model, ran, margin);
        let reason = reason(ran, probability, &speaks);
        let level = if probability >= HIGH { Level::High } else { Level::Medium };
        Ok(found
            .iter()
            .enumerate()
            .filter_map(|(index, found)| {
                let evidence = evidence(found, &speaks);
                (!evidence.is_empty()).then(|| Hit {
                    index: index as u32,
                    score: probability,
                    level,
                    reason: reason.clone(),
                    evidence,
                })
            })
            .collect())
    }
}

/// The commands of one row, each named once.
fn commands_of(row: &Row) -> Vec<Found> {
    let mut all: Vec<Found> = Vec::new();
    if let Some(Some(line)) = row.values.first() {
        commands(line, &mut |found| {
            if all.iter().all(|known| known.command != found.command) {
                all.push(found);
            }
        });
    }
    all
}

/// Each command that raises the margin, and by how much: the margin without it is that much
/// lower. The strongest first. If none does, because it is their sum that speaks, all of them.
fn contributions(model: &Model, ran: u64, margin: f64) -> Vec<(usize, f64)> {
    let mut all: Vec<(usize, f64)> = (0..COMMANDS.len())
        .filter(|command| ran & 1 << command != 0)
        .map(|command| (command, margin - model.margin(ran & !(1 << command))))
        .collect();
    if all.iter().any(|(_, by)| *by > 0.0) {
        all.retain(|(_, by)| *by > 0.0);
    }
    all.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    all
}

fn reason(ran: u64, probability: f64, speaks: &[(usize, f64)]) -> String {
    let named: Vec<String> = speaks.iter().take(NAMED).map(|(c, _)| shown(*c)).collect();
    format!(
        "{} of the 50 commands that intruders use, in 24 hours: an intruder's with probability \
         {probability:.3}; spoke most: {}",
        ran.count_ones(),
        named.join(", ")
    )
}

/// The parts of a row that spoke, the strongest first.
fn evidence(found: &[Found], speaks: &[(usize, f64)]) -> Vec<Evidence> {
    speaks
        .iter()
        .filter_map(|(command, by)| {
            let found = found.iter().find(|found| found.command == *command)?;
            Some(Evidence {
                selection: format!("{} ({by:+.2})", shown(*command)),
                field: 0,
                start: found.start as u32,
                length: (found.end - found.start) as u32,
            })
        })
        .take(16)
        .collect()
}

fn shown(command: usize) -> String {
    COMMANDS[command].replace('_', " ")
}
