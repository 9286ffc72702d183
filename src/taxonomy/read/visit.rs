//! The visitors that walk a document's JSON beside the trie of shapes: at each key one step down
//! both. What leads nowhere is skipped by the parser. Never judges, never keeps state of its own.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::Walk;
use crate::taxonomy::event::Kind;
use crate::taxonomy::shape::{NodeId, Shapes};

/// One place of a document, which is about to be read.
pub(super) struct Place<'w, 'r, 's> {
    pub(super) walk: &'w mut Walk<'r, 's>,
    pub(super) node: Option<NodeId>,
}

impl<'de> DeserializeSeed<'de> for Place<'_, '_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.node.is_none() && !self.walk.reader.all_values {
            deserializer.deserialize_ignored_any(IgnoredAny).map(|_| ())
        } else {
            deserializer.deserialize_any(self)
        }
    }
}

impl Place<'_, '_, '_> {
    fn copied<E>(self, pieces: fmt::Arguments<'_>, kind: Kind) -> Result<(), E> {
        let text = self.walk.slots.copied(pieces, kind);
        self.walk.value(self.node, text);
        Ok(())
    }
}

impl<'de> Visitor<'de> for Place<'_, '_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<(), E> {
        let source = self.walk.source;
        let start = (text.as_ptr() as usize).wrapping_sub(source.as_ptr() as usize);
        let same = source.get(start..start.saturating_add(text.len()));
        if same.is_some_and(|same| std::ptr::eq(same, text)) {
            let text = self.walk.slots.borrowed(start, text.len());
            self.walk.value(self.node, text);
            Ok(())
        } else {
            self.visit_str(text)
        }
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.copied(format_args!("{text}"), Kind::Text)
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.copied(format_args!("{value}"), Kind::Number)
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.copied(format_args!("{value}"), Kind::Number)
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        self.copied(format_args!("{value:?}"), Kind::Number)
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.copied(format_args!("{value}"), Kind::Bool)
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.copied(format_args!(""), Kind::Null)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let shapes = &self.walk.reader.shapes;
        // The node of a `{"@Name": name, "#text": value}`, once its name is read.
        let mut named = None;
        while let Some(key) = map.next_key_seed(Key {
            shapes,
            node: self.node,
        })? {
            let node = match key {
                Found::PairName(container) => {
                    named = map.next_value_seed(PairName { shapes, container })?;
                    continue;
                }
                Found::PairValue => named.unwrap_or(self.node),
                Found::Node(node) => node,
            };
            map.next_value_seed(Place {
                walk: self.walk,
                node,
            })?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq
            .next_element_seed(Place {
                walk: self.walk,
                node: self.node,
            })?
            .is_some()
        {}
        Ok(())
    }
}

/// What a key leads to.
enum Found {
    Node(Option<NodeId>),
    /// The value is the name of another place in that container.
    PairName(NodeId),
    /// The value belongs to the place that was named before.
    PairValue,
}

struct Key<'r> {
    shapes: &'r Shapes,
    node: Option<NodeId>,
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = Found;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Found, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = Found;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Found, E> {
        let Some(node) = self.node else {
            return Ok(Found::Node(None));
        };
        Ok(match (key, self.shapes.container_of_pairs(node)) {
            ("@Name" | "Name" | "#attributes", Some(container)) => Found::PairName(container),
            ("#text" | "Value", Some(_)) => Found::PairValue,
            _ => Found::Node(self.shapes.child(node, key)),
        })
    }
}

/// Reads `"Image"` or `{"Name": "Image"}` and answers with the place of that name; the inner
/// `None` is a name that nothing asks for.
struct PairName<'r> {
    shapes: &'r Shapes,
    container: NodeId,
}

impl<'de> DeserializeSeed<'de> for PairName<'_> {
    type Value = Option<Option<NodeId>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for PairName<'_> {
    type Value = Option<Option<NodeId>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(Some(self.shapes.child(self.container, name)))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            if key == "Name" && found.is_none() {
                let name = map.next_value::<serde_json::Value>()?;
                found = name.as_str().map(|n| self.shapes.child(self.container, n));
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }
}
