//! Reads a document's JSON once into [`Slots`], led by the trie of all shapes. What nothing asks
//! for is skipped without being looked at. Untrusted input: bounded in depth, never panics, and
//! never judges.

mod visit;

use serde::de::DeserializeSeed;
use visit::Place;

use super::event::{Kind, Slots, Text};
use super::log_source::{Origin, Route};
use super::shape::{Aside, NodeId, Part, Shapes, Target, Turn, rank};
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
    details: Option<FieldId>,
    all_values: bool,
}

impl Reader {
    /// A reader that fills those fields.
    pub fn new(fields: &Fields) -> Self {
        Self {
            shapes: Shapes::new(fields),
            fields: fields.len(),
            details: fields.get("Details"),
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
                    let text = match leaf.turn {
                        Turn::AsIs => Some(text),
                        turn => self.turned(turn, text),
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

    fn turned(&mut self, turn: Turn, text: Text) -> Option<Text> {
        let value = self.slots.value(self.source, text);
        let kind = value.kind;
        let (words, rest) = turn.apply(value.text)?;
        let rest = rest.to_owned();
        self.slots.copied(format_args!("{words}{rest}"), kind)
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

    /// What can be said only once all is read.
    fn conclude(&mut self) {
        let route = self.route();
        self.slots.settle(route);
        self.conclude_user(route);
        self.conclude_registry();
    }

    /// The user, put together from the best pair of name and domain that there is.
    fn conclude_user(&mut self, route: Route) {
        // The header of a Sysmon event names the service's own account.
        let header = match route.is_sysmon() {
            true => None,
            false => Some((Aside::HeaderUser, Aside::HeaderDomain, rank::GUESSED)),
        };
        let pairs = [
            Some((Aside::UserName, Aside::UserDomain, rank::MOVED)),
            Some((Aside::SubjectUser, Aside::SubjectDomain, rank::RENAMED)),
            Some((Aside::TargetUser, Aside::TargetDomain, rank::GUESSED)),
            header,
        ];
        for (name, domain, rank) in pairs.into_iter().flatten() {
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
    }

    /// `Details` as Sysmon writes it: Winlogbeat's pipeline makes a decimal of a DWORD.
    fn conclude_registry(&mut self) {
        let Some(field) = self.reader.details else {
            return;
        };
        let Some(data) = self.asides[Aside::RegistryData as usize] else {
            return;
        };
        if self.slots.rank(field).is_some() {
            return;
        }
        let kind = self.aside(Aside::RegistryType).unwrap_or_default();
        let is_qword = kind.contains("QWORD");
        let number: Option<u64> = match is_qword || kind.contains("DWORD") {
            true => self.aside(Aside::RegistryData).and_then(|n| n.parse().ok()),
            false => None,
        };
        let text = match number {
            Some(number) if is_qword => {
                let (high, low) = (number >> 32, number & 0xffff_ffff);
                let pieces = format_args!("QWORD ({high:#010x}-{low:#010x})");
                self.slots.copied(pieces, Kind::Text)
            }
            Some(number) => self
                .slots
                .copied(format_args!("DWORD ({number:#010x})"), Kind::Text),
            None => Some(data),
        };
        if let Some(text) = text {
            self.slots.fill(field, rank::MOVED, text, true);
        }
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
