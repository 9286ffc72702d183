//! The golden cases that may stand beside a module, in `cases/*.json`: rows, and which of them it
//! must hit. A module that fails its own case is not used. Reads files; judges nothing else.
//!
//! ```json
//! { "entity": "ws01",
//!   "rows": [ { "time": 1510000000000, "CommandLine": "whoami" } ],
//!   "hits": [ { "index": 0, "score": [0.9, 1.0] } ] }
//! ```

use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::Module;
use super::abi::Row;

/// Cases are written by hand: more than that is a mistake.
const MAX_BYTES: u64 = 1 << 20;

/// One case.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Case {
    /// The host or user of a window.
    #[serde(default)]
    entity: String,
    /// The rows: `time`, and the fields by their names.
    rows: Vec<Map<String, Value>>,
    /// The rows that are hit, in their order.
    hits: Vec<Expected>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    index: u32,
    /// Lowest and highest score.
    score: [f64; 2],
}

impl Case {
    /// Reads a case.
    ///
    /// # Errors
    /// The file cannot be read, or is no case; the sentence says why.
    pub(super) fn read(path: &Path) -> Result<Self, String> {
        let size = std::fs::metadata(path).map_err(|error| format!("cannot be read: {error}"))?;
        if size.len() > MAX_BYTES {
            return Err(format!("is larger than {MAX_BYTES} bytes"));
        }
        let text =
            std::fs::read_to_string(path).map_err(|error| format!("cannot be read: {error}"))?;
        serde_json::from_str(&text).map_err(|error| format!("is no case: {error}"))
    }

    /// Puts it to the module.
    ///
    /// # Errors
    /// The module fails, or says something else; the sentence says what.
    pub(super) fn try_on(&self, module: &Module) -> Result<(), String> {
        let fields = &module.description().fields;
        if let Some(unknown) = self
            .rows
            .iter()
            .flat_map(Map::keys)
            .find(|key| *key != "time" && !fields.contains(key))
        {
            return Err(format!(
                "has a row with `{unknown}`, which the module does not ask for"
            ));
        }
        let values: Vec<Vec<Option<&str>>> = self
            .rows
            .iter()
            .map(|row| {
                let value = |field: &String| row.get(field).and_then(Value::as_str);
                fields.iter().map(value).collect()
            })
            .collect();
        let rows: Vec<Row<'_>> = self
            .rows
            .iter()
            .zip(&values)
            .map(|(row, values)| Row {
                time: row.get("time").and_then(Value::as_i64),
                values,
            })
            .collect();
        let mut hits = module
            .score(&self.entity, &rows)
            .map_err(|failure| format!("the module {failure}"))?;
        hits.sort_by_key(|hit| hit.index);
        let fits = |(hit, expected): (&super::abi::Hit, &Expected)| {
            let [low, high] = expected.score;
            hit.index == expected.index && (low..=high).contains(&hit.score)
        };
        if hits.len() == self.hits.len() && hits.iter().zip(&self.hits).all(fits) {
            return Ok(());
        }
        let said: Vec<String> = hits
            .iter()
            .map(|hit| format!("row {} with {:.3}", hit.index, hit.score))
            .collect();
        let said = if said.is_empty() {
            "nothing".to_owned()
        } else {
            said.join(", ")
        };
        Err(format!("expects other hits; the module hits {said}"))
    }
}
