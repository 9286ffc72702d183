//! Patterns with `*` (any text) and `?` (one character), compared without case. Takes time that
//! grows with the text, not with a power of it.

use memchr::memmem;

/// A pattern.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Glob {
    /// What stands between the stars: in lower case, `None` for a `?`.
    pieces: Vec<Vec<Option<char>>>,
}

/// What a pattern is written with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    /// This character, in lower case.
    Char(char),
    /// Any character.
    One,
    /// Any text.
    Any,
}

impl FromIterator<Sign> for Glob {
    fn from_iter<I: IntoIterator<Item = Sign>>(signs: I) -> Self {
        let mut glob = Self::default();
        for sign in signs {
            match sign {
                Sign::Char(char) => glob.push(char),
                Sign::One => glob.push_one(),
                Sign::Any => glob.push_any(),
            }
        }
        glob
    }
}

impl Glob {
    /// Adds a character that stands for itself.
    pub(super) fn push(&mut self, char: char) {
        self.piece().extend(char.to_lowercase().map(Some));
    }

    /// Adds a `?`.
    pub(super) fn push_one(&mut self) {
        self.piece().push(None);
    }

    /// Adds a `*`.
    pub(super) fn push_any(&mut self) {
        self.piece();
        self.pieces.push(Vec::new());
    }

    fn piece(&mut self) -> &mut Vec<Option<char>> {
        if self.pieces.is_empty() {
            self.pieces.push(Vec::new());
        }
        let last = self.pieces.len() - 1;
        &mut self.pieces[last]
    }

    /// The same with a `*` before and after it.
    pub(super) fn anywhere(mut self) -> Self {
        self.piece();
        self.pieces.insert(0, Vec::new());
        self.pieces.push(Vec::new());
        self
    }

    /// Its signs, one after the other.
    pub(super) fn signs(&self) -> impl Iterator<Item = Sign> {
        self.pieces.iter().enumerate().flat_map(|(number, piece)| {
            let star = (number > 0).then_some(Sign::Any);
            let sign = |sign: &Option<char>| sign.map_or(Sign::One, Sign::Char);
            star.into_iter().chain(piece.iter().map(sign))
        })
    }

    /// What stands before and after its first backslash, if there is one.
    pub(super) fn split(&self) -> Option<(Self, Self)> {
        let signs: Vec<Sign> = self.signs().collect();
        let at = signs.iter().position(|sign| *sign == Sign::Char('\\'))?;
        let glob = |signs: &[Sign]| signs.iter().copied().collect();
        Some((glob(signs.get(..at)?), glob(signs.get(at + 1..)?)))
    }

    /// Whether there are only stars.
    pub(super) fn fits_everything(&self) -> bool {
        self.pieces.len() > 1 && self.pieces.iter().all(Vec::is_empty)
    }

    /// Whether whatever follows a text that fits may follow.
    pub(super) fn is_open(&self) -> bool {
        self.pieces.len() > 1 && self.pieces.last().is_some_and(Vec::is_empty)
    }

    /// Whether everything that is not a wildcard is a letter or digit.
    pub(super) fn is_one_word(&self) -> bool {
        let mut chars = self.pieces.iter().flatten().flatten();
        chars.all(|char| char.is_alphanumeric())
    }

    /// What every text that fits begins with.
    pub(super) fn head(&self) -> String {
        let first = self.pieces.first().into_iter().flatten();
        first.map_while(|char| *char).collect()
    }

    /// The pattern, ready to be put to many texts.
    pub(super) fn matcher(&self) -> Matcher {
        let pieces = self.pieces.iter();
        Matcher {
            pieces: pieces.map(|piece| Piece::new(piece)).collect(),
        }
    }
}

/// A pattern, ready to be put to many texts.
pub(super) struct Matcher {
    pieces: Vec<Piece>,
}

enum Piece {
    Text(Box<memmem::Finder<'static>>),
    Holes(Vec<Option<char>>),
}

impl Piece {
    fn new(piece: &[Option<char>]) -> Self {
        match piece.iter().copied().collect::<Option<String>>() {
            Some(text) => Self::Text(Box::new(memmem::Finder::new(text.as_bytes()).into_owned())),
            None => Self::Holes(piece.to_vec()),
        }
    }

    /// How many bytes at the start of the text it takes.
    fn at_start(&self, text: &str) -> Option<usize> {
        match self {
            Self::Text(finder) => text
                .as_bytes()
                .starts_with(finder.needle())
                .then(|| finder.needle().len()),
            Self::Holes(piece) => {
                let mut chars = text.chars();
                for expected in piece {
                    let char = chars.next()?;
                    if expected.is_some_and(|expected| expected != char) {
                        return None;
                    }
                }
                Some(text.len() - chars.as_str().len())
            }
        }
    }

    /// Whether the text ends with it.
    fn at_end(&self, text: &str) -> bool {
        match self {
            Self::Text(finder) => text.as_bytes().ends_with(finder.needle()),
            Self::Holes(piece) => {
                let mut chars = text.chars().rev();
                piece.iter().rev().all(|expected| {
                    let char = chars.next();
                    char.is_some_and(|c| expected.is_none_or(|expected| expected == c))
                })
            }
        }
    }

    /// Where its first place in the text ends.
    fn find(&self, text: &str) -> Option<usize> {
        match self {
            Self::Text(finder) => Some(finder.find(text.as_bytes())? + finder.needle().len()),
            Self::Holes(_) => text
                .char_indices()
                .find_map(|(at, _)| Some(at + self.at_start(text.get(at..)?)?)),
        }
    }
}

impl Matcher {
    /// Whether a text, in lower case, fits.
    pub(super) fn fits(&self, text: &str) -> bool {
        let Some((first, others)) = self.pieces.split_first() else {
            return text.is_empty();
        };
        let Some(mut at) = first.at_start(text) else {
            return false;
        };
        let Some((last, middle)) = others.split_last() else {
            return at == text.len();
        };
        for piece in middle {
            match text.get(at..).and_then(|rest| piece.find(rest)) {
                Some(end) => at += end,
                None => return false,
            }
        }
        text.get(at..).is_some_and(|rest| last.at_end(rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn glob(pattern: &str) -> Glob {
        let mut glob = Glob::default();
        for char in pattern.chars() {
            match char {
                '*' => glob.push_any(),
                '?' => glob.push_one(),
                other => glob.push(other),
            }
        }
        glob
    }

    #[test]
    fn fits_like_a_shell_pattern_without_case() {
        for (pattern, text, fits) in [
            ("*\\PsExec*.exe", "c:\\tools\\psexec64.exe", true),
            ("cmd.exe", "cmd.exe", true),
            ("cmd.exe", "cmd.exe ", false),
            ("a?c", "aüc", true),
            ("a*a", "a", false),
            ("*?", "", false),
            ("*ab?*c", "xabxabyc", true),
            ("**", "", true),
        ] {
            assert_eq!(glob(pattern).matcher().fits(text), fits, "{pattern} {text}");
        }
        assert!(glob("b").anywhere().matcher().fits("abc"));
        assert!(glob("**").fits_everything() && !glob("?").fits_everything());
    }

    proptest::proptest! {
        #[test]
        fn agrees_with_a_regex(pattern in "[ab*?]{0,8}", text in "[ab]{0,10}") {
            let expected = regex::Regex::new(&format!(
                "^{}$",
                pattern.replace('*', ".*").replace('?', ".")
            )).unwrap();
            proptest::prop_assert_eq!(glob(&pattern).matcher().fits(&text), expected.is_match(&text));
        }
    }
}
