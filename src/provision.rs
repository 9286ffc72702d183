//! Makes a cluster a detection desk: what Picket sets up there, planned before it is done. Undoes
//! nothing that it did not make, and never touches a document.

mod cluster;
mod diff;
mod export;
mod fields;
mod indices;
pub mod kibana;
mod plan;
mod record;

use std::collections::BTreeSet;

use self::cluster::Cluster;
use self::plan::Found;
use self::record::Record;
use crate::store::elastic::Elastic;
use crate::store::{Sources, StoreError};

pub use diff::Change;
pub use export::export;
pub use plan::{Action, Kind, Outcome, Part, Piece, Plan, Step};

/// What is to be set up, and where.
pub struct Provision<'e> {
    elastic: &'e Elastic,
    /// What is swept: these indices get Picket's fields.
    sources: Sources,
    parts: BTreeSet<Part>,
}

impl<'e> Provision<'e> {
    /// Those parts of it.
    pub fn new(elastic: &'e Elastic, sources: Sources, parts: BTreeSet<Part>) -> Self {
        Self {
            elastic,
            sources,
            parts,
        }
    }

    /// Reads what is there, and says what is to be done. Changes nothing.
    ///
    /// # Errors
    /// The cluster is away, or does not accept the credentials.
    pub async fn plan(&self) -> Result<Plan, StoreError> {
        let cluster = Cluster::look(self.elastic.client()).await?;
        let record = record::read(self.elastic.client()).await?;
        let mut plan = Plan::new(self.elastic.server().to_string());
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
        Ok(plan)
    }

    /// What Picket made there and would take away again, the last first.
    ///
    /// # Errors
    /// As [`Provision::plan`].
    pub async fn removal(&self) -> Result<Plan, StoreError> {
        let cluster = Cluster::look(self.elastic.client()).await?;
        let record = record::read(self.elastic.client()).await?;
        let mut plan = Plan::new(self.elastic.server().to_string());
        for (kind, name, made) in record.all() {
            if self.parts.contains(&kind.part()) {
                let found = cluster.read(kind, &name).await?;
                plan.steps.push(plan::undo(kind, name, found, &made));
            }
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
        let cluster = Cluster::look(client).await?;
        let mut record = record::read(client).await?;
        let mut broken = None;
        for step in &mut plan.steps {
            match self.step(&cluster, step, &mut record).await {
                Ok(()) => {}
                Err(error) => {
                    broken = Some(error);
                    break;
                }
            }
        }
        // Also of what was done before the cluster went away.
        let kept = record::write(client, &record).await;
        broken.map_or(kept, Err)
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
                        Found::There(theirs) if diff::holds(&theirs, body) => {
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
