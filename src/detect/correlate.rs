//! Correlations over documents: a [`Hit`] is a document that a rule of a correlation holds for, a
//! [`Correlator`] makes hits of events and judges the hits of one group. Pure: which hits there are
//! is kept elsewhere, and the same hits give the same answer whenever and wherever they are judged.

mod explain;
mod window;

use std::sync::Arc;

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::alert::AlertLevels;
use crate::document::DocumentId;
use crate::finding::{Evidence, Finding};
use crate::hex::hex;
use crate::rule::RuleSet;
use crate::rule::correlation::{Correlation, Kind, Named};
use crate::rule::pattern::fold;
use crate::taxonomy::{Event, FieldId};
pub use explain::Group;
use window::Moment;

/// The longest value of a hit that is kept as it is, in bytes.
const MAX_VALUE: usize = 256;
/// How many documents and values a finding names.
const MAX_NAMED: usize = 8;

/// A document that a rule of a correlation holds for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hit {
    /// When the event was, in milliseconds since 1970 (UTC).
    pub time: i64,
    /// The document.
    pub document: DocumentId,
    /// What it says to the correlation.
    #[serde(flatten)]
    pub part: Part,
}

/// What a document says to a correlation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// The group that it belongs to: a digest of the correlation and of what the group has in common.
    pub group: String,
    /// Which of the correlation's rules holds for it.
    pub member: usize,
    /// What the group has in common, as this document has it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub common: Vec<String>,
    /// The value that is measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// What it says to the correlations that build on this one, by their keys.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outer: Vec<(String, Part)>,
}

impl Hit {
    /// An id that is the same whenever the same document is judged.
    pub fn id(&self) -> String {
        let DocumentId { index, id } = &self.document;
        let member = self.part.member.to_string();
        digest([&self.part.group, &member, &**index, &**id])
    }
}

/// What the hits of a group come to.
#[derive(Debug, Default)]
pub struct Judgement {
    /// Findings, each on the document at which the correlation begins to hold.
    pub findings: Vec<(DocumentId, Finding)>,
    /// Hits of the correlations that build on this one, with their positions.
    pub outer: Vec<(usize, Hit)>,
}

/// All correlations of a rule set.
#[derive(Debug, Default)]
pub struct Correlator {
    all: Vec<Correlation>,
    /// For each rule the correlations that name it, and as which member.
    of_rule: FxHashMap<u32, Vec<(usize, usize)>>,
    by_key: FxHashMap<Box<str>, usize>,
    levels: AlertLevels,
    name: Arc<str>,
}

impl Correlator {
    /// The correlations of those rules.
    pub fn new(rules: &RuleSet, levels: AlertLevels) -> Self {
        let mut of_rule: FxHashMap<u32, Vec<(usize, usize)>> = FxHashMap::default();
        let mut by_key = FxHashMap::default();
        for (number, correlation) in rules.correlations.iter().enumerate() {
            by_key.insert(correlation.key.clone(), number);
            for (member, named) in correlation.members.iter().enumerate() {
                if let Named::Rule(rule) = named.rule
                    && let Ok(rule) = u32::try_from(rule)
                {
                    of_rule.entry(rule).or_default().push((number, member));
                }
            }
        }
        Self {
            all: rules.correlations.clone(),
            of_rule,
            by_key,
            levels,
            name: "sigma".into(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The correlation of that position.
    pub fn get(&self, number: usize) -> Option<&Correlation> {
        self.all.get(number)
    }

    /// How far from a new hit a finding may come about because of it, in milliseconds: within one
    /// span its windows hold it, within two their neighbours are told apart by it.
    pub fn reach(&self, number: usize) -> i64 {
        self.get(number)
            .map_or(0, |correlation| correlation.span.saturating_mul(2))
    }

    /// The farthest of all reaches.
    pub fn longest(&self) -> i64 {
        (0..self.all.len())
            .map(|number| self.reach(number))
            .max()
            .unwrap_or(0)
    }

    /// The hits of an event that the rule of that position holds for, with the positions of their
    /// correlations. An event without time, or without a value that is asked for, has none.
    pub fn hits(&self, rule: u32, event: &Event<'_>) -> Vec<(usize, Hit)> {
        let Some(named) = self.of_rule.get(&rule) else {
            return Vec::new();
        };
        let Some(time) = event.time() else {
            return Vec::new();
        };
        let hit = |(number, member): &(usize, usize)| {
            let hit = Hit {
                time,
                document: event.document.id.clone(),
                part: self.part(*number, *member, event)?,
            };
            Some((*number, hit))
        };
        named.iter().filter_map(hit).collect()
    }

    fn part(&self, number: usize, member: usize, event: &Event<'_>) -> Option<Part> {
        let correlation = self.all.get(number)?;
        let named = correlation.members.get(member)?;
        let text = |field: &FieldId| event.text(*field).map(short);
        let common: Vec<String> = named.group.iter().map(text).collect::<Option<_>>()?;
        let values: Vec<String> = named.values.iter().map(text).collect::<Option<_>>()?;
        let folded: Vec<String> = common.iter().map(|text| fold(text)).collect();
        let key = std::iter::once(&*correlation.key);
        let outer = correlation.outer.iter().filter_map(|(outer, member)| {
            let key = self.all.get(*outer)?.key.to_string();
            Some((key, self.part(*outer, *member, event)?))
        });
        Some(Part {
            group: digest(key.chain(folded.iter().map(String::as_str))),
            member,
            value: (!values.is_empty()).then(|| values.join(", ")),
            outer: outer.collect(),
            common,
        })
    }

    /// Judges the hits of one group of that correlation: what comes about from one time to another,
    /// both included. Exact if all hits within [`Correlator::reach`] around are among them.
    pub fn judge(&self, number: usize, hits: &mut Vec<Hit>, from: i64, to: i64) -> Judgement {
        let mut judgement = Judgement::default();
        let Some(correlation) = self.all.get(number) else {
            return judgement;
        };
        for moment in window::moments(correlation, hits) {
            if !moment.holds || !(from..=to).contains(&moment.time) {
                continue;
            }
            let Some(first) = moment.speaker(correlation, hits) else {
                continue;
            };
            if moment.begins && !correlation.silent {
                let finding = self.finding(correlation, hits, &moment);
                judgement.findings.push((first.document.clone(), finding));
            }
            let at = hits.get(moment.at.clone()).unwrap_or_default();
            for hit in at {
                self.pass_on(
                    hit,
                    moment.begins && hit.document == first.document,
                    &mut judgement,
                );
            }
        }
        judgement
    }

    /// What a document at which a correlation holds is to those that build on it. Who asks which
    /// rules hold is told of every such document, who counts of the one with which it begins.
    fn pass_on(&self, hit: &Hit, begins: bool, judgement: &mut Judgement) {
        for (key, part) in &hit.part.outer {
            let Some(outer) = self.by_key.get(key.as_str()) else {
                continue;
            };
            let kind = self.all.get(*outer).map(|correlation| correlation.kind);
            if !begins && !matches!(kind, Some(Kind::Temporal | Kind::Ordered)) {
                continue;
            }
            let hit = Hit {
                time: hit.time,
                document: hit.document.clone(),
                part: part.clone(),
            };
            judgement.outer.push((*outer, hit));
        }
    }

    fn finding(&self, correlation: &Correlation, hits: &[Hit], moment: &Moment) -> Finding {
        Finding {
            detector: self.name.clone(),
            rule_id: correlation.id.clone(),
            rule: correlation.title.clone(),
            level: correlation.level,
            alert_level: self.levels.of(correlation.level),
            techniques: correlation.techniques.clone(),
            score: None,
            evidence: evidence(correlation, hits, moment),
            second_opinion: None,
        }
    }
}

/// What was measured, of which group, from when to when, and on which documents.
fn evidence(correlation: &Correlation, hits: &[Hit], moment: &Moment) -> Vec<Evidence> {
    let inside = hits.get(moment.window.clone()).unwrap_or_default();
    let mut evidence = vec![Evidence::new(
        "correlation",
        "",
        &format!(
            "{} ({}) between {} and {}",
            window::said(correlation, moment.measure),
            correlation.asks,
            inside
                .first()
                .map_or_else(String::new, |hit| clock(hit.time)),
            clock(moment.time)
        ),
        None,
    )];
    if let Some(hit) = inside.last() {
        for (name, text) in correlation.group_by.iter().zip(&hit.part.common) {
            evidence.push(Evidence::new("group-by", name, text, None));
        }
    }
    let mut values: Vec<&str> = Vec::new();
    for value in inside.iter().filter_map(|hit| hit.part.value.as_deref()) {
        if values.len() < MAX_NAMED && !values.contains(&value) {
            values.push(value);
        }
    }
    for value in values {
        evidence.push(Evidence::new("value", &correlation.field, value, None));
    }
    // The first ones, and the last.
    let left_out = inside.len().saturating_sub(MAX_NAMED);
    let shown = inside.iter().take(MAX_NAMED - 1);
    for hit in shown.chain(
        inside
            .iter()
            .skip((MAX_NAMED - 1).max(left_out + MAX_NAMED - 1)),
    ) {
        let rule = correlation.members.get(hit.part.member);
        let DocumentId { index, id } = &hit.document;
        let text = format!("{} {index}/{id}", clock(hit.time));
        evidence.push(Evidence::new(
            rule.map_or("", |rule| &*rule.name),
            "",
            &text,
            None,
        ));
    }
    evidence
}

fn clock(time: i64) -> String {
    let time = chrono::DateTime::from_timestamp_millis(time);
    time.map_or_else(String::new, |time| {
        time.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
    })
}

/// A value as a hit keeps it; of a longer one the beginning and a digest of it all.
fn short(text: &str) -> String {
    match text.len() > MAX_VALUE {
        false => text.to_owned(),
        true => {
            let start = text
                .get(..text.floor_char_boundary(MAX_VALUE))
                .unwrap_or_default();
            format!("{start}… {}", digest([&*fold(text)]))
        }
    }
}

fn digest<'t>(texts: impl IntoIterator<Item = &'t str>) -> String {
    let mut hash = Sha256::new();
    for text in texts {
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text);
    }
    hex(&hash.finalize()[..16])
}
