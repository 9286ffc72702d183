//! What becomes of the hits of a correlation, group by group, also where it does not hold: how near
//! each came, and what documents lack that are in no group. Pure, as all of correlating is.

use std::cmp::Ordering;

use super::window::{self, Moment};
use super::{Correlator, Hit};
use crate::rule::correlation::{Condition, Correlation};
use crate::taxonomy::Event;

/// A group of hits at the moment that comes nearest to what is asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// Whether the correlation holds then.
    pub holds: bool,
    /// What was measured, in words.
    pub measured: String,
    /// What the group has in common, in the order of [`Correlation::group_by`].
    pub common: Vec<String>,
    /// The hits of the window, in their order; the moment is that of the last.
    pub hits: Vec<Hit>,
    /// How far the measure is from what is asked; 0 where it holds.
    distance: f64,
}

impl Group {
    /// Which of two comes nearer: where the correlation holds is nearest.
    pub fn nearer(&self, other: &Self) -> Ordering {
        self.distance.total_cmp(&other.distance)
    }
}

impl Correlator {
    /// The moment at which the hits of one group of that correlation come nearest.
    pub fn nearest(&self, number: usize, hits: &mut Vec<Hit>) -> Option<Group> {
        let correlation = self.get(number)?;
        let moments = window::moments(correlation, hits);
        let near = moments
            .iter()
            .map(|moment| (distance(correlation, moment), moment));
        // Of several that are as near, the first.
        let (distance, moment) = near.min_by(|a, b| a.0.total_cmp(&b.0))?;
        let inside = hits.get(moment.window.clone()).unwrap_or_default();
        Some(Group {
            holds: moment.holds,
            measured: window::said(correlation, moment.measure),
            common: inside.last()?.part.common.clone(),
            hits: inside.to_vec(),
            distance,
        })
    }

    /// What the event does not say of all that it must, to count in that correlation as that member:
    /// as the correlation calls it.
    pub fn lacks(&self, number: usize, member: usize, event: &Event<'_>) -> Vec<&str> {
        let Some(correlation) = self.get(number) else {
            return Vec::new();
        };
        let Some(named) = correlation.members.get(member) else {
            return Vec::new();
        };
        let names = correlation.group_by.iter().map(|name| &**name);
        let asked = names.zip(&named.group);
        let measured = std::iter::repeat(&*correlation.field).zip(&named.values);
        let without = asked
            .chain(measured)
            .filter(|(_, field)| event.text(**field).is_none());
        let no_time = event.time().is_none().then_some("a time");
        no_time
            .into_iter()
            .chain(without.map(|(name, _)| name))
            .collect()
    }
}

/// How far a moment is from what is asked.
fn distance(correlation: &Correlation, moment: &Moment) -> f64 {
    if moment.holds {
        return 0.0;
    }
    let missed = match &correlation.condition {
        Condition::Measure(compared) => {
            let missed = compared
                .iter()
                .filter(|(compare, than)| !compare.holds(moment.measure, *than));
            missed.map(|(_, than)| (moment.measure - than).abs()).sum()
        }
        Condition::Rules(_) => (correlation.members.len() as f64 - moment.measure).max(0.0),
    };
    // What is not more than 5 but 5 is as far as can be told.
    f64::max(missed, f64::MIN_POSITIVE)
}
