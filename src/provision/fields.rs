//! Picket's own fields in indices that are there: mapped before the first of them is written, so that
//! a level is a number and a digest is no text. Only adds; what is mapped stays as it is.

use elasticsearch::http::Method;
use serde_json::{Map, Value, json};

use super::diff::Change;
use super::plan::{Action, Kind, Step};
use crate::store::elastic::client::{Client, Request, encode};
use crate::store::elastic::schema;
use crate::store::{Sources, StoreError};

/// Types that can be asked whether they are larger than another number.
const NUMBERS: [&str; 9] = [
    "byte",
    "short",
    "integer",
    "long",
    "unsigned_long",
    "float",
    "half_float",
    "double",
    "scaled_float",
];

/// A step for each index of those patterns.
pub(super) async fn steps(client: &Client, patterns: &[String]) -> Result<Vec<Step>, StoreError> {
    let path = format!(
        "{}/_mapping/field/AlertLevel,Ignore,picket.*",
        encode(&patterns.join(","))
    );
    let request = Request {
        method: Method::Get,
        path: &path,
        query: &[("ignore_unavailable", "true"), ("allow_no_indices", "true")],
        body: None,
    };
    let Some(indices) = client.ask_for::<Map<String, Value>>(request).await? else {
        return Ok(Vec::new());
    };
    let sources = Sources(patterns.to_vec());
    let meant = |index: &String| !sources.never_feed(index);
    let mut steps: Vec<Step> = indices
        .iter()
        .filter(|(index, _)| meant(index))
        .map(|(index, said)| step(index, said))
        .collect();
    steps.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(steps)
}

fn step(index: &str, said: &Value) -> Step {
    let mapped = said.get("mappings").and_then(Value::as_object);
    let type_of = |field: &str| {
        let last = field.rsplit('.').next().unwrap_or(field);
        let mapping = mapped?.get(field)?.get("mapping")?.get(last)?;
        mapping.get("type")?.as_str()
    };
    for field in ["AlertLevel", "Ignore"] {
        if let Some(other) = type_of(field).filter(|known| !NUMBERS.contains(known)) {
            let why = format!(
                "{field} is {other} there and no number: sweeps work, but nothing can be sorted or \
                 summed by it; index the documents anew under a template with `picket-levels`"
            );
            return Step::new(Kind::Fields, index, Action::Skipped).because(why);
        }
    }
    let mut step = Step::new(Kind::Fields, index, Action::Unchanged);
    let (mut top, mut below) = (Map::new(), Map::new());
    let levels = schema::levels();
    for (field, mapping) in levels.as_object().into_iter().flatten() {
        let inner = mapping.get("properties").and_then(Value::as_object);
        for (name, mapping) in inner.into_iter().flatten() {
            let path = format!("{field}.{name}");
            if type_of(&path).is_none() {
                step.changes.push(change(&path, mapping));
                below.insert(name.clone(), mapping.clone());
            }
        }
        if inner.is_none() && type_of(field).is_none() {
            step.changes.push(change(field, mapping));
            top.insert(field.clone(), mapping.clone());
        }
    }
    if !below.is_empty() {
        top.insert("picket".into(), json!({ "properties": below }));
    }
    if !top.is_empty() {
        step.action = Action::Update;
        step.body = Some(json!({ "properties": top }));
    }
    step
}

fn change(path: &str, mapping: &Value) -> Change {
    Change {
        path: path.to_owned(),
        before: None,
        after: mapping.get("type").cloned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(fields: &[(&str, &str)]) -> Value {
        let entry = |(field, kind): &(&str, &str)| {
            let last = field.rsplit('.').next().unwrap();
            let mapping = json!({ "full_name": field, "mapping": { last: { "type": kind } } });
            ((*field).to_owned(), mapping)
        };
        json!({ "mappings": fields.iter().map(entry).collect::<Map<_, _>>() })
    }

    #[test]
    fn only_what_is_missing_is_added() {
        let fresh = step("a", &said(&[]));
        assert_eq!(fresh.action, Action::Update);
        assert_eq!(
            fresh.body,
            Some(json!({ "properties": schema::levels() })).map(|mut body| {
                // The order of keys does not matter to a server; to this comparison it does.
                let picket = body["properties"]["picket"].take();
                body["properties"]["picket"] = picket;
                body
            })
        );
        let partly = step(
            "a",
            &said(&[("AlertLevel", "long"), ("picket.judged", "text")]),
        );
        let body = partly.body.unwrap();
        assert!(body["properties"].get("AlertLevel").is_none());
        assert!(
            body["properties"]["picket"]["properties"]
                .get("judged")
                .is_none()
        );
        assert_eq!(body["properties"]["Ignore"]["type"], "byte");
        let paths: Vec<_> = partly.changes.iter().map(|c| c.path.as_str()).collect();
        assert!(
            paths.contains(&"picket.at") && !paths.contains(&"AlertLevel"),
            "{paths:?}"
        );
    }

    #[test]
    fn a_level_that_is_no_number_is_left_and_said() {
        let step = step("a", &said(&[("AlertLevel", "keyword")]));
        assert_eq!(step.action, Action::Skipped);
        assert!(step.why.unwrap().contains("AlertLevel is keyword"));
    }
}
