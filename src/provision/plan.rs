//! The plan: for each thing that Picket sets up whether it is to be made, changed, left, or asked
//! about. Decides from what is there and what Picket knows to have made; asks no server.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::diff::{self, Change};
use super::record::{Made, Record};

/// How the description of what Picket made ends, where there is no better place for a mark.
pub(super) const MADE: &str = "Made by Picket.";

/// A part that can be provisioned by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Templates, policies, pipeline, fields and roles.
    Indices,
    /// Data views, searches, panels and dashboards.
    Kibana,
    /// Anomaly jobs.
    Ml,
}

/// What kind of thing it is, in the order in which they are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Mappings to be included by templates.
    ComponentTemplate,
    /// When an index is rolled over: ILM of Elasticsearch.
    LifecyclePolicy,
    /// The same on OpenSearch: ISM.
    StatePolicy,
    /// What is done with a document before it is indexed.
    Pipeline,
    /// Settings and mappings of indices that are made later.
    IndexTemplate,
    /// The first index behind an alias.
    Index,
    /// Picket's fields in an index that is there.
    Fields,
    /// What somebody is allowed.
    Role,
    /// A job of Elastic's anomaly detection.
    Job,
    /// What feeds such a job.
    Datafeed,
    /// What makes a table of numbers of events.
    Transform,
    /// A job that looks for what lies apart in such a table.
    Outliers,
    /// A detector of OpenSearch's Anomaly Detection.
    Detector,
    /// Which indices people look at under one name.
    DataView,
    /// A search that people open.
    Search,
    /// A picture of a search.
    Visualization,
    /// The same, made in Lens.
    Lens,
    /// Pictures and searches on one page.
    Dashboard,
}

impl Kind {
    /// What people call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::ComponentTemplate => "component template",
            Self::LifecyclePolicy => "lifecycle policy",
            Self::StatePolicy => "state policy",
            Self::Pipeline => "ingest pipeline",
            Self::IndexTemplate => "index template",
            Self::Index => "index",
            Self::Fields => "fields of index",
            Self::Role => "role",
            Self::Job => "anomaly job",
            Self::Datafeed => "datafeed",
            Self::Transform => "transform",
            Self::Outliers => "outlier job",
            Self::Detector => "detector",
            Self::DataView => "data view",
            Self::Search => "search",
            Self::Visualization => "visualization",
            Self::Lens => "lens",
            Self::Dashboard => "dashboard",
        }
    }

    /// The part that it belongs to.
    pub fn part(self) -> Part {
        match self {
            Self::DataView | Self::Search | Self::Visualization | Self::Lens | Self::Dashboard => {
                Part::Kibana
            }
            Self::Job | Self::Datafeed | Self::Transform | Self::Outliers | Self::Detector => {
                Part::Ml
            }
            _ => Part::Indices,
        }
    }

    /// Whether a server gives it back in the words in which it was sent, on every version that the
    /// tests run on.
    pub(super) fn is_verbatim(self) -> bool {
        let others = [Self::LifecyclePolicy, Self::StatePolicy, Self::Index];
        self.part() == Part::Indices && !others.contains(&self)
    }

    /// What of it cannot be changed in place.
    fn fixed(self) -> &'static [&'static str] {
        match self {
            Self::Job => &[
                "analysis_config",
                "data_description",
                "analysis_limits.categorization_examples_limit",
            ],
            Self::Transform => &["pivot"],
            Self::Outliers => &["source", "dest", "analysis", "analyzed_fields"],
            _ => &[],
        }
    }

    /// Whether what it found goes with it.
    fn holds_results(self) -> bool {
        matches!(self, Self::Job | Self::Datafeed)
    }

    /// Whether it can be taken away again: what holds documents never is.
    pub(super) fn is_recorded(self) -> bool {
        !matches!(self, Self::Index | Self::Fields)
    }
}

/// One thing as it shall be.
#[derive(Clone, Debug, PartialEq)]
pub struct Piece {
    /// What it is.
    pub kind: Kind,
    /// Its name there.
    pub name: String,
    /// What people see, where that is not its name.
    pub title: Option<String>,
    /// What it says.
    pub body: Value,
    /// Why it cannot be there, and what to do.
    pub forbidden: Option<String>,
}

/// What is there of a thing.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Found {
    /// This.
    There(Value),
    /// Nothing.
    Absent,
    /// It cannot be there, or we may not look. Why, and what to do.
    Refused(String),
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// It is not there.
    Create,
    /// It is there as Picket made it, and today's is another.
    Update,
    /// It is there as it shall be.
    Unchanged,
    /// Somebody else made or changed it: to be asked about.
    Conflict,
    /// It cannot be.
    Skipped,
    /// It is taken away.
    Remove,
    /// It is to be taken away, and is not there any more.
    Gone,
    /// It is set going.
    Start,
    /// It is halted.
    Stop,
}

/// What became of a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Done, and seen to be there.
    Done,
    /// Not done. Why.
    Failed(String),
    /// Left as it is, for nobody may write there. Why.
    Left(String),
}

/// One thing, and what is to be done about it.
#[derive(Clone, Debug, Serialize)]
pub struct Step {
    /// What it is.
    pub kind: Kind,
    /// Its name there.
    pub name: String,
    /// What people see, where that is not its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What is to be done.
    pub action: Action,
    /// Why, where that is not plain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// What would change; nothing for what is made or taken away.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Change>,
    /// What became of it, once it was tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// What it shall say.
    #[serde(skip)]
    pub(super) body: Option<Value>,
    /// Picket's mark is on it, and the record does not know of it.
    #[serde(skip)]
    pub(super) adopt: bool,
}

impl Step {
    pub(super) fn new(kind: Kind, name: impl Into<String>, action: Action) -> Self {
        Self {
            kind,
            name: name.into(),
            title: None,
            action,
            why: None,
            changes: Vec::new(),
            outcome: None,
            body: None,
            adopt: false,
        }
    }

    pub(super) fn because(mut self, why: impl Into<String>) -> Self {
        self.why = Some(why.into());
        self
    }

    /// Somebody who was asked wants it all the same.
    pub fn consent(&mut self) {
        if self.action == Action::Conflict {
            let wanted = match self.body {
                Some(_) => Action::Update,
                None => Action::Remove,
            };
            self.action = wanted;
        }
    }

    /// Whether something would be done.
    pub fn acts(&self) -> bool {
        matches!(
            self.action,
            Action::Create | Action::Update | Action::Remove | Action::Start | Action::Stop
        )
    }

    /// Whether it was tried in vain.
    pub fn failed(&self) -> bool {
        matches!(self.outcome, Some(Outcome::Failed(_)))
    }
}

/// Everything that is to be done.
#[derive(Clone, Debug, Serialize)]
pub struct Plan {
    /// What answers there.
    pub server: String,
    /// Step by step.
    pub steps: Vec<Step>,
}

impl Plan {
    pub(super) fn new(server: String) -> Self {
        Self {
            server,
            steps: Vec::new(),
        }
    }

    /// How many steps of an action there are.
    pub fn count(&self, action: Action) -> usize {
        let steps = self.steps.iter();
        steps.filter(|step| step.action == action).count()
    }
}

/// What is to be done about a thing, given what is there.
pub(super) fn decide(piece: Piece, found: Found, record: &Record) -> Step {
    let made = record.of(piece.kind, &piece.name);
    decide_on(piece, found, made, diff::changes)
}

/// The same, given what Picket knows to have made, and how what is there is told from what shall be.
pub(super) fn decide_on(
    piece: Piece,
    found: Found,
    made: Option<&Made>,
    changes: impl Fn(&Value, &Value) -> Vec<Change>,
) -> Step {
    let mut step = Step::new(piece.kind, piece.name, Action::Unchanged);
    step.title = piece.title;
    match found {
        Found::Refused(why) => {
            step.action = Action::Skipped;
            step.why = Some(why);
        }
        Found::Absent => step.action = Action::Create,
        Found::There(theirs) => {
            step.changes = changes(&theirs, &piece.body);
            let marked = is_marked(&theirs);
            let as_made = made.is_some_and(|made| made.is_as_made(&theirs));
            // A server may bring what it takes to its own ways.
            if made.is_some_and(|made| as_made && made.ours == diff::digest(&piece.body)) {
                step.changes.clear();
            }
            (step.action, step.why) = match (step.changes.is_empty(), made) {
                (true, Some(_)) if !as_made => (
                    Action::Unchanged,
                    Some("somebody added to it; that stays".into()),
                ),
                (true, made) => {
                    step.adopt = made.is_none() && marked;
                    (Action::Unchanged, None)
                }
                (false, Some(_)) if as_made => (Action::Update, None),
                (false, Some(_)) => (
                    Action::Conflict,
                    Some("somebody changed it since Picket made it".into()),
                ),
                (false, None) if marked => (
                    Action::Conflict,
                    Some("another Picket made it, or somebody changed it since".into()),
                ),
                (false, None) => (
                    Action::Conflict,
                    Some("something of that name is there that Picket did not make".into()),
                ),
            };
        }
    }
    let fixed = |change: &&Change| {
        let parts = piece.kind.fixed().iter();
        parts.clone().any(|part| change.path.starts_with(part))
    };
    if matches!(step.action, Action::Update | Action::Conflict)
        && let Some(change) = step.changes.iter().find(fixed)
    {
        step.why = Some(format!(
            "{} cannot be changed in place; `picket provision remove --only ml` and apply again \
             make it anew, and what it learnt goes",
            change.path
        ));
        step.action = Action::Skipped;
    }
    step.body = Some(piece.body);
    step
}

/// Whether it says of itself that Picket made it.
fn is_marked(theirs: &Value) -> bool {
    let places = ["/_meta/managed_by", "/metadata/managed_by"];
    let says = |place: &&str| theirs.pointer(place).and_then(Value::as_str) == Some("picket");
    let told = theirs.get("description").and_then(Value::as_str);
    places.iter().any(says) || told.is_some_and(|text| text.ends_with(MADE))
}

/// What is to be done to take a thing away that Picket made.
pub(super) fn undo(kind: Kind, name: String, found: Found, made: &Made) -> Step {
    let step = Step::new(kind, name, Action::Remove);
    match found {
        Found::There(theirs) if made.is_as_made(&theirs) && kind.holds_results() => Step {
            action: Action::Conflict,
            ..step.because("what the job found and learnt goes with it")
        },
        Found::There(theirs) if made.is_as_made(&theirs) => step,
        Found::There(_) => Step {
            action: Action::Conflict,
            ..step.because("somebody changed it since Picket made it")
        },
        Found::Absent => Step {
            action: Action::Gone,
            ..step.because("it is not there any more")
        },
        Found::Refused(why) => Step {
            action: Action::Skipped,
            ..step.because(why)
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn piece(body: Value) -> Piece {
        Piece {
            kind: Kind::Pipeline,
            name: "p".into(),
            title: None,
            body,
            forbidden: None,
        }
    }

    fn action(ours: Value, found: Found, record: &Record) -> (Action, bool) {
        let step = decide(piece(ours), found, record);
        (step.action, step.adopt)
    }

    #[test]
    fn what_somebody_changed_is_asked_about_and_what_somebody_added_stays() {
        let (first, second) = (json!({ "a": 1 }), json!({ "a": 2 }));
        let mut record = Record::default();
        let there = |value: &Value| Found::There(value.clone());
        assert_eq!(
            action(first.clone(), Found::Absent, &record).0,
            Action::Create
        );
        let others = action(first.clone(), there(&second), &record).0;
        assert_eq!(others, Action::Conflict, "nobody knows who made it");
        record.made(Kind::Pipeline, "p", &first, &first);
        let same = action(first.clone(), there(&first), &record);
        assert_eq!(same, (Action::Unchanged, false));
        let newer = action(second.clone(), there(&first), &record).0;
        assert_eq!(newer, Action::Update);
        let changed = action(first.clone(), there(&second), &record).0;
        assert_eq!(changed, Action::Conflict);
        let more = json!({ "a": 1, "b": 1 });
        let step = decide(piece(first), there(&more), &record);
        assert!(step.action == Action::Unchanged && step.why.is_some());
    }

    #[test]
    fn a_mark_without_a_record_is_taken_over_only_if_nothing_differs() {
        let record = Record::default();
        let marked = |a: u8| json!({ "a": a, "_meta": { "managed_by": "picket" } });
        let there = |value: Value| Found::There(value);
        let same = action(marked(1), there(marked(1)), &record);
        assert_eq!(same, (Action::Unchanged, true));
        let other = action(marked(1), there(marked(2)), &record).0;
        assert_eq!(other, Action::Conflict);
    }

    #[test]
    fn consent_turns_a_conflict_into_what_was_meant() {
        let record = Record::default();
        let found = Found::There(json!({ "a": 2 }));
        let mut step = decide(piece(json!({ "a": 1 })), found.clone(), &record);
        step.consent();
        assert_eq!(step.action, Action::Update);
        let made = Made::default();
        let mut step = undo(Kind::Pipeline, "p".into(), found, &made);
        assert_eq!(step.action, Action::Conflict);
        step.consent();
        assert_eq!(step.action, Action::Remove);
    }
}
