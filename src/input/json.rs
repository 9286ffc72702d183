//! JSON: one object a line, or objects anywhere (an array, pretty-printed, one after the other).
//! Hands over only what every JSON parser can read, but for blocks of lines.

use std::borrow::Cow;
use std::io::{self, BufRead};
use std::ops::ControlFlow;
use std::sync::LazyLock;

use memchr::memmem::Finder;
use serde::de::IgnoredAny;

use super::{MAX_RECORD, Sink, blocks};
use crate::taxonomy::read::MAX_DEPTH;

/// Without UTF-8's byte order mark.
pub(super) fn skip_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}

/// Reads a stream of JSON.
pub(super) fn read(input: &mut dyn BufRead, sink: &mut Sink<'_>) -> ControlFlow<()> {
    if has_lines(input.fill_buf().unwrap_or_default()) {
        blocks::read(input, blocks::BLOCK, sink)
    } else {
        read_objects(input, sink)
    }
}

/// Whether each line is an object. A whole line in braces stands in neither an array nor
/// pretty-printed JSON.
fn has_lines(start: &[u8]) -> bool {
    let mut lines = skip_mark(start)
        .trim_ascii_start()
        .split_inclusive(|byte| *byte == b'\n');
    skip_mark(start).trim_ascii_start().starts_with(b"{")
        && lines.any(|line| {
            line.ends_with(b"\n") && line.starts_with(b"{") && line.trim_ascii().ends_with(b"}")
        })
}

pub(super) fn too_long() -> String {
    format!("is longer than {} MB", MAX_RECORD >> 20)
}

/// What to say where a file cannot be read any further, and what that means.
pub(super) fn broken(error: &io::Error) -> (String, &'static str) {
    let help = "the file is damaged or cut off; what stands before was read";
    (format!("cannot be read any further: {error}"), help)
}

fn hand_over(bytes: &[u8], number: u64, line: usize, sink: &mut Sink<'_>) -> ControlFlow<()> {
    match check(bytes) {
        Ok(source) => sink.record(number, &source),
        Err(message) => sink.problem(Some(line), message, None),
    }
}

/// The object as text, if it is one. A lone surrogate, which JSON allows and UTF-8 does not, is
/// made U+FFFD.
pub(super) fn check(bytes: &[u8]) -> Result<Cow<'_, str>, String> {
    let text = std::str::from_utf8(bytes)
        .map_err(|error| format!("is not UTF-8 from byte {} on", error.valid_up_to() + 1))?;
    if !text.starts_with('{') {
        return Err("is not a JSON object".into());
    }
    if is_deep(text) {
        return Err(format!("is nested deeper than {MAX_DEPTH} levels"));
    }
    let text = without_lone_surrogates(text);
    serde_json::from_str::<IgnoredAny>(&text).map_err(|error| {
        let message = error.to_string();
        let line = message.lines().next().unwrap_or_default();
        // It counts lines of the object, the caller those of the file.
        let what = line.split(" at line ").next().unwrap_or_default();
        format!("is not JSON: {}", what.to_lowercase())
    })?;
    Ok(text)
}

/// Whether JSON is nested deeper than [`MAX_DEPTH`], found without the recursion that parsers use.
fn is_deep(json: &str) -> bool {
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

/// How an escaped surrogate begins.
static SURROGATES: LazyLock<[Finder<'static>; 2]> =
    LazyLock::new(|| [Finder::new(r"\ud"), Finder::new(r"\uD")]);

fn without_lone_surrogates(text: &str) -> Cow<'_, str> {
    let escapes = &*SURROGATES;
    if escapes.iter().all(|e| e.find(text.as_bytes()).is_none()) {
        return Cow::Borrowed(text);
    }
    let mut out = String::new();
    let mut done = 0;
    let mut at = 0;
    while let Some(found) = text.get(at..).and_then(|rest| rest.find('\\')) {
        let escape = at + found;
        at = escape + 2;
        let Some(unit) = surrogate(text, escape) else {
            continue;
        };
        let is_pair = unit < 0xdc00
            && surrogate(text, escape + 6).is_some_and(|low| (0xdc00..0xe000).contains(&low));
        if is_pair {
            at = escape + 12;
        } else {
            out.push_str(&text[done..escape]);
            out.push_str("\\ufffd");
            at = escape + 6;
            done = at;
        }
    }
    if done == 0 {
        return Cow::Borrowed(text);
    }
    out.push_str(&text[done..]);
    Cow::Owned(out)
}

/// The surrogate that is escaped at that place.
fn surrogate(text: &str, at: usize) -> Option<u16> {
    let escape = text.get(at..at.checked_add(6)?)?;
    let unit = u16::from_str_radix(escape.strip_prefix("\\u")?, 16).ok()?;
    (0xd800..0xe000).contains(&unit).then_some(unit)
}

/// Takes a stream apart into its outermost objects.
struct Objects {
    object: Vec<u8>,
    depth: usize,
    in_string: bool,
    escaped: bool,
    too_long: bool,
    /// The line, counted from 1, and that in which the object began.
    line: usize,
    began: usize,
    /// Something else stands outside of objects in that line.
    stray: usize,
}

/// What ended.
enum Ended {
    Object,
    TooLong,
    /// A line ended in a string.
    TornString,
    /// Something that is no object.
    Stray,
}

impl Objects {
    /// Takes one byte.
    fn take(&mut self, byte: u8) -> Option<Ended> {
        let line = self.line;
        self.line += usize::from(byte == b'\n');
        if self.depth == 0 {
            match byte {
                b'{' => {
                    self.began = line;
                    self.depth = 1;
                    self.object.clear();
                    self.object.push(byte);
                }
                b' ' | b'\t' | b'\r' | b'\n' | b',' | b'[' | b']' | 0xef | 0xbb | 0xbf => {}
                _ if self.stray == line => {}
                _ => {
                    self.stray = line;
                    return Some(Ended::Stray);
                }
            }
            return None;
        }
        if self.object.len() < MAX_RECORD {
            self.object.push(byte);
        } else {
            self.too_long = true;
        }
        if self.in_string {
            return self.take_in_string(byte);
        }
        match byte {
            b'"' => self.in_string = true,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => self.depth -= 1,
            _ => {}
        }
        (self.depth == 0).then(|| match std::mem::take(&mut self.too_long) {
            true => Ended::TooLong,
            false => Ended::Object,
        })
    }

    fn take_in_string(&mut self, byte: u8) -> Option<Ended> {
        match byte {
            b'\n' => {
                self.in_string = false;
                self.escaped = false;
                self.too_long = false;
                self.depth = 0;
                return Some(Ended::TornString);
            }
            _ if self.escaped => self.escaped = false,
            b'\\' => self.escaped = true,
            b'"' => self.in_string = false,
            _ => {}
        }
        None
    }
}

fn read_objects(input: &mut dyn BufRead, sink: &mut Sink<'_>) -> ControlFlow<()> {
    let mut objects = Objects {
        object: Vec::new(),
        depth: 0,
        in_string: false,
        escaped: false,
        too_long: false,
        line: 1,
        began: 1,
        stray: 0,
    };
    let mut number = 0;
    loop {
        let bytes = match input.fill_buf() {
            Ok([]) => break,
            Ok(bytes) => bytes,
            Err(error) => {
                let (message, help) = broken(&error);
                return sink.problem(Some(objects.line), message, Some(help));
            }
        };
        for byte in bytes {
            match objects.take(*byte) {
                None => {}
                Some(Ended::Object) => {
                    number += 1;
                    hand_over(&objects.object, number, objects.began, sink)?;
                }
                Some(Ended::TooLong) => sink.problem(Some(objects.began), too_long(), None)?,
                Some(Ended::TornString) => {
                    sink.problem(Some(objects.line - 1), "ends inside a string", None)?;
                }
                Some(Ended::Stray) => {
                    sink.problem(Some(objects.line), "is not a JSON object", None)?;
                }
            }
        }
        let used = bytes.len();
        input.consume(used);
    }
    if objects.depth > 0 {
        let message = "the file ends inside the object that begins here";
        sink.problem(Some(objects.began), message, Some("the file is cut off"))?;
    }
    ControlFlow::Continue(())
}
