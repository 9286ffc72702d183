//! The windows of one group's hits. A window ends at a moment at which something was hit and
//! reaches one span back, (t - span, t]. A correlation begins to hold at a moment if its window is as asked and no
//! earlier moment in that window was. Pure arithmetic; sums are exact, so that no answer depends on
//! where the reading of hits began.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::document::DocumentId;
use crate::rule::correlation::{Condition, Correlation, Kind};
use crate::rule::pattern::fold;
use crate::rule::tree::Tree;

use super::Hit;

/// Values are summed in millionths.
const MILLION: f64 = 1e6;
/// Values beyond it, either way, are no measure.
const MAX_VALUE: f64 = 1e15;

/// A time at which something was hit.
#[derive(Debug, PartialEq)]
pub(super) struct Moment {
    /// In milliseconds since 1970 (UTC).
    pub(super) time: i64,
    /// The hits of this time.
    pub(super) at: Range<usize>,
    /// The hits of its window.
    pub(super) window: Range<usize>,
    /// Whether the window is as asked.
    pub(super) holds: bool,
    /// Whether it is the first of an episode that is.
    pub(super) begins: bool,
    /// What was measured.
    pub(super) measure: f64,
}

impl Moment {
    /// The hit that a finding stands on: that of the last rule where their order counts.
    pub(super) fn speaker<'h>(
        &self,
        correlation: &Correlation,
        hits: &'h [Hit],
    ) -> Option<&'h Hit> {
        let at = hits.get(self.at.clone())?;
        match correlation.kind {
            Kind::Ordered => {
                let last = at.iter().map(|hit| hit.part.member).max()?;
                at.iter().find(|hit| hit.part.member == last)
            }
            _ => at.first(),
        }
    }
}

/// Puts the hits in order, each once, and looks at every moment.
pub(super) fn moments(correlation: &Correlation, hits: &mut Vec<Hit>) -> Vec<Moment> {
    let place = |hit: &Hit| (hit.time, hit.document.clone(), hit.part.member);
    hits.sort_by_cached_key(place);
    let is_number = matches!(
        correlation.kind,
        Kind::Sum | Kind::Average | Kind::Percentile(_) | Kind::Median
    );
    // A document has one value, whichever of the rules hold for it.
    hits.dedup_by(|a, b| place(a) == place(b) || is_number && a.document == b.document);
    let hits: &[Hit] = hits;
    let mut moments: Vec<Moment> = Vec::new();
    let mut tally = Tally::new(correlation);
    // The last time at which the window was as asked.
    let mut held: Option<i64> = None;
    let (mut first, mut next) = (0, 0);
    while let Some(time) = hits.get(next).map(|hit| hit.time) {
        let since = time.saturating_sub(correlation.span);
        let start = next;
        while let Some(hit) = hits.get(next).filter(|hit| hit.time == time) {
            tally.add(hit);
            next += 1;
        }
        tally.chain(hits.get(start..next).unwrap_or_default());
        while let Some(hit) = hits.get(first).filter(|hit| hit.time <= since) {
            tally.remove(hit);
            first += 1;
        }
        let measure = tally.measure(since);
        let holds = match &correlation.condition {
            Condition::Measure(compared) => {
                let as_asked = |m: f64| {
                    compared
                        .iter()
                        .all(|(compare, than)| compare.holds(m, *than))
                };
                measure.is_some_and(as_asked)
            }
            Condition::Rules(tree) => tally.hold(tree),
        };
        moments.push(Moment {
            time,
            at: start..next,
            window: first..next,
            holds,
            begins: holds && held.is_none_or(|held| held <= since),
            measure: measure.unwrap_or(0.0),
        });
        if holds {
            held = Some(time);
        }
    }
    moments
}

/// What was measured, in words.
pub(super) fn said(correlation: &Correlation, measure: f64) -> String {
    let (one, more) = match correlation.kind {
        Kind::Events => ("document", "documents"),
        Kind::Values => ("value", "different values"),
        Kind::Sum => ("sum", "sum"),
        Kind::Average => ("average", "average"),
        Kind::Percentile(_) => ("percentile", "percentile"),
        Kind::Median => ("median", "median"),
        Kind::Temporal => ("rule", "rules"),
        Kind::Ordered => ("rule in order", "rules in order"),
    };
    // Exactly one: what is counted is whole.
    let what = if measure.to_bits() == 1_f64.to_bits() {
        one
    } else {
        more
    };
    format!("{measure} {what}")
}

/// What is in the window, as far as the kind asks for it.
struct Tally<'h> {
    kind: Kind,
    documents: BTreeMap<&'h DocumentId, u32>,
    /// How many hits of each member.
    members: Vec<u32>,
    values: BTreeMap<String, u32>,
    sum: i128,
    /// In millionths, ascending.
    numbers: Vec<i128>,
    /// For each member the latest time at which a chain began that goes on in order to it.
    chains: Vec<Option<i64>>,
}

impl<'h> Tally<'h> {
    fn new(correlation: &Correlation) -> Self {
        let members = correlation.members.len();
        Self {
            kind: correlation.kind,
            documents: BTreeMap::new(),
            members: vec![0; members],
            values: BTreeMap::new(),
            sum: 0,
            numbers: Vec::new(),
            chains: vec![None; members],
        }
    }

    fn add(&mut self, hit: &'h Hit) {
        let count = self.documents.entry(&hit.document).or_default();
        *count += 1;
        let is_new = *count == 1;
        if let Some(count) = self.members.get_mut(hit.part.member) {
            *count += 1;
        }
        let Some(value) = hit.part.value.as_deref() else {
            return;
        };
        match self.kind {
            Kind::Values => *self.values.entry(fold(value)).or_default() += 1,
            Kind::Sum | Kind::Average if is_new => {
                if let Some(number) = millionths(value) {
                    self.sum += number;
                    self.numbers.push(number);
                }
            }
            Kind::Percentile(_) | Kind::Median if is_new => {
                if let Some(number) = millionths(value) {
                    let at = self.numbers.partition_point(|known| *known < number);
                    self.numbers.insert(at, number);
                }
            }
            _ => {}
        }
    }

    fn remove(&mut self, hit: &'h Hit) {
        let mut is_last = false;
        if let Some(count) = self.documents.get_mut(&hit.document) {
            *count -= 1;
            is_last = *count == 0;
        }
        if is_last {
            self.documents.remove(&hit.document);
        }
        if let Some(count) = self.members.get_mut(hit.part.member) {
            *count = count.saturating_sub(1);
        }
        let Some(value) = hit.part.value.as_deref() else {
            return;
        };
        match self.kind {
            Kind::Values => {
                let folded = fold(value);
                if let Some(count) = self.values.get_mut(&folded) {
                    *count -= 1;
                    if *count == 0 {
                        self.values.remove(&folded);
                    }
                }
            }
            Kind::Sum | Kind::Average | Kind::Percentile(_) | Kind::Median if is_last => {
                if let Some(number) = millionths(value)
                    && let Some(at) = self.numbers.iter().position(|known| *known == number)
                {
                    self.sum -= number;
                    self.numbers.remove(at);
                }
            }
            _ => {}
        }
    }

    /// Takes note of the hits of one moment for the order of rules; those of the same moment may
    /// have come in any order.
    fn chain(&mut self, hits: &[Hit]) {
        if self.kind != Kind::Ordered {
            return;
        }
        let mut hit: Vec<(usize, i64)> = hits.iter().map(|h| (h.part.member, h.time)).collect();
        hit.sort_unstable();
        for (member, time) in hit {
            let began = match member.checked_sub(1) {
                None => Some(time),
                Some(before) => self.chains.get(before).copied().flatten(),
            };
            if let Some(chain) = self.chains.get_mut(member) {
                *chain = began.max(*chain);
            }
        }
    }

    /// What the kind measures, in a window that begins behind `since`.
    fn measure(&self, since: i64) -> Option<f64> {
        let middle = self.numbers.len() / 2;
        Some(match self.kind {
            Kind::Events => self.documents.len() as f64,
            Kind::Values => self.values.len() as f64,
            Kind::Temporal => self.members.iter().filter(|count| **count > 0).count() as f64,
            Kind::Ordered => {
                let whole = |chain: &&Option<i64>| chain.is_some_and(|began| began > since);
                self.chains.iter().take_while(whole).count() as f64
            }
            Kind::Sum if self.numbers.is_empty() => return None,
            Kind::Sum => plain(self.sum),
            Kind::Average if self.numbers.is_empty() => return None,
            Kind::Average => plain(self.sum) / self.numbers.len() as f64,
            Kind::Percentile(percent) => {
                let rank = (self.numbers.len() * usize::from(percent)).div_ceil(100);
                plain(*self.numbers.get(rank.checked_sub(1)?)?)
            }
            Kind::Median if self.numbers.len().is_multiple_of(2) => {
                let below = self.numbers.get(middle.checked_sub(1)?)?;
                f64::midpoint(plain(*below), plain(*self.numbers.get(middle)?))
            }
            Kind::Median => plain(*self.numbers.get(middle)?),
        })
    }

    /// Whether the rules that the tree names hold as it asks.
    fn hold(&self, tree: &Tree) -> bool {
        match tree {
            Tree::Selection(member) => self.members.get(*member).is_some_and(|count| *count > 0),
            Tree::All(parts) => parts.iter().all(|part| self.hold(part)),
            Tree::Any(parts) => parts.iter().any(|part| self.hold(part)),
            Tree::Not(inner) => !self.hold(inner),
            // Conditions of correlations ask for rules only.
            Tree::Atom(_) => false,
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "bounded before")]
fn millionths(text: &str) -> Option<i128> {
    let number: f64 = text.trim().parse().ok()?;
    (number.abs() <= MAX_VALUE).then(|| (number * MILLION).round() as i128)
}

fn plain(millionths: i128) -> f64 {
    millionths as f64 / MILLION
}
