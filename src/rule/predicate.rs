//! What a rule asks of one value: a [`Predicate`], and the [`Atom`] that asks it of a field.
//! Pure: a value goes in as it is and folded, yes or no comes out.

use std::hash::{Hash, Hasher};
use std::net::IpAddr;

use chrono::{Datelike, Timelike};

use super::detection::Unusable;
use super::expression::Expression;
use super::pattern::{self, Token};
use crate::taxonomy::FieldId;
use crate::taxonomy::time;

/// Number of an [`Atom`] in its rule set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AtomId(pub u32);

impl AtomId {
    /// As an index into tables with a row an atom.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// One question to a document.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Atom {
    /// The field; `None` for a keyword, which is looked for in all values.
    pub field: Option<FieldId>,
    /// The question to its values: it holds if it holds for any.
    pub predicate: Predicate,
}

/// How a text is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum How {
    /// The whole value.
    Equals,
    /// It begins so.
    StartsWith,
    /// It ends so.
    EndsWith,
    /// Anywhere in it.
    Contains,
}

impl How {
    /// Whether `value` is, begins, ends with or contains `text`.
    pub fn holds(self, value: &str, text: &str) -> bool {
        match self {
            Self::Equals => value == text,
            Self::StartsWith => value.starts_with(text),
            Self::EndsWith => value.ends_with(text),
            Self::Contains => memchr::memmem::find(value.as_bytes(), text.as_bytes()).is_some(),
        }
    }
}

/// Which side of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Compare {
    /// Neither.
    Equal,
    /// `gt`
    Greater,
    /// `gte`
    GreaterOrEqual,
    /// `lt`
    Less,
    /// `lte`
    LessOrEqual,
}

impl Compare {
    fn holds(self, number: f64, than: f64) -> bool {
        match self {
            Self::Equal => number.total_cmp(&than).is_eq(),
            Self::Greater => number > than,
            Self::GreaterOrEqual => number >= than,
            Self::Less => number < than,
            Self::LessOrEqual => number <= than,
        }
    }
}

/// A part of a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unit {
    /// `minute`, from 0
    Minute,
    /// `hour`, from 0
    Hour,
    /// `day` of the month
    Day,
    /// `week` of the year, as ISO 8601 counts them
    Week,
    /// `month`
    Month,
    /// `year`
    Year,
}

impl Unit {
    /// The unit that the modifier names.
    pub fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "minute" => Self::Minute,
            "hour" => Self::Hour,
            "day" => Self::Day,
            "week" => Self::Week,
            "month" => Self::Month,
            "year" => Self::Year,
            _ => return None,
        })
    }

    /// Reads a value that a time may have in this unit.
    ///
    /// # Errors
    /// No time has it; with the line that is given.
    pub fn read(self, text: &str, line: usize) -> Result<Number, Unusable> {
        let (least, most) = match self {
            Self::Minute => (0, 59),
            Self::Hour => (0, 23),
            Self::Day => (1, 31),
            Self::Week => (1, 53),
            Self::Month => (1, 12),
            Self::Year => (1, 9999),
        };
        match text.trim().parse::<u16>() {
            Ok(number) if (least..=most).contains(&number) => Ok(Number(number.into())),
            _ => {
                let message = format!("`{text}` is no {}", self.word());
                let help = format!("a whole number from {least} to {most}");
                Err(Unusable::new(line, message).help(help))
            }
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Year => "year",
        }
    }

    /// That part of a time as it is written, whatever its zone.
    fn of(self, text: &str) -> Option<f64> {
        let time = time::written(text)?;
        Some(match self {
            Self::Minute => time.minute().into(),
            Self::Hour => time.hour().into(),
            Self::Day => time.day().into(),
            Self::Week => time.iso_week().week().into(),
            Self::Month => time.month().into(),
            Self::Year => time.year().into(),
        })
    }
}

/// A question to one value. Texts that are not `cased` are kept folded.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Predicate {
    /// A text without wildcards between its ends.
    Text {
        /// Where it must stand.
        how: How,
        /// The text.
        text: Box<str>,
        /// Whether case counts.
        cased: bool,
    },
    /// Any other text with wildcards.
    Wildcard {
        /// Its pieces.
        tokens: Box<[Token]>,
        /// Whether case counts.
        cased: bool,
    },
    /// A regular expression, on the value as it is.
    Regex(Expression),
    /// An IP address in that network.
    Network(Network),
    /// A number on that side of another.
    Number(Compare, Number),
    /// A part of a time on that side of a number.
    Time(Unit, Compare, Number),
    /// The values of another field.
    Reference {
        /// How they are compared.
        how: How,
        /// The other field.
        field: FieldId,
        /// Whether case counts.
        cased: bool,
    },
    /// Any value but `null`.
    Present,
    /// The field is absent or `null`.
    Null,
    /// The field is there, `null` or not.
    Exists,
}

/// A network in CIDR notation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// Reads `10.0.0.0/8`; an address alone is a network of one.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.trim().parse().ok()?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.map_or(Some(most), |prefix| prefix.trim().parse().ok())?;
        (prefix <= most).then_some(Self { address, prefix })
    }

    /// Whether that address is in it; `::ffff:10.0.0.1` counts as `10.0.0.1`.
    pub fn contains(&self, text: &str) -> bool {
        let Ok(address) = text.trim().parse::<IpAddr>() else {
            return false;
        };
        let prefix = u32::from(self.prefix);
        match (self.address, address, address.to_canonical()) {
            (IpAddr::V4(mine), _, IpAddr::V4(other)) => {
                let differs = u32::from(mine) ^ u32::from(other);
                differs.checked_shr(32 - prefix).unwrap_or(0) == 0
            }
            (IpAddr::V6(mine), IpAddr::V6(other), _) => {
                let differs = u128::from(mine) ^ u128::from(other);
                differs.checked_shr(128 - prefix).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

/// A finite number.
#[derive(Clone, Copy, Debug)]
pub struct Number(f64);

impl Number {
    /// Reads a decimal number.
    pub fn parse(text: &str) -> Option<Self> {
        let number: f64 = text.trim().parse().ok()?;
        number.is_finite().then_some(Self(number))
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_bits() == other.0.to_bits()
    }
}

impl Eq for Number {}

impl Hash for Number {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.to_bits().hash(state);
    }
}

impl Predicate {
    /// The predicate for a text value with wildcards.
    pub fn text(tokens: Vec<Token>, cased: bool) -> Self {
        let tokens: Vec<Token> = tokens
            .into_iter()
            .map(|token| match token {
                Token::Text(text) if !cased => Token::Text(pattern::fold(&text)),
                other => other,
            })
            .collect();
        let (how, text) = match tokens.as_slice() {
            [] => (How::Equals, ""),
            [Token::Many] => return Self::Present,
            [Token::Text(text)] => (How::Equals, text.as_str()),
            [Token::Text(text), Token::Many] => (How::StartsWith, text.as_str()),
            [Token::Many, Token::Text(text)] => (How::EndsWith, text.as_str()),
            [Token::Many, Token::Text(text), Token::Many] => (How::Contains, text.as_str()),
            _ => {
                return Self::Wildcard {
                    tokens: tokens.into(),
                    cased,
                };
            }
        };
        let text = text.into();
        Self::Text { how, text, cased }
    }

    /// Whether one value, which is not `null`, is as asked; `folded` is the same in lower case.
    /// [`Predicate::Reference`], [`Predicate::Null`] and [`Predicate::Exists`] are no questions to
    /// one value: they never hold here.
    pub fn holds(&self, value: &str, folded: &str) -> bool {
        let seen = |cased: &bool| if *cased { value } else { folded };
        match self {
            Self::Text { how, text, cased } => how.holds(seen(cased), text),
            Self::Wildcard { tokens, cased } => pattern::matches(tokens, seen(cased)),
            Self::Regex(expression) => expression.is_match(value),
            Self::Network(network) => network.contains(value),
            Self::Number(compare, Number(than)) => {
                Number::parse(value).is_some_and(|Number(number)| compare.holds(number, *than))
            }
            Self::Time(unit, compare, Number(than)) => unit
                .of(value)
                .is_some_and(|number| compare.holds(number, *than)),
            Self::Present => true,
            Self::Reference { .. } | Self::Null | Self::Exists => false,
        }
    }

    /// Where in a value that holds the reason stands: first byte and length; `None` if the whole
    /// value is meant.
    pub fn span(&self, value: &str, folded: &str) -> Option<(usize, usize)> {
        match self {
            Self::Text { how, text, cased } => {
                let seen = if *cased { value } else { folded };
                let start = match how {
                    How::Equals => return None,
                    How::StartsWith => 0,
                    How::EndsWith => seen.len().checked_sub(text.len())?,
                    How::Contains => memchr::memmem::find(seen.as_bytes(), text.as_bytes())?,
                };
                Some(if *cased {
                    (start, text.len())
                } else {
                    pattern::unfold(value, start, text.len())
                })
            }
            Self::Wildcard { tokens, cased } => {
                let seen = if *cased { value } else { folded };
                let (start, len) = pattern::stretch(tokens, seen)?;
                Some(if *cased {
                    (start, len)
                } else {
                    pattern::unfold(value, start, len)
                })
            }
            Self::Regex(expression) => expression.find(value),
            _ => None,
        }
    }

    /// Roughly how dear it is to ask, for the order of asking.
    pub fn cost(&self) -> u32 {
        match self {
            Self::Null | Self::Exists | Self::Present => 1,
            Self::Text { how, .. } if *how != How::Contains => 2,
            Self::Network(_) | Self::Number(..) => 4,
            Self::Text { .. } => 6,
            Self::Reference { .. } | Self::Time(..) => 10,
            Self::Wildcard { .. } => 20,
            Self::Regex(_) => 500,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks() {
        for (network, address, expected) in [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("0.0.0.0/0", "1.2.3.4", true),
            ("127.0.0.1", "127.0.0.1", true),
            ("127.0.0.1/32", "127.0.0.2", false),
            ("10.0.0.0/8", "::ffff:10.0.0.1", true),
            ("fe80::/10", "fe80::1", true),
            ("::1/128", "::2", false),
            ("::/0", "abcd::", true),
            ("10.0.0.0/8", "not an address", false),
        ] {
            let parsed = Network::parse(network).unwrap();
            assert_eq!(parsed.contains(address), expected, "{address} in {network}");
        }
        assert!(Network::parse("10.0.0.0/33").is_none());
        assert!(Network::parse("10.0.0/8").is_none());
    }

    #[test]
    fn spans_point_into_the_value_as_it_is() {
        let predicate = Predicate::text(pattern::tokens("*KEY*"), false);
        let value = "é\u{212a}ey.exe";
        assert_eq!(predicate.span(value, &pattern::fold(value)), Some((2, 5)));
    }
}
