//! Guests written as text: a module that describes itself well, and whose judging is whatever a
//! test wants it to be.

use std::fmt::Write;

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

pub(super) const MODULE: &str = "picket:scoring/module@1.0.0";
pub(super) const EVENTS: &str = "picket:scoring/events@1.0.0";
pub(super) const WINDOW: &str = "picket:scoring/window@1.0.0";

/// Where a guest's answers stand in its memory. Memory is zero elsewhere, and zeros are an empty
/// answer.
pub(super) const ANSWER: u32 = 512;
pub(super) const HITS: u32 = 768;
pub(super) const TEXTS: u32 = 4096;

/// A guest that judges events, described well, whose `score` of one or more rows is `body`.
pub(super) struct Guest {
    pub(super) name: &'static str,
    pub(super) abi: u32,
    pub(super) scope: u8,
    pub(super) span: u32,
    pub(super) version: &'static str,
    pub(super) field: &'static str,
    pub(super) technique: &'static str,
    pub(super) body: String,
    pub(super) extra: String,
}

impl Default for Guest {
    fn default() -> Self {
        Self {
            name: "guest",
            abi: 1,
            scope: 0,
            span: 0,
            version: "1.0.0",
            field: "CommandLine",
            technique: "T1059",
            body: format!("(i32.const {ANSWER})"),
            extra: String::new(),
        }
    }
}

/// A hit as it stands in a guest's memory.
pub(super) fn hit(index: u32, score: f64, reason: (u32, u32), evidence: (u32, u32)) -> Vec<u8> {
    let mut bytes = index.to_le_bytes().to_vec();
    bytes.extend([0; 4]);
    bytes.extend(score.to_le_bytes());
    bytes.extend([2, 0, 0, 0]);
    for number in [reason.0, reason.1, evidence.0, evidence.1] {
        bytes.extend(number.to_le_bytes());
    }
    bytes.extend([0; 4]);
    bytes
}

pub(super) fn data(at: u32, bytes: &[u8]) -> String {
    let mut text = format!("(data (i32.const {at}) \"");
    for byte in bytes {
        write!(text, "\\{byte:02x}").unwrap();
    }
    text + "\")"
}

impl Guest {
    /// Answers with `count` hits, the first of which are `hits`.
    pub(super) fn answering(count: u32, hits: &[Vec<u8>]) -> Self {
        let mut answer = vec![0, 0, 0, 0];
        answer.extend(HITS.to_le_bytes());
        answer.extend(count.to_le_bytes());
        Self {
            body: format!("(i32.const {})", ANSWER + 16),
            extra: data(ANSWER + 16, &answer) + &data(HITS, &hits.concat()),
            ..Self::default()
        }
    }

    pub(super) fn with_body(body: &str) -> Self {
        Self {
            body: body.to_owned(),
            ..Self::default()
        }
    }

    fn description(&self) -> String {
        let texts = [
            self.name,
            self.version,
            "A guest",
            self.field,
            self.technique,
        ];
        let mut at = TEXTS;
        let mut pieces = String::new();
        let spans: Vec<[u8; 8]> = texts
            .iter()
            .map(|text| {
                let span = [at.to_le_bytes(), (text.len() as u32).to_le_bytes()].concat();
                pieces += &data(at, text.as_bytes());
                at += 256;
                span.try_into().unwrap()
            })
            .collect();
        // Lists of one text each.
        let (fields, techniques) = (2048_u32, 2064_u32);
        pieces += &data(fields, &spans[3]);
        pieces += &data(techniques, &spans[4]);
        let mut record = [spans[0], spans[1]].concat();
        record.extend(self.abi.to_le_bytes());
        record.extend(spans[2]);
        record.extend([self.scope, 0, 0, 0]);
        record.extend(self.span.to_le_bytes());
        record.extend([0; 8]);
        for list in [fields, techniques] {
            record.extend(list.to_le_bytes());
            record.extend(1_u32.to_le_bytes());
        }
        pieces + &data(1024, &record)
    }

    fn core(&self) -> String {
        let score = if self.scope == 0 {
            format!("\"{EVENTS}#score\") (param $at i32) (param $rows i32)")
        } else {
            format!("\"{WINDOW}#score-window\") (param i32 i32) (param $at i32) (param $rows i32)")
        };
        format!(
            r#"(module
  (memory (export "memory") 4)
  (global $free (mut i32) (i32.const 131072))
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (local $at i32)
    (local.set $at (i32.and (i32.add (global.get $free) (i32.const 7)) (i32.const -8)))
    (global.set $free (i32.add (local.get $at) (local.get 3)))
    (block $fits
      (br_if $fits (i32.le_u (global.get $free) (i32.mul (memory.size) (i32.const 65536))))
      (drop (memory.grow (i32.const 16))))
    (local.get $at))
  (func (export "{MODULE}#describe") (result i32) (i32.const 1024))
  (func (export "{MODULE}#configure") (param i32 i32) (result i32) (i32.const 0))
  (func (export {score} (result i32) (local $i i32)
    (if (i32.eqz (local.get $rows)) (then (return (i32.const {ANSWER}))))
    {body})
  {description}
  {extra})"#,
            body = self.body,
            description = self.description(),
            extra = self.extra,
        )
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let world = if self.scope == 0 {
            "event-module"
        } else {
            "window-module"
        };
        let wit = include_str!("../../wit/scoring.wit");
        component(wit, world, &self.core())
    }
}

pub(super) fn component(wit: &str, world: &str, core: &str) -> Vec<u8> {
    let mut resolve = Resolve::default();
    let package = resolve.push_str("test.wit", wit).unwrap();
    let world = resolve.select_world(&[package], Some(world)).unwrap();
    let mut core = wat::parse_str(core).unwrap();
    embed_component_metadata(&mut core, &resolve, world, StringEncoding::UTF8).unwrap();
    ComponentEncoder::default()
        .module(&core)
        .unwrap()
        .encode()
        .unwrap()
}
