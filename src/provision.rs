//! Makes a cluster a detection desk: what Picket sets up there, planned before it is done. Undoes
//! nothing that it did not make, and never touches a document.

mod cluster;
mod desk;
mod detectors;
mod diff;
mod export;
mod fields;
mod indices;
mod jobs;
pub mod kibana;
mod ml;
mod plan;
mod record;

use std::collections::BTreeSet;

use self::cluster::Cluster;
use self::plan::Found;
use crate::store::elastic::client::{Request, encode, get};
use crate::store::elastic::{Elastic, Kind as ServerKind};
use crate::store::{Sources, StoreError};

pub use desk::Desk;
pub use diff::Change;
pub use export::{Body, bodies, export, job_files};
pub use ml::Span;
pub use plan::{Action, Kind, Outcome, Part, Piece, Plan, Step};
pub use record::Record;

/// What is to be set up, and where.
pub struct Provision<'e> {
    elastic: &'e Elastic,
    /// What is swept: these indices get Picket's fields.
    sources: Sources,
    parts: BTreeSet<Part>,
    /// Where dashboards go; none: nowhere.
    desk: Option<&'e Desk>,
    /// The buckets of anomaly jobs.
    span: Span,
}

impl<'e> Provision<'e> {
    /// Those parts of it.
    pub fn new(elastic: &'e Elastic, sources: Sources, parts: BTreeSet<Part>) -> Self {
        Self {
            elastic,
            sources,
            parts,
            desk: None,
            span: Span::default(),
        }
    }

    /// The same, and dashboards there.
    #[must_use]
    pub fn showing(mut self, desk: Option<&'e Desk>) -> Self {
        self.desk = desk;
        self
    }

    /// The same, with such buckets in anomaly jobs.
    #[must_use]
    pub fn spanning(mut self, span: Span) -> Self {
        self.span = span;
        self
    }

    /// Reads what is there, and says what is to be done. Changes nothing.
    ///
    /// # Errors
    /// The cluster is away, or does not accept the credentials.
    pub async fn plan(&self) -> Result<Plan, StoreError> {
        let cluster = Cluster::look(self.elastic.client()).await?;
        let record = record::read(self.elastic.client()).await?;
        let mut plan = Plan::new(self.name());
        if self.parts.contains(&Part::Indices) {
            for piece in indices::pieces(&cluster.offered, &self.sources.0) {
                let found = match &piece.forbidden {
                    Some(why) => Found::Refused(why.clone()),
                    None => cluster.read(piece.kind, &piece.name).await?,
                };
                plan.steps.push(plan::decide(piece, found, &record));
            }
            plan.steps
                .extend(fields::steps(self.elastic.client(), &self.sources.0).await?);
        }
        let shapes = match self.parts.iter().any(|part| *part != Part::Indices) {
            true => self.shapes().await?,
            false => Vec::new(),
        };
        if self.parts.contains(&Part::Ml) {
            plan.steps
                .extend(self.jobs(&cluster, &shapes, &record).await?);
        }
        if self.parts.contains(&Part::Kibana) {
            match self.desk {
                Some(desk) => {
                    plan.steps.extend(desk.plan(&shapes, &record).await?);
                }
                None => plan.steps.push(
                    Step::new(Kind::Dashboard, "all of them", Action::Skipped).because(
                        "no Kibana is named; `kibana: { url: .. }` in picket.yml does, and \
                         `picket provision export` writes files to be imported by hand",
                    ),
                ),
            }
        }
        Ok(plan)
    }

    /// Steps for jobs or detectors.
    async fn jobs(
        &self,
        cluster: &Cluster<'_>,
        shapes: &[kibana::Shape],
        record: &Record,
    ) -> Result<Vec<Step>, StoreError> {
        let opensearch = self.elastic.server().kind == ServerKind::OpenSearch;
        if let Some(why) = cluster.learning().await? {
            let kind = if opensearch {
                Kind::Detector
            } else {
                Kind::Job
            };
            return Ok(vec![
                Step::new(kind, "all of them", Action::Skipped).because(why),
            ]);
        }
        let (pieces, mut steps) = match opensearch {
            true => detectors::pieces(shapes),
            false => (ml::pieces(shapes, self.span), Vec::new()),
        };
        for piece in pieces {
            let found = cluster.read(piece.kind, &piece.name).await?;
            let mut step = plan::decide(piece, found, record);
            // Of an index it matters only that it is there.
            if step.kind == Kind::Index && step.action != Action::Create {
                step.action = Action::Unchanged;
                (step.why, step.changes) = (None, Vec::new());
            }
            steps.push(step);
        }
        Ok(steps)
    }

    /// A step for each job that Picket made, to be started or stopped.
    ///
    /// # Errors
    /// As [`Provision::plan`].
    pub async fn switching(&self, on: bool) -> Result<Plan, StoreError> {
        let record = record::read(self.elastic.client()).await?;
        let mut plan = Plan::new(self.name());
        let action = if on { Action::Start } else { Action::Stop };
        for (kind, name, _) in record.all() {
            if kind.part() == Part::Ml {
                plan.steps.push(Step::new(kind, name, action));
            }
        }
        // What feeds a job stops before it.
        if !on {
            plan.steps.reverse();
        }
        Ok(plan)
    }

    /// Starts or stops them; jobs that start read what is there since that moment, in milliseconds
    /// since 1970 (UTC), or all of it.
    ///
    /// # Errors
    /// As [`Provision::apply`].
    pub async fn switch(&self, plan: &mut Plan, since: Option<i64>) -> Result<(), StoreError> {
        let cluster = Cluster::look(self.elastic.client()).await?;
        for step in &mut plan.steps {
            let on = step.action == Action::Start;
            let outcome = cluster.set(step.kind, &step.name, on, since).await?;
            step.outcome = Some(outcome);
        }
        Ok(())
    }

    fn name(&self) -> String {
        match self.desk {
            Some(desk) => format!("{}, {desk}", self.elastic.server()),
            None => self.elastic.server().to_string(),
        }
    }

    /// The shapes of Windows events that the indices hold, by the fields that they map.
    async fn shapes(&self) -> Result<Vec<kibana::Shape>, StoreError> {
        let told: Vec<&str> = kibana::Shape::ALL.iter().map(|s| s.told_by()).collect();
        let told = told.join(",");
        let path = format!("{}/_field_caps", encode(&self.sources.0.join(",")));
        let request = Request {
            query: &[
                ("fields", &told),
                ("ignore_unavailable", "true"),
                ("allow_no_indices", "true"),
            ],
            ..get(&path)
        };
        let said: serde_json::Value = self.elastic.client().ask(request).await?;
        let told = |shape: &kibana::Shape| shape.is_told(&said["fields"]);
        Ok(kibana::Shape::ALL.into_iter().filter(told).collect())
    }

    /// What Picket made there and would take away again, the last first.
    ///
    /// # Errors
    /// As [`Provision::plan`].
    pub async fn removal(&self) -> Result<Plan, StoreError> {
        let cluster = Cluster::look(self.elastic.client()).await?;
        let record = record::read(self.elastic.client()).await?;
        let mut plan = Plan::new(self.name());
        for (kind, name, made) in record.all() {
            if kind.part() == Part::Kibana || !self.parts.contains(&kind.part()) {
                continue;
            }
            let found = cluster.read(kind, &name).await?;
            plan.steps.push(plan::undo(kind, name, found, &made));
        }
        if let Some(desk) = self.desk.filter(|_| self.parts.contains(&Part::Kibana)) {
            plan.steps.extend(desk.removal(&record).await?);
        }
        plan.steps.sort_by_key(|step| std::cmp::Reverse(step.kind));
        Ok(plan)
    }

    /// Does what the plan says, step by step, and keeps a record of it. A step that fails does not
    /// keep the others waiting; the plan then says which it was.
    ///
    /// # Errors
    /// The cluster goes away meanwhile, or the record cannot be kept.
    pub async fn apply(&self, plan: &mut Plan) -> Result<(), StoreError> {
        let client = self.elastic.client();
        let mut record = record::read(client).await?;
        let done = self.steps(&mut plan.steps, &mut record).await;
        // Also of what was done before something went away.
        let kept = record::write(client, &record).await;
        done.and(kept)
    }

    async fn steps(&self, steps: &mut [Step], record: &mut Record) -> Result<(), StoreError> {
        let cluster = Cluster::look(self.elastic.client()).await?;
        for step in steps.iter_mut() {
            if step.kind.part() != Part::Kibana {
                self.step(&cluster, step, record).await?;
            }
        }
        let Some(desk) = self.desk else {
            return Ok(());
        };
        // Kibana shows no job that it was not told of.
        let done = |step: &Step| step.acts() && step.outcome == Some(Outcome::Done);
        if steps
            .iter()
            .any(|step| step.kind.part() == Part::Ml && done(step))
        {
            desk.know_jobs().await;
        }
        desk.apply(steps, record).await
    }

    async fn step(
        &self,
        cluster: &Cluster<'_>,
        step: &mut Step,
        record: &mut Record,
    ) -> Result<(), StoreError> {
        let (kind, name) = (step.kind, step.name.clone());
        match (step.action, &step.body) {
            (Action::Create | Action::Update, Some(body)) => {
                let there = step.action == Action::Update;
                let mut outcome = cluster.write(kind, &name, body, there).await?;
                // What counts is what is then there.
                if outcome == Outcome::Done {
                    outcome = match cluster.read(kind, &name).await? {
                        Found::There(theirs)
                            if !kind.is_verbatim() || diff::holds(&theirs, body) =>
                        {
                            if kind.is_recorded() {
                                record.made(kind, &name, body, &theirs);
                            }
                            Outcome::Done
                        }
                        _ => Outcome::Failed(
                            "it was accepted, but is not there as it was sent; look at it".into(),
                        ),
                    };
                }
                step.outcome = Some(outcome);
            }
            (Action::Unchanged, Some(body)) if step.adopt => {
                if let Found::There(theirs) = cluster.read(kind, &name).await? {
                    record.made(kind, &name, body, &theirs);
                }
            }
            (Action::Remove, _) => {
                let outcome = cluster.delete(kind, &name).await?;
                if outcome == Outcome::Done {
                    record.forget(kind, &name);
                }
                step.outcome = Some(outcome);
            }
            (Action::Gone, _) => record.forget(kind, &name),
            _ => {}
        }
        Ok(())
    }
}
