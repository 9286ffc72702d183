//! Changes some fields at the top of a source JSON and leaves the text and the order of all others
//! as they are. Knows nothing of what the fields mean.

use std::fmt;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// The source with each field of `patch` set; a field that is there keeps its place, the others
/// are added at the end. `None`: it says all that already.
///
/// # Errors
/// The source is no JSON object.
pub fn patch(source: &str, patch: &Map<String, Value>) -> serde_json::Result<Option<Box<str>>> {
    let mut json = serde_json::Deserializer::from_str(source);
    let fields = json.deserialize_map(Top)?;
    json.end()?;
    let says = |key: &str, value: &Value| {
        let mut same = fields.iter().rev().filter(|(k, _)| k == key);
        same.next().is_some_and(|(_, raw)| {
            serde_json::from_str(raw.get()).is_ok_and(|v: Value| v == *value)
        })
    };
    if patch.iter().all(|(key, value)| says(key, value)) {
        return Ok(None);
    }
    let mut out = String::with_capacity(source.len() + 256);
    let mut written: Vec<&str> = Vec::new();
    for (key, value) in &fields {
        match patch.get_key_value(key) {
            Some((key, _)) if written.contains(&key.as_str()) => {}
            Some((key, value)) => {
                written.push(key);
                push(&mut out, key, &serde_json::to_string(value)?)?;
            }
            None => push(&mut out, key, value.get())?,
        }
    }
    for (key, value) in patch {
        if !written.contains(&key.as_str()) {
            push(&mut out, key, &serde_json::to_string(value)?)?;
        }
    }
    out.push('}');
    Ok(Some(out.into()))
}

fn push(out: &mut String, key: &str, value: &str) -> serde_json::Result<()> {
    out.push(if out.is_empty() { '{' } else { ',' });
    out.push_str(&serde_json::to_string(key)?);
    out.push(':');
    out.push_str(value);
    Ok(())
}

struct Top;

impl<'de> Visitor<'de> for Top {
    type Value = Vec<(String, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = map.next_entry()? {
            fields.push(field);
        }
        Ok(fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_the_other_fields_text_and_order() {
        let source = r#"{ "b": 1.50, "AlertLevel": 0, "a" : {"x":  [1 ,2]}, "AlertLevel": 1 }"#;
        let mut change = Map::new();
        change.insert("picket".into(), serde_json::json!({ "level": 2 }));
        change.insert("AlertLevel".into(), 2.into());
        assert_eq!(
            patch(source, &change).unwrap().as_deref(),
            Some(r#"{"b":1.50,"AlertLevel":2,"a":{"x":  [1 ,2]},"picket":{"level":2}}"#)
        );
        assert_eq!(patch(source, &Map::new()).unwrap(), None);
        let same = patch(r#"{"AlertLevel":2,"picket":{"level": 2}}"#, &change);
        assert_eq!(same.unwrap(), None);
        assert!(patch("[1]", &change).is_err() && patch("{} x", &change).is_err());
    }
}
