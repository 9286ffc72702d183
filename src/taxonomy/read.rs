//! Reads a document's JSON once into [`Slots`], led by the trie of all shapes: at each key one step
//! down both. What nothing asks for is stepped over without being looked at. Untrusted input:
//! bounded in depth, never panics, and never judges.

mod conclude;
mod leaves;
mod scan;
mod trail;

use std::sync::Arc;

pub use leaves::leaves;
use scan::{Failed, Raw, Scanner, Token};
pub use trail::Trail;
use trail::Way;

use super::escape::unescape;
use super::event::{Kind, Slots, Text};
use super::shape::{Aside, NodeId, Part, Shapes, Target, Turn, Usage};
use super::{FieldId, Fields};
use crate::alert::AlertLevel;
use crate::finding::Earlier;

/// Documents nested deeper are refused: most JSON parsers stop at 128.
pub(crate) const MAX_DEPTH: usize = 100;

/// Longer documents are refused, in bytes.
pub(super) const MAX_SOURCE: usize = (1 << 28) - 1;

/// Why a document cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a JSON object: {0}")]
pub struct ReadError(pub String);

/// What is wrong at which byte.
#[derive(Clone, Copy, Debug)]
struct Fault {
    what: &'static str,
    at: usize,
}

/// Reads documents into [`Slots`]. Made once from all [`Fields`], shared by all threads.
#[derive(Clone, Debug)]
pub struct Reader {
    plan: Arc<Plan>,
}

/// What a reader looks for.
#[derive(Debug)]
pub(super) struct Plan {
    shapes: Shapes,
    fields: usize,
    details: Option<FieldId>,
}

impl Reader {
    /// A reader that fills those fields.
    pub fn new(fields: &Fields) -> Self {
        Self {
            plan: Arc::new(Plan {
                shapes: Shapes::new(fields),
                fields: fields.len(),
                details: fields.get("Details"),
            }),
        }
    }

    /// Reads one document's source. What was in `slots` before is gone.
    ///
    /// A key that stands twice gives its field both values, so that neither can hide the other. A
    /// lone surrogate is read as U+FFFD, an escape that JSON does not have as it stands. Numbers
    /// keep the text that they have in the source.
    ///
    /// # Errors
    /// The source is no JSON object. Of what is stepped over only the brackets are checked.
    pub fn read(&self, source: &str, slots: &mut Slots) -> Result<(), ReadError> {
        slots.begin(&self.plan);
        self.plan.read(source, slots, false, None)
    }

    /// The same, for one of many documents that come in the same shapes; the trail is of this
    /// reader.
    ///
    /// # Errors
    /// As [`Reader::read`].
    pub fn read_along(
        &self,
        trail: &mut Trail,
        source: &str,
        slots: &mut Slots,
    ) -> Result<(), ReadError> {
        slots.begin(&self.plan);
        trail.begin();
        self.plan.read(source, slots, false, Some(trail))
    }
}

impl Plan {
    /// How many fields there are.
    pub(super) fn fields(&self) -> usize {
        self.fields
    }

    /// Reads into slots that have begun; with `keeps_all`, and then without a trail, also the values
    /// that nothing asks for.
    pub(super) fn read(
        &self,
        source: &str,
        slots: &mut Slots,
        keeps_all: bool,
        trail: Option<&mut Trail>,
    ) -> Result<(), ReadError> {
        // Neither serde_json nor sonic-rs: the first refuses lone surrogates, which command lines
        // may hold, the second overflows the stack on deep nesting; both take several times as
        // long, since they also unescape keys and validate what is stepped over.
        let mut walk = Walk {
            plan: self,
            keeps_all,
            trail,
            source,
            scan: Scanner::new(source),
            slots,
            asides: [None; Aside::COUNT],
            key: String::new(),
        };
        walk.document().map_err(|Failed| walk.scan.error())?;
        walk.conclude();
        Ok(())
    }
}

struct Walk<'r, 's> {
    plan: &'r Plan,
    keeps_all: bool,
    trail: Option<&'r mut Trail>,
    source: &'s str,
    scan: Scanner<'s>,
    slots: &'r mut Slots,
    asides: [Option<Text>; Aside::COUNT],
    /// A key that had to be unescaped.
    key: String,
}

/// What a key leads to.
enum Found {
    Node(Option<NodeId>),
    /// The value is the name of another place in that container.
    PairName(NodeId),
    /// The value belongs to the place that was named before.
    PairValue,
}

impl Walk<'_, '_> {
    fn document(&mut self) -> Result<(), Failed> {
        self.scan.begin()?;
        self.object(Some(Shapes::ROOT), 1)?;
        if self.scan.is_at_end() {
            Ok(())
        } else {
            Err(self.scan.fault("something follows the object"))
        }
    }

    /// An object, behind its brace.
    fn object(&mut self, node: Option<NodeId>, depth: usize) -> Result<(), Failed> {
        if self.scan.take(b'}') {
            return Ok(());
        }
        // The place of a `{"@Name": name, "#text": value}`, once its name is read; the inner
        // `None` is a name that nothing asks for.
        let mut named = None;
        while let Some(found) = self.next(node)? {
            match found {
                Found::PairName(container) => named = self.pair_name(container, depth)?,
                Found::PairValue => self.place(named.unwrap_or(node), depth)?,
                Found::Node(node) => self.place(node, depth)?,
            }
            if !self.scan.goes_on(b'}')? {
                break;
            }
        }
        Ok(())
    }

    fn array(&mut self, node: Option<NodeId>, depth: usize) -> Result<(), Failed> {
        if self.scan.take(b']') {
            return Ok(());
        }
        loop {
            self.place(node, depth)?;
            if !self.scan.goes_on(b']')? {
                return Ok(());
            }
        }
    }

    /// One place of the document.
    fn place(&mut self, node: Option<NodeId>, depth: usize) -> Result<(), Failed> {
        if node.is_none() && !self.keeps_all {
            return self.scan.skip();
        }
        match self.scan.value()? {
            Token::Object | Token::Array if depth >= MAX_DEPTH => {
                Err(self.scan.fault("it is nested deeper than 100 levels"))
            }
            Token::Object => self.object(node, depth + 1),
            Token::Array => self.array(node, depth + 1),
            Token::String(raw) => {
                let text = self.text(raw, Kind::Text);
                self.value(node, text);
                Ok(())
            }
            Token::Bare(raw) => {
                let (len, kind) = match self.scan.slice(raw) {
                    "null" => (0, Kind::Null),
                    "true" | "false" => (raw.len(), Kind::Bool),
                    _ => (raw.len(), Kind::Number),
                };
                let text = self.slots.borrowed(raw.start(), len, kind);
                self.value(node, text);
                Ok(())
            }
        }
    }

    /// The next key whose value is still to be taken, and where it leads. Where the documents
    /// before went the same way, strings and whole numbers are taken on the way; `None` if the
    /// object ends with one.
    fn next(&mut self, node: Option<NodeId>) -> Result<Option<Found>, Failed> {
        while let Some((len, way)) = self.follow(node) {
            let Some((raw, kind)) = self.scan.quick(len) else {
                return Ok(Some(Found::Node(way.to)));
            };
            match way.usage {
                Usage::Nothing => {}
                Usage::Field(field, rank) => {
                    if let Some(text) = self.text(raw, kind) {
                        self.slots.fill(field, rank, text, false);
                    }
                }
                Usage::More => {
                    let text = self.text(raw, kind);
                    self.value(way.to, text);
                }
            }
            if !self.scan.comma() && !self.scan.goes_on(b'}')? {
                return Ok(None);
            }
        }
        let key = self.scan.key()?;
        let found = self.step(node, key)?;
        if let (Some(from), Found::Node(to)) = (node, &found)
            && let Some(trail) = self.trail.as_deref_mut()
            && !key.is_escaped()
        {
            let usage = to.map_or(Usage::Nothing, |to| self.plan.shapes.usage(to));
            trail.learn(from, self.scan.slice(key), Way { to: *to, usage });
        }
        Ok(Some(found))
    }

    /// A value of the source. Most are never looked at, as the same was said before, nor are their
    /// escapes.
    #[inline]
    fn text(&mut self, raw: Raw, kind: Kind) -> Option<Text> {
        match raw.is_escaped() {
            true => self.slots.late(raw.start(), raw.len()),
            false => self.slots.borrowed(raw.start(), raw.len(), kind),
        }
    }

    /// The next key, if it is one that came there before.
    #[inline(always)]
    fn follow(&mut self, node: Option<NodeId>) -> Option<(usize, Way)> {
        self.trail.as_deref_mut()?.follow(node?, self.scan.rest())
    }

    /// One step down, along that key.
    fn step(&mut self, node: Option<NodeId>, key: Raw) -> Result<Found, Failed> {
        let Some(node) = node else {
            return Ok(Found::Node(None));
        };
        let mut name = self.scan.slice(key);
        if key.is_escaped() {
            self.key.clear();
            if unescape(name, &mut self.key).is_none() {
                return Err(self.scan.fault("an escape is unknown"));
            }
            name = &self.key;
        }
        let shapes = &self.plan.shapes;
        Ok(match (shapes.container_of_pairs(node), name) {
            (None, _) => Found::Node(shapes.child(node, name)),
            (Some(container), "@Name" | "Name" | "#attributes") => Found::PairName(container),
            (Some(_), "#text" | "Value") => Found::PairValue,
            (Some(_), _) => Found::Node(shapes.child(node, name)),
        })
    }

    /// Reads `"Image"` or `{"Name": "Image"}`: the place of that name.
    fn pair_name(
        &mut self,
        container: NodeId,
        depth: usize,
    ) -> Result<Option<Option<NodeId>>, Failed> {
        if self.scan.peek() == b'"' {
            let Token::String(raw) = self.scan.value()? else {
                return Ok(None);
            };
            return match self.step(Some(container), raw)? {
                Found::Node(node) => Ok(Some(node)),
                Found::PairName(_) | Found::PairValue => Ok(None),
            };
        }
        if depth >= MAX_DEPTH || !self.scan.take(b'{') {
            self.scan.skip()?;
            return Ok(None);
        }
        let mut named = None;
        if self.scan.take(b'}') {
            return Ok(named);
        }
        loop {
            let key = self.scan.key()?;
            if self.scan.slice(key) == "Name" {
                named = self.pair_name(container, MAX_DEPTH)?;
            } else {
                self.scan.skip()?;
            }
            if !self.scan.goes_on(b'}')? {
                return Ok(named);
            }
        }
    }

    /// Uses one value of a place.
    fn value(&mut self, node: Option<NodeId>, text: Option<Text>) {
        let Some(text) = text else { return };
        let mut kept = false;
        let shapes = &self.plan.shapes;
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
        if self.keeps_all && !kept {
            self.slots.keep(text);
        }
    }

    fn turned(&mut self, turn: Turn, text: Text) -> Option<Text> {
        let value = self.slots.value(self.source, text);
        let (words, is_kept) = turn.apply(value.text)?;
        let value = is_kept.then_some(text);
        self.slots.composes();
        self.slots.joined(self.source, None, words, value)
    }

    /// Takes note of what the document says of earlier judgements.
    fn stand(&mut self, part: Part, text: Text) {
        let value = self.slots.value(self.source, text);
        if value.kind == Kind::Null {
            return;
        }
        match part {
            Part::Level => {
                let level = level(value.text);
                let standing = self.slots.standing_mut();
                standing.level = standing.level.max(level);
            }
            Part::Ignore => {
                let ignored = number(value.text) > 0.0 || value.text == "true";
                self.slots.standing_mut().ignored |= ignored;
            }
            Part::Judged => {
                let judged = value.text.to_owned();
                self.picket().judged = judged;
            }
            Part::OwnLevel => {
                let level = level(value.text);
                self.picket().level = level;
            }
            Part::LevelBefore => {
                let level = level(value.text);
                self.picket().before = level;
            }
            Part::Rules => {
                let rule = value.text.to_owned();
                self.picket().rules.push(rule);
            }
            Part::Modules => {
                let module = value.text.to_owned();
                self.picket().modules.push(module);
            }
            Part::Anomalies => {
                let job = value.text.to_owned();
                self.picket().anomalies.push(job);
            }
        }
    }

    fn picket(&mut self) -> &mut Earlier {
        let standing = self.slots.standing_mut();
        standing.picket.get_or_insert_with(Earlier::default)
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
