//! Kibana or OpenSearch Dashboards, over its own interface: what it is, which saved objects are
//! there, and their import. An answer with status 200 may have refused everything: what counts is
//! what it says of each object.

mod said;

use elasticsearch::http::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use tracing::warn;

use self::said::{Imported, Refused, message, problem, stranger, there, why};
use super::diff;
use super::kibana::{self, Shape, Target};
use super::plan::{self, Action, Found, Kind, Outcome, Part, Piece, Step};
use super::record::Record;
use crate::store::StoreError;
use crate::store::elastic::Connection;
use crate::store::elastic::client::{Answer, Client, Request, bad, encode, get, post, unavailable};

/// What stands between the parts of an upload; no text of ours holds it.
const BOUNDARY: &str = "picket-5d1f0a3e7c9b4628";
const MULTIPART: &str = "multipart/form-data; boundary=picket-5d1f0a3e7c9b4628";

/// A Kibana or OpenSearch Dashboards that answers.
#[derive(Debug)]
pub struct Desk {
    json: Client,
    upload: Client,
    /// The space, and what its paths begin with.
    space: Option<String>,
    prefix: String,
    target: Target,
    version: String,
}

#[derive(Deserialize)]
struct Status {
    version: Option<Version>,
}

#[derive(Deserialize)]
struct Version {
    number: String,
}

impl Desk {
    /// Connects, and asks what is there.
    ///
    /// # Errors
    /// It is away, does not accept the credentials, is too old, or has no such space.
    pub async fn connect(connection: &Connection, space: Option<&str>) -> Result<Self, StoreError> {
        let client = Client::open(connection).await?;
        // Either asks for its own, as a browser would not send it by itself.
        let json = client
            .saying("kbn-xsrf", "picket")
            .saying("osd-xsrf", "picket");
        let upload = json.clone().saying("content-type", MULTIPART);
        let answer = json.send(get("api/status")).await?;
        let address = json.address().to_owned();
        let status: Status = match answer.status {
            200 => answer.read(&address).map_err(|_| stranger(&address))?,
            _ => return Err(problem(&answer, &address)),
        };
        // Who does not say a version wants to know who asks.
        let Some(Version { number: version }) = status.version else {
            return Err(bad(format!(
                "{address} does not say its version; give it a login (`kibana: {{ username: .. }}`)"
            )));
        };
        let target = target(&version, &address)?;
        let space = space.filter(|space| *space != "default").map(str::to_owned);
        let prefix = space
            .as_ref()
            .map_or(String::new(), |space| format!("s/{space}/"));
        let desk = Self {
            json,
            upload,
            space,
            prefix,
            target,
            version,
        };
        desk.check_space().await?;
        Ok(desk)
    }

    /// For which servers its objects are stamped.
    pub fn target(&self) -> Target {
        self.target
    }

    /// Objects can be written into a space that does not exist, where nobody ever sees them.
    async fn check_space(&self) -> Result<(), StoreError> {
        let Some(space) = &self.space else {
            return Ok(());
        };
        let address = self.json.address();
        if self.target == Target::OpenSearchDashboards {
            return Err(bad(format!(
                "OpenSearch Dashboards at {address} has no spaces; leave `space` out"
            )));
        }
        let path = format!("api/spaces/space/{}", encode(space));
        let answer = self.json.send(get(&path)).await?;
        match answer.status {
            200 => Ok(()),
            404 => Err(bad(format!(
                "{address} has no space `{space}`; make it in Stack Management, or leave `space` out"
            ))),
            _ => Err(problem(&answer, address)),
        }
    }

    /// A step for each object that a desk for events of those shapes has.
    ///
    /// # Errors
    /// It is away, or refuses to say what is there.
    pub async fn plan(&self, shapes: &[Shape], record: &Record) -> Result<Vec<Step>, StoreError> {
        let objects = kibana::dashboards(self.target, shapes).map_err(|problems| {
            let first = problems
                .first()
                .map(ToString::to_string)
                .unwrap_or_default();
            unavailable(format!("the sources of the dashboards are broken: {first}"))
        })?;
        let wanted: Vec<(Kind, &str)> = objects
            .iter()
            .map(|object| (kind_of(object.kind), object.id.as_str()))
            .collect();
        let found = self.read(&wanted).await?;
        let steps = objects.iter().zip(found).map(|(object, found)| {
            let kind = kind_of(object.kind);
            let made = record.of(kind, &self.record_name(&object.id));
            let piece = Piece {
                kind,
                name: object.id.clone(),
                title: Some(object.title.clone()),
                body: object.json.clone(),
                forbidden: None,
            };
            plan::decide_on(piece, found, made, |theirs, ours| {
                let said = json!({
                    "attributes": ours["attributes"],
                    "references": ours["references"],
                });
                diff::changes(&unfolded(theirs), &unfolded(&said))
            })
        });
        Ok(steps.collect())
    }

    /// A step for each object that Picket made in this space.
    ///
    /// # Errors
    /// As [`Desk::plan`].
    pub async fn removal(&self, record: &Record) -> Result<Vec<Step>, StoreError> {
        let made: Vec<_> = record.all();
        let made: Vec<_> = made
            .iter()
            .filter(|(kind, ..)| kind.part() == Part::Kibana)
            .filter_map(|(kind, name, made)| Some((*kind, self.id_of(name)?, made)))
            .collect();
        let wanted: Vec<(Kind, &str)> = made.iter().map(|(kind, id, _)| (*kind, *id)).collect();
        let found = self.read(&wanted).await?;
        let steps = made.into_iter().zip(found);
        let undo = |((kind, id, made), found): ((Kind, &str, _), _)| {
            plan::undo(kind, id.to_owned(), found, made)
        };
        Ok(steps.map(undo).collect())
    }

    /// What is there of each of those objects.
    pub(super) async fn read(&self, wanted: &[(Kind, &str)]) -> Result<Vec<Found>, StoreError> {
        let mut found = Vec::with_capacity(wanted.len());
        for some in wanted.chunks(100) {
            let asked = some
                .iter()
                .map(|(kind, id)| json!({ "type": type_of(*kind), "id": id }));
            let body = Value::Array(asked.collect()).to_string();
            let path = format!("{}api/saved_objects/_bulk_get", self.prefix);
            let answer = self.json.send(post(&path, &[], body.as_bytes())).await?;
            if matches!(answer.status, 401 | 403) {
                let why = format!("not allowed to look at it: {}", message(&answer.body));
                found.extend(some.iter().map(|_| Found::Refused(why.clone())));
                continue;
            }
            if answer.status != 200 {
                return Err(problem(&answer, self.json.address()));
            }
            let said: Value = answer.read(self.json.address())?;
            let objects = said["saved_objects"]
                .as_array()
                .cloned()
                .unwrap_or_default();
            if objects.len() != some.len() {
                return Err(unavailable(format!(
                    "{} speaks of {} objects where {} were asked for",
                    self.json.address(),
                    objects.len(),
                    some.len()
                )));
            }
            found.extend(objects.iter().map(there));
        }
        Ok(found)
    }

    /// Does the steps that are Kibana's: what is to be written in one import, so that references
    /// find each other, then what is to go. Keeps a record of it.
    ///
    /// # Errors
    /// It goes away meanwhile.
    pub async fn apply(&self, steps: &mut [Step], record: &mut Record) -> Result<(), StoreError> {
        let mut ours: Vec<&mut Step> = steps
            .iter_mut()
            .filter(|step| step.kind.part() == Part::Kibana)
            .collect();
        let writes = |step: &Step| step.acts() && step.body.is_some();
        let file: String = ours
            .iter()
            .filter(|step| writes(step))
            .filter_map(|step| step.body.as_ref())
            .map(|object| format!("{object}\n"))
            .collect();
        if !file.is_empty() {
            let refused = self.import(&file).await?;
            let written: Vec<&mut &mut Step> =
                ours.iter_mut().filter(|step| writes(step)).collect();
            let names: Vec<(Kind, String)> = written
                .iter()
                .map(|step| (step.kind, step.name.clone()))
                .collect();
            let wanted: Vec<(Kind, &str)> = names
                .iter()
                .map(|(kind, name)| (*kind, name.as_str()))
                .collect();
            let there = self.read(&wanted).await?;
            for (step, there) in written.into_iter().zip(there) {
                step.outcome = Some(outcome(
                    step,
                    there,
                    &refused,
                    self.record_name(&step.name),
                    record,
                ));
            }
        }
        for step in &mut ours {
            let name = self.record_name(&step.name);
            match step.action {
                Action::Remove => {
                    let outcome = self.delete(step.kind, &step.name).await?;
                    if outcome == Outcome::Done {
                        record.forget(step.kind, &name);
                    }
                    step.outcome = Some(outcome);
                }
                Action::Gone => record.forget(step.kind, &name),
                _ => {}
            }
        }
        Ok(())
    }

    /// Tells it of jobs that were made beside it.
    pub(super) async fn know_jobs(&self) {
        let path = format!("{}api/ml/saved_objects/sync", self.prefix);
        let told = self.json.send(get(&path)).await;
        if !matches!(told, Ok(Answer { status: 200, .. })) {
            let what = "Machine Learning, Jobs, Synchronize saved objects";
            warn!("{self} does not take note of the jobs; {what} in Kibana does");
        }
    }

    /// The name under which the record has an object: the same id may stand in several spaces.
    pub(super) fn record_name(&self, id: &str) -> String {
        match &self.space {
            Some(space) => format!("{space}/{id}"),
            None => id.to_owned(),
        }
    }

    /// The id of an object of this space that the record has under that name.
    pub(super) fn id_of<'n>(&self, name: &'n str) -> Option<&'n str> {
        match (&self.space, name.split_once('/')) {
            (Some(space), Some((of, id))) if space == of => Some(id),
            (None, None) => Some(name),
            _ => None,
        }
    }

    /// Imports a file of objects; what was not taken.
    async fn import(&self, file: &str) -> Result<Vec<Refused>, StoreError> {
        let body = format!(
            "--{BOUNDARY}\r\ncontent-disposition: form-data; name=\"file\"; \
             filename=\"picket.ndjson\"\r\ncontent-type: application/ndjson\r\n\r\n\
             {file}\r\n--{BOUNDARY}--\r\n"
        );
        let path = format!("{}api/saved_objects/_import", self.prefix);
        let query = [("overwrite", "true")];
        let answer = self
            .upload
            .send(post(&path, &query, body.as_bytes()))
            .await?;
        if answer.status != 200 {
            return Err(problem(&answer, self.json.address()));
        }
        let imported: Imported = answer.read(self.json.address())?;
        if !imported.success && imported.errors.is_empty() {
            return Err(bad(format!(
                "{} refuses the import and does not say why",
                self.json.address()
            )));
        }
        Ok(imported.errors)
    }

    async fn delete(&self, kind: Kind, id: &str) -> Result<Outcome, StoreError> {
        let (kind, id) = (type_of(kind), encode(id));
        let path = format!("{}api/saved_objects/{kind}/{id}", self.prefix);
        let request = Request {
            method: Method::Delete,
            ..get(&path)
        };
        let answer = self.json.send(request).await?;
        Ok(match answer.status {
            200 | 204 | 404 => Outcome::Done,
            400..500 => Outcome::Failed(format!(
                "{}; delete it in Stack Management, Saved Objects",
                message(&answer.body)
            )),
            _ => return Err(problem(&answer, self.json.address())),
        })
    }
}

impl std::fmt::Display for Desk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = match self.target {
            Target::OpenSearchDashboards => "OpenSearch Dashboards",
            Target::Kibana717 | Target::Kibana88 => "Kibana",
        };
        write!(f, "{kind} {}", self.version)?;
        match &self.space {
            Some(space) => write!(f, ", space {space}"),
            None => Ok(()),
        }
    }
}

/// What became of an object that was to be written.
fn outcome(
    step: &Step,
    there: Found,
    refused: &[Refused],
    name: String,
    record: &mut Record,
) -> Outcome {
    let about = |r: &&Refused| r.id == step.name && r.kind == type_of(step.kind);
    if let Some(refused) = refused.iter().find(about) {
        return Outcome::Failed(why(&refused.error));
    }
    match (there, &step.body) {
        (Found::There(theirs), Some(ours))
            if theirs.pointer("/attributes/title") == ours.pointer("/attributes/title") =>
        {
            record.made(step.kind, &name, ours, &theirs);
            Outcome::Done
        }
        _ => Outcome::Failed("it was accepted, but is not there as it was sent; look at it".into()),
    }
}

/// The same with the JSON texts inside of it as what they say, to be told apart value by value.
fn unfolded(value: &Value) -> Value {
    match value {
        Value::String(text) if text.starts_with(['{', '[']) => {
            serde_json::from_str(text).map_or_else(|_| value.clone(), |inner| unfolded(&inner))
        }
        Value::Array(list) => list.iter().map(unfolded).collect(),
        Value::Object(map) => {
            let inner = map
                .iter()
                .map(|(key, value)| (key.clone(), unfolded(value)));
            Value::Object(inner.collect())
        }
        plain => plain.clone(),
    }
}

fn target(version: &str, address: &str) -> Result<Target, StoreError> {
    let mut parts = version
        .split('.')
        .map(|part| part.parse::<u32>().unwrap_or(0));
    let (major, minor) = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    match (major, minor) {
        (1..=4, _) => Ok(Target::OpenSearchDashboards),
        (8, 8..) | (9.., _) => Ok(Target::Kibana88),
        (7, 17..) | (8, _) => Ok(Target::Kibana717),
        _ => Err(bad(format!(
            "Kibana {version} at {address} is too old; dashboards need 7.17 or later"
        ))),
    }
}

/// What the server calls a kind.
pub(super) fn type_of(kind: Kind) -> &'static str {
    match kind {
        Kind::DataView => "index-pattern",
        Kind::Search => "search",
        Kind::Visualization => "visualization",
        Kind::Lens => "lens",
        _ => "dashboard",
    }
}

/// What a type of the server is called here.
pub(super) fn kind_of(kind: &str) -> Kind {
    match kind {
        "index-pattern" => Kind::DataView,
        "search" => Kind::Search,
        "visualization" => Kind::Visualization,
        "lens" => Kind::Lens,
        _ => Kind::Dashboard,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_version_gets_what_it_takes() {
        for (version, expected) in [
            ("1.3.2", Some(Target::OpenSearchDashboards)),
            ("3.1.0", Some(Target::OpenSearchDashboards)),
            ("7.17.29", Some(Target::Kibana717)),
            ("8.7.1", Some(Target::Kibana717)),
            ("8.8.0", Some(Target::Kibana88)),
            ("9.4.0-SNAPSHOT", Some(Target::Kibana88)),
            ("7.16.3", None),
            ("5.3.0", None),
            ("", None),
        ] {
            assert_eq!(target(version, "a").ok(), expected, "{version}");
        }
    }
}
