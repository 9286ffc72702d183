//! Walks through everything that a document says, whatever its shape: for stores that search it.
//! Untrusted input: bounded in depth, never panics.

use super::scan::{Failed, Raw, Scanner, Token};
use super::{MAX_DEPTH, ReadError};
use crate::taxonomy::escape::unescape;

/// Calls `each` with the path of every value that is not `null` (its keys in lower case, joined by
/// dots; arrays and `#text` add nothing) and its text; numbers keep the text that they have.
///
/// # Errors
/// The source is no JSON object, or nested too deep. How numbers are written, and what stands in
/// strings beside escapes, is not checked.
pub fn leaves(source: &str, each: impl FnMut(&str, &str)) -> Result<(), ReadError> {
    let mut walk = Leaves {
        scan: Scanner::new(source),
        path: String::new(),
        text: String::new(),
        each,
    };
    walk.document().map_err(|Failed| walk.scan.error())
}

struct Leaves<'s, F> {
    scan: Scanner<'s>,
    path: String,
    /// What had to be unescaped.
    text: String,
    each: F,
}

impl<F: FnMut(&str, &str)> Leaves<'_, F> {
    fn document(&mut self) -> Result<(), Failed> {
        self.scan.begin()?;
        self.object(1)?;
        if self.scan.is_at_end() {
            Ok(())
        } else {
            Err(self.scan.fault("something follows the object"))
        }
    }

    fn object(&mut self, depth: usize) -> Result<(), Failed> {
        if self.scan.take(b'}') {
            return Ok(());
        }
        let before = self.path.len();
        loop {
            let key = self.scan.key()?;
            self.step(key)?;
            self.value(depth)?;
            self.path.truncate(before);
            if !self.scan.goes_on(b'}')? {
                return Ok(());
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<(), Failed> {
        if self.scan.take(b']') {
            return Ok(());
        }
        loop {
            self.value(depth)?;
            if !self.scan.goes_on(b']')? {
                return Ok(());
            }
        }
    }

    fn step(&mut self, key: Raw) -> Result<(), Failed> {
        let key = read(&mut self.scan, key, &mut self.text)?;
        // XML as JSON writes the text of an element that has attributes so.
        if key == "#text" {
            return Ok(());
        }
        if !self.path.is_empty() {
            self.path.push('.');
        }
        if key.is_ascii() {
            let lower = key
                .bytes()
                .map(|byte| char::from(byte.to_ascii_lowercase()));
            self.path.extend(lower);
        } else {
            self.path.extend(key.chars().flat_map(char::to_lowercase));
        }
        Ok(())
    }

    fn value(&mut self, depth: usize) -> Result<(), Failed> {
        match self.scan.value()? {
            Token::Object | Token::Array if depth >= MAX_DEPTH => {
                Err(self.scan.fault("it is nested deeper than 100 levels"))
            }
            Token::Object => self.object(depth + 1),
            Token::Array => self.array(depth + 1),
            Token::String(raw) => {
                let text = read(&mut self.scan, raw, &mut self.text)?;
                (self.each)(&self.path, text);
                Ok(())
            }
            Token::Bare(raw) => {
                let text = self.scan.slice(raw);
                if text != "null" {
                    (self.each)(&self.path, text);
                }
                Ok(())
            }
        }
    }
}

/// What a string means: borrowed, or written into `out` if it has escapes.
fn read<'a, 's: 'a>(
    scan: &mut Scanner<'s>,
    raw: Raw,
    out: &'a mut String,
) -> Result<&'a str, Failed> {
    let text = scan.slice(raw);
    if !raw.is_escaped() {
        return Ok(text);
    }
    out.clear();
    unescape(text, out).ok_or_else(|| scan.fault("an escape is unknown"))?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(source: &str) -> Result<Vec<String>, ReadError> {
        let mut all = Vec::new();
        leaves(source, |path, text| all.push(format!("{path}={text}")))?;
        Ok(all)
    }

    #[test]
    fn yields_every_value_with_its_path() {
        let source = r##" {"A":{"b.C":[1,"x\ny",{"d":true}],"#text":1.50},"n":null,"É":"\ud800", "":2e400} "##;
        let expected = [
            "a.b.c=1",
            "a.b.c=x\ny",
            "a.b.c.d=true",
            "a=1.50",
            "é=\u{fffd}",
            "=2e400",
        ];
        assert_eq!(all(source).unwrap(), expected);
    }

    #[test]
    fn refuses_what_is_broken_or_too_deep() {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        for broken in [
            "",
            "[]",
            "{",
            "{\"a\":}",
            "{\"a\":1,}",
            "{} {}",
            "{\"a\":[1 2]}",
            &deep,
        ] {
            assert!(all(broken).is_err(), "{broken:.20}");
        }
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text in r#"[\[\]{}",:\\u0-9a-d \PC]{0,40}"#) {
            let _ = all(&format!("{{\"a\":{text}"));
        }
    }
}
