//! What stands behind a field's name: `contains`, `re`, `windash` and so on. Says how a value is
//! meant; compiles nothing. A combination that would be read otherwise than it is meant is refused.

use super::coding::Coding;
use super::detection::Unusable;
use super::pattern::{self, Encoding, Token};
use super::predicate::{Compare, How, Unit};

/// What a value is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// Text, with wildcards.
    #[default]
    Text,
    /// `re`
    Regex,
    /// `cidr`
    Network,
    /// `gt`, `gte`, `lt`, `lte`
    Number(Compare),
    /// `minute`, `hour`, `day`, `week`, `month`, `year`, compared by those
    Time(Unit, Compare),
    /// `fieldref`
    Reference,
}

/// A text that a value stands for, and what became of the value in it, if anything did.
pub type Spelling = (Vec<Token>, Option<Coding>);

/// Every modifier that is known.
const MODIFIERS: [&str; 34] = [
    "contains",
    "startswith",
    "endswith",
    "all",
    "re",
    "i",
    "m",
    "s",
    "cased",
    "cidr",
    "windash",
    "base64",
    "base64offset",
    "wide",
    "utf16le",
    "utf16be",
    "utf16",
    "exists",
    "fieldref",
    "gt",
    "gte",
    "lt",
    "lte",
    "neq",
    "expand",
    "minute",
    "hour",
    "day",
    "week",
    "month",
    "year",
    "ignorecase",
    "multiline",
    "dotall",
];

/// What stands behind a field's name.
#[derive(Debug)]
pub struct Modifiers {
    /// `contains`, `startswith`, `endswith`, or the whole value.
    pub how: How,
    /// What the value is.
    pub kind: Kind,
    /// `all`: every value of the list, not one of them.
    pub all: bool,
    /// `cased`
    pub cased: bool,
    /// `exists`
    pub exists: bool,
    /// `expand`
    pub expand: bool,
    /// `neq`
    pub not_equal: bool,
    windash: bool,
    base64: bool,
    base64_offset: bool,
    encoding: Encoding,
    regex_flags: String,
    unit: Option<Unit>,
}

impl Default for Modifiers {
    fn default() -> Self {
        Self {
            how: How::Equals,
            kind: Kind::Text,
            all: false,
            cased: false,
            windash: false,
            exists: false,
            expand: false,
            not_equal: false,
            base64: false,
            base64_offset: false,
            encoding: Encoding::Utf8,
            regex_flags: String::new(),
            unit: None,
        }
    }
}

impl Modifiers {
    /// Reads the words behind a field's name, which stands on that line.
    ///
    /// # Errors
    /// One is unknown, or they do not go together.
    pub fn parse<'a>(words: impl Iterator<Item = &'a str>, line: usize) -> Result<Self, Unusable> {
        let mut found = Self::default();
        let mut seen: Vec<&str> = Vec::new();
        for word in words {
            if seen.contains(&word) {
                return Err(Unusable::new(
                    line,
                    format!("the modifier `{word}` stands twice"),
                ));
            }
            found.add(word, line)?;
            seen.push(word);
        }
        found.check(&seen, line)?;
        found.kind = match (found.unit, found.kind) {
            (None, kind) => kind,
            (Some(unit), Kind::Number(compare)) => Kind::Time(unit, compare),
            (Some(unit), _) => Kind::Time(unit, Compare::Equal),
        };
        Ok(found)
    }

    fn add(&mut self, word: &str, line: usize) -> Result<(), Unusable> {
        match word {
            "contains" => self.how(How::Contains, line)?,
            "startswith" => self.how(How::StartsWith, line)?,
            "endswith" => self.how(How::EndsWith, line)?,
            "re" => self.kind(Kind::Regex, line)?,
            "cidr" => self.kind(Kind::Network, line)?,
            "fieldref" => self.kind(Kind::Reference, line)?,
            "gt" => self.kind(Kind::Number(Compare::Greater), line)?,
            "gte" => self.kind(Kind::Number(Compare::GreaterOrEqual), line)?,
            "lt" => self.kind(Kind::Number(Compare::Less), line)?,
            "lte" => self.kind(Kind::Number(Compare::LessOrEqual), line)?,
            "i" | "ignorecase" => self.regex_flags.push('i'),
            "m" | "multiline" => self.regex_flags.push('m'),
            "s" | "dotall" => self.regex_flags.push('s'),
            "all" => self.all = true,
            "cased" => self.cased = true,
            "windash" => self.windash = true,
            "exists" => self.exists = true,
            "expand" => self.expand = true,
            "neq" => self.not_equal = true,
            "base64" => self.base64 = true,
            "base64offset" => self.base64_offset = true,
            "wide" | "utf16le" => self.encoding = Encoding::Utf16Le,
            "utf16be" => self.encoding = Encoding::Utf16Be,
            "utf16" => self.encoding = Encoding::Utf16,
            _ => {
                if let Some(unit) = Unit::parse(word) {
                    return self.unit(unit, line);
                }
                let error = Unusable::new(line, format!("unknown modifier `{word}`"));
                return Err(match super::nearest(word, MODIFIERS) {
                    Some(near) => error.help(format!("did you mean `{near}`?")),
                    None => error,
                });
            }
        }
        Ok(())
    }

    fn how(&mut self, how: How, line: usize) -> Result<(), Unusable> {
        if self.how != How::Equals {
            let message = "`contains`, `startswith` and `endswith` exclude each other";
            return Err(Unusable::new(line, message));
        }
        self.how = how;
        Ok(())
    }

    fn kind(&mut self, kind: Kind, line: usize) -> Result<(), Unusable> {
        if self.kind != Kind::Text {
            let message = "`re`, `cidr`, `fieldref` and the comparisons exclude each other";
            return Err(Unusable::new(line, message));
        }
        self.kind = kind;
        Ok(())
    }

    fn unit(&mut self, unit: Unit, line: usize) -> Result<(), Unusable> {
        if self.unit.replace(unit).is_some() {
            let message = "`minute`, `hour`, `day`, `week`, `month` and `year` exclude each other";
            return Err(Unusable::new(line, message).help("give each a selection of its own"));
        }
        Ok(())
    }

    fn check(&self, seen: &[&str], line: usize) -> Result<(), Unusable> {
        let refuse = |message: &str| Err(Unusable::new(line, message));
        let transforms = self.windash || self.base64 || self.base64_offset;
        if !self.regex_flags.is_empty() && self.kind != Kind::Regex {
            return refuse("`i`, `m` and `s` go with `re` only");
        }
        if self.encoding != Encoding::Utf8 && !self.base64 && !self.base64_offset {
            return Err(Unusable::new(
                line,
                "`wide` and `utf16` go with `base64` or `base64offset` only",
            )
            .help("such as `CommandLine|wide|base64offset|contains`"));
        }
        if self.kind != Kind::Text && transforms {
            return refuse("`windash` and `base64` go with text only");
        }
        if !matches!(self.kind, Kind::Text | Kind::Reference)
            && (self.how != How::Equals || self.cased)
        {
            return refuse("`contains`, `startswith`, `endswith` and `cased` go with text only");
        }
        if usize::from(self.windash) + usize::from(self.base64) + usize::from(self.base64_offset)
            > 1
        {
            return refuse("`windash`, `base64` and `base64offset` exclude each other");
        }
        let asks_text = transforms || self.how != How::Equals || self.cased;
        if self.unit.is_some() && (asks_text || !matches!(self.kind, Kind::Text | Kind::Number(_)))
        {
            return refuse("parts of a time go with `gt`, `gte`, `lt`, `lte` and `neq` only");
        }
        if self.exists && seen.len() > 1 {
            return refuse("`exists` stands alone");
        }
        Ok(())
    }

    /// Whether null may be a value: only where nothing is asked of a text.
    pub fn take_null(&self) -> bool {
        self.kind == Kind::Text
            && self.how == How::Equals
            && !(self.windash || self.base64 || self.base64_offset)
    }

    /// The flags of a regex, as they stand before it.
    pub fn flags(&self) -> String {
        if self.regex_flags.is_empty() {
            String::new()
        } else {
            format!("(?{})", self.regex_flags)
        }
    }

    /// All texts that a value stands for, with what became of it in each.
    ///
    /// # Errors
    /// It cannot be spelt so; with the line that is given.
    pub fn spellings(&self, text: &str, line: usize) -> Result<Vec<Spelling>, Unusable> {
        if self.windash {
            let variants = pattern::windash(text).map_err(|why| Unusable::new(line, why))?;
            let coding = |variant: &String| (variant != text).then(|| Coding::Dashes(text.into()));
            return Ok(variants
                .iter()
                .map(|variant| (pattern::tokens(variant), coding(variant)))
                .collect());
        }
        let tokens = pattern::tokens(text);
        if !self.base64 && !self.base64_offset {
            return Ok(vec![(tokens, None)]);
        }
        let Some(plain) = pattern::plain(&tokens).filter(|plain| !plain.is_empty()) else {
            return Err(
                Unusable::new(line, format!("`{text}` cannot be encoded in base64"))
                    .help("write a text without `*` and `?`, or put a backslash before them"),
            );
        };
        let bytes = self.encoding.bytes(plain);
        let encoded = if self.base64 {
            vec![(0, pattern::base64(&bytes))]
        } else {
            pattern::base64_offsets(&bytes)
        };
        Ok(encoded
            .into_iter()
            .map(|(shift, text)| {
                let coding = Coding::Base64 {
                    encoding: self.encoding,
                    shift,
                    length: bytes.len(),
                };
                (vec![Token::Text(text)], Some(coding))
            })
            .collect())
    }
}
