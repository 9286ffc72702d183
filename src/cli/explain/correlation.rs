//! `picket explain` of a correlation: how near the documents of each group come to what it asks, and
//! which of its rules' documents are in no group. Finds; `view` draws the answer.

mod view;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use super::{Args, documents};
use crate::cli::head::Head;
use crate::cli::{Failure, Output, machine};
use crate::config::Config;
use crate::detect::correlate::{Correlator, Group};
use crate::detect::sigma::SigmaDetector;
use crate::document::Document;
use crate::rule::RuleSet;
use crate::rule::correlation::{Correlation, Named};
use crate::sweep::Ledger;
use crate::taxonomy::{Event, Fields, Reader, Slots};

/// A correlation among the rules that it is about.
pub(super) struct Meant {
    pub(super) set: RuleSet,
    pub(super) fields: Fields,
    pub(super) number: usize,
}

/// What a machine reads.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    head: Head<'a>,
    holds: bool,
    asks: &'a str,
    documents: u64,
    groups: usize,
    rules: Vec<Spoken>,
    nearest: Vec<Near<'a>>,
}

/// One of its rules.
#[derive(Default, Serialize)]
struct Spoken {
    rule: String,
    /// For how many documents it holds; `None` of a correlation.
    held: Option<u64>,
    /// How many of them lack what.
    without: BTreeMap<String, u64>,
}

#[derive(Serialize)]
struct Near<'a> {
    holds: bool,
    measured: &'a str,
    common: BTreeMap<&'a str, &'a str>,
    documents: Vec<Said<'a>>,
}

#[derive(Serialize)]
struct Said<'a> {
    time: i64,
    rule: &'a str,
    index: &'a str,
    id: &'a str,
}

/// Explains it on all documents that are named.
pub(super) fn explain(
    meant: Meant,
    args: &Args,
    config: &Config,
    output: Output,
) -> Result<(), Failure> {
    let Meant {
        set,
        fields,
        number,
    } = meant;
    let set = Arc::new(set);
    let mut detector = SigmaDetector::new(Arc::clone(&set), &fields, config.alert_levels);
    let correlator = detector.correlator();
    let Some(correlation) = correlator.get(number) else {
        return Ok(());
    };
    let mut seen = Seen::new(correlation);
    let (reader, mut slots) = (Reader::new(&fields), Slots::default());
    let mut problems = Vec::new();
    documents::each(
        &args.document,
        config,
        &mut |document: &Document| match reader.read(&document.source, &mut slots) {
            Ok(()) => {
                let event = Event::new(document, &slots);
                seen.event(&event, &mut detector, &correlator, number);
            }
            Err(error) => problems.push(format!("{}: {error}", document.id.id)),
        },
    )?;
    super::warn(&problems);
    if seen.documents == 0 {
        return Err(super::no_document(args));
    }
    let groups = seen.ledger.explain(&correlator, number);
    let shown = groups.get(..args.limit.max(1)).unwrap_or(&groups);
    let mut out = anstream::stdout().lock();
    if output != Output::Table {
        let line = Line {
            head: correlation.into(),
            holds: groups.iter().any(|group| group.holds),
            asks: &correlation.asks,
            documents: seen.documents,
            groups: groups.len(),
            rules: seen.rules,
            nearest: shown.iter().map(|group| near(correlation, group)).collect(),
        };
        machine::rows(&mut out, output, &[line])?;
        return Ok(());
    }
    view::head(&mut out, correlation)?;
    for group in shown {
        view::group(&mut out, correlation, group, args.all)?;
    }
    view::foot(&mut out, &seen, &groups, shown.len(), &args.document)?;
    Ok(())
}

/// What was seen of the documents.
struct Seen {
    documents: u64,
    ledger: Ledger,
    rules: Vec<Spoken>,
}

impl Seen {
    fn new(correlation: &Correlation) -> Self {
        let rules = correlation.members.iter().map(|member| Spoken {
            rule: member.name.to_string(),
            held: matches!(member.rule, Named::Rule(_)).then_some(0),
            ..Spoken::default()
        });
        Self {
            documents: 0,
            ledger: Ledger::default(),
            rules: rules.collect(),
        }
    }

    fn event(
        &mut self,
        event: &Event<'_>,
        detector: &mut SigmaDetector,
        correlator: &Correlator,
        number: usize,
    ) {
        self.documents += 1;
        for rule in detector.hits(event) {
            let members = correlator
                .get(number)
                .into_iter()
                .flat_map(|of| &of.members);
            for (member, named) in members.enumerate() {
                if named.rule == Named::Rule(*rule as usize)
                    && let Some(spoken) = self.rules.get_mut(member)
                {
                    *spoken.held.get_or_insert_default() += 1;
                    for name in correlator.lacks(number, member, event) {
                        *spoken.without.entry(name.to_owned()).or_default() += 1;
                    }
                }
            }
            for (of, hit) in correlator.hits(*rule, event) {
                self.ledger.keep(of, hit);
            }
        }
    }
}

fn near<'a>(correlation: &'a Correlation, group: &'a Group) -> Near<'a> {
    let documents = group.hits.iter().map(|hit| Said {
        time: hit.time,
        rule: name(correlation, hit.part.member),
        index: &hit.document.index,
        id: &hit.document.id,
    });
    Near {
        holds: group.holds,
        measured: &group.measured,
        common: common(correlation, group).collect(),
        documents: documents.collect(),
    }
}

fn name(correlation: &Correlation, member: usize) -> &str {
    let member = correlation.members.get(member);
    member.map_or("", |member| &*member.name)
}

fn common<'a>(
    correlation: &'a Correlation,
    group: &'a Group,
) -> impl Iterator<Item = (&'a str, &'a str)> {
    let names = correlation.group_by.iter().map(|name| &**name);
    names.zip(group.common.iter().map(String::as_str))
}
