//! Reads a document's JSON once into [`Slots`], led by the trie of all shapes. What nothing asks
//! for is skipped without being looked at. Untrusted input: bounded in depth, never panics, and
//! never judges.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::event::{Kind, Slots, Text};
use super::log_source::{Origin, Route};
use super::shape::{Aside, NodeId, Part, Shapes, Target, rank};
use super::{FieldId, Fields};
use crate::alert::AlertLevel;
use crate::finding::Earlier;

/// Documents nested deeper are refused: parsers recurse, and most of them stop at 128.
pub(crate) const MAX_DEPTH: usize = 100;

/// Why a document cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a JSON object: {0}")]
pub struct ReadError(pub String);

/// Reads documents into [`Slots`]. Made once from all [`Fields`], shared by all threads.
#[derive(Debug)]
pub struct Reader {
    shapes: Shapes,
    fields: usize,
    all_values: bool,
}

impl Reader {
    /// A reader that fills those fields.
    pub fn new(fields: &Fields) -> Self {
        Self {
            shapes: Shapes::new(fields),
            fields: fields.len(),
            all_values: fields.keeps_all_values(),
        }
    }

    /// Reads one document's source. What was in `slots` before is gone.
    ///
    /// A key that stands twice gives its field both values, so that neither can hide the other. A
    /// lone surrogate is read as U+FFFD.
    ///
    /// # Errors
    /// The source is no JSON object.
    pub fn read(&self, source: &str, slots: &mut Slots) -> Result<(), ReadError> {
        slots.begin(self.fields);
        if !source.trim_start().starts_with('{') {
            return Err(ReadError("it begins with no `{`".into()));
        }
        if is_deep(source) {
            let message = format!("it is nested deeper than {MAX_DEPTH} levels");
            return Err(ReadError(message));
        }
        // serde_json refuses lone surrogates, which command lines may hold, and takes longer for
        // the same walk (benches/read.rs).
        let mut deserializer = sonic_rs::Deserializer::from_str(source).utf8_lossy();
        let mut walk = Walk {
            reader: self,
            source,
            slots,
            asides: [None; Aside::COUNT],
        };
        let seed = Place {
            walk: &mut walk,
            node: Some(Shapes::ROOT),
        };
        seed.deserialize(&mut deserializer)
            .and_then(|()| deserializer.end())
            .map_err(|error| ReadError(short(&error.to_string())))?;
        walk.conclude();
        Ok(())
    }
}

/// The first line: the rest quotes the document.
fn short(message: &str) -> String {
    message.lines().next().unwrap_or_default().to_owned()
}

/// Whether JSON is nested deeper than [`MAX_DEPTH`], found without recursion.
pub(crate) fn is_deep(json: &str) -> bool {
    let json = json.as_bytes();
    let brackets = memchr::memchr2_iter(b'{', b'[', json);
    if brackets.take(MAX_DEPTH + 1).count() <= MAX_DEPTH {
        return false;
    }
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => depth += 1,
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DEPTH {
            return true;
        }
    }
    false
}

struct Walk<'r, 's> {
    reader: &'r Reader,
    source: &'s str,
    slots: &'r mut Slots,
    asides: [Option<Text>; Aside::COUNT],
}

impl Walk<'_, '_> {
    fn value(&mut self, node: Option<NodeId>, text: Option<Text>) {
        let Some(text) = text else { return };
        let mut kept = false;
        let shapes = &self.reader.shapes;
        for leaf in node.map_or(&[][..], |node| shapes.leaves(node)) {
            match leaf.target {
                Target::Field(field) => {
                    let text = match leaf.prefix {
                        "" => Some(text),
                        prefix => self.prefixed(prefix, text),
                    };
                    kept |= text.is_some_and(|text| self.slots.fill(field, leaf.rank, text, kept));
                }
                Target::Aside(aside) => {
                    self.asides[aside as usize].get_or_insert(text);
                }
                Target::Part(part) => self.stand(part, text),
            }
        }
        if self.reader.all_values && !kept {
            self.slots.keep(text);
        }
    }

    fn prefixed(&mut self, prefix: &str, text: Text) -> Option<Text> {
        let value = self.slots.value(self.source, text);
        let (owned, kind) = (value.text.to_owned(), value.kind);
        self.slots.copied(format_args!("{prefix}{owned}"), kind)
    }

    /// Takes note of what the document says of earlier judgements.
    fn stand(&mut self, part: Part, text: Text) {
        let value = self.slots.value(self.source, text);
        if value.kind == Kind::Null {
            return;
        }
        let text = value.text.to_owned();
        let standing = self.slots.standing_mut();
        if part == Part::Level {
            standing.level = standing.level.max(level(&text));
            return;
        }
        if part == Part::Ignore {
            standing.ignored |= number(&text) > 0.0 || text == "true";
            return;
        }
        let picket = standing.picket.get_or_insert_with(Earlier::default);
        match part {
            Part::Judged => picket.judged = text,
            Part::OwnLevel => picket.level = level(&text),
            Part::Rules => picket.rules.push(text),
            Part::Modules => picket.modules.push(text),
            Part::Level | Part::Ignore => {}
        }
    }

    fn aside(&self, aside: Aside) -> Option<&str> {
        let text = self.asides[aside as usize]?;
        let value = self.slots.value(self.source, text);
        (!matches!(value.text, "" | "-")).then_some(value.text)
    }

    /// What can be said only once all is read: the user, and the route.
    fn conclude(&mut self) {
        for (name, domain, rank) in [
            (Aside::UserName, Aside::UserDomain, rank::MOVED),
            (Aside::SubjectUser, Aside::SubjectDomain, rank::RENAMED),
            (Aside::TargetUser, Aside::TargetDomain, rank::GUESSED),
        ] {
            if self.slots.rank(FieldId::USER).is_some_and(|r| r >= rank) {
                break;
            }
            let Some(name) = self.aside(name).map(str::to_owned) else {
                continue;
            };
            let domain = self.aside(domain).map(str::to_owned);
            let text = match domain {
                Some(domain) => self
                    .slots
                    .copied(format_args!("{domain}\\{name}"), Kind::Text),
                None => self.slots.copied(format_args!("{name}"), Kind::Text),
            };
            if let Some(text) = text {
                self.slots.fill(FieldId::USER, rank, text, true);
            }
            break;
        }
        let route = self.route();
        self.slots.settle(route);
    }

    fn route(&self) -> Route {
        let event_id = self.slots.first_text(self.source, FieldId::EVENT_ID);
        let provider = self.slots.first_text(self.source, FieldId::PROVIDER);
        let channel = self.aside(Aside::Channel);
        if event_id.is_some() || channel.is_some() {
            Route::windows(channel, provider, event_id)
        } else if self.aside(Aside::Command).is_some() && self.aside(Aside::Typist).is_some() {
            Route {
                origin: Origin::CommandHistory,
                ..Route::default()
            }
        } else {
            Route::default()
        }
    }
}

/// `AlertLevel` as another tool may have written it: what is above 2 is an alert.
fn level(text: &str) -> AlertLevel {
    match number(text) {
        n if n >= 2.0 => AlertLevel::Alert,
        n if n >= 1.0 => AlertLevel::Suspicious,
        _ => AlertLevel::None,
    }
}

fn number(text: &str) -> f64 {
    text.trim().parse().unwrap_or(0.0)
}

struct Place<'w, 'r, 's> {
    walk: &'w mut Walk<'r, 's>,
    node: Option<NodeId>,
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
        while let Some(key) = map.next_key::<std::borrow::Cow<'de, str>>()? {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::Document;
    use crate::taxonomy::{Event, LogSource};

    fn read<T>(source: &str, look: impl FnOnce(&Event<'_>) -> T) -> T {
        let mut fields = Fields::default();
        for name in ["TargetObject", "Hashes", "winlog.event_data.Image", "Data"] {
            fields.intern(name);
        }
        let document = Document::loose("test".into(), "1", source);
        let mut slots = Slots::default();
        Reader::new(&fields).read(source, &mut slots).unwrap();
        look(&Event::new(&document, &slots))
    }

    fn process_creation() -> LogSource {
        LogSource {
            product: Some("windows".into()),
            category: Some("process_creation".into()),
            service: None,
        }
    }

    #[test]
    fn a_flat_event_is_read() {
        let source = r#"{"SourceName":"Microsoft-Windows-Sysmon","Channel":"Microsoft-Windows-Sysmon/Operational",
            "Hostname":"DC01.pandalab.com","@timestamp":"2023-07-19T09:02:23.885Z","EventID":1,
            "Image":"C:\\Windows\\System32\\cmd.exe","CommandLine":"cmd /c whoami","User":"PANDALAB\\bob"}"#;
        read(source, |event| {
            assert_eq!(
                event.text(FieldId::IMAGE),
                Some(r"C:\Windows\System32\cmd.exe")
            );
            assert_eq!(event.text(FieldId::EVENT_ID), Some("1"));
            assert_eq!(event.host(), Some("DC01.pandalab.com"));
            assert_eq!(event.time(), Some(1_689_757_343_885));
            assert!(event.route().fits(&process_creation()));
        });
    }

    #[test]
    fn a_winlogbeat_event_is_read() {
        let source = r#"{"@timestamp":"2023-07-19T09:02:23.885Z","host":{"name":"wec"},"winlog":{"event_id":"4688",
            "channel":"Security","computer_name":"DC01","provider_name":"Microsoft-Windows-Security-Auditing",
            "event_data":{"NewProcessName":"C:\\a.exe","SubjectUserName":"bob","SubjectDomainName":"D"}}}"#;
        read(source, |event| {
            assert_eq!(event.text(FieldId::IMAGE), Some(r"C:\a.exe"));
            assert_eq!(event.host(), Some("DC01"));
            assert_eq!(event.user(), Some(r"D\bob"));
            assert!(event.route().fits(&process_creation()));
        });
    }

    #[test]
    fn a_line_of_history_is_read() {
        let source = r#"{"timestamp":"2026-11-22 01:02:03","command":"whoami","Hostname":"PC1","Username":"bob",
            "AlertLevel":"1","Ignore":0,"picket":{"judged":"abc","level":1,"rules":["a","b"]}}"#;
        read(source, |event| {
            assert_eq!(event.text(FieldId::COMMAND_LINE), Some("whoami"));
            assert_eq!((event.host(), event.user()), (Some("PC1"), Some("bob")));
            assert_eq!(event.time(), Some(1_795_309_323_000));
            assert_eq!(event.route().origin, Origin::CommandHistory);
            assert!(event.route().fits(&process_creation()));
            let standing = event.standing();
            assert_eq!(standing.level, AlertLevel::Suspicious);
            assert_eq!(standing.picket.as_ref().unwrap().rules, ["a", "b"]);
        });
    }
}
