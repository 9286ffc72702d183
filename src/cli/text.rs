//! What reaches a terminal: sanitised text, colours, tables, times. Everything that came from a
//! document, a rule or a module passes through [`clean`] first, as an attacker may have written it.

use std::borrow::Cow;
use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use chrono::DateTime;
use comfy_table::presets;
use comfy_table::{ContentArrangement, Table};

use crate::alert::AlertLevel;

/// The same text with everything that could steer a terminal, hide or reorder text made visible:
/// control characters, bidirectional overrides, invisible and private-use characters.
pub fn clean(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_harmful) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '\n' => safe.push('⏎'),
            '\t' => safe.push(' '),
            c if is_harmful(c) => {
                // Writing to a string cannot fail.
                let _ = write!(safe, "\\u{{{:x}}}", u32::from(c));
            }
            c => safe.push(c),
        }
    }
    Cow::Owned(safe)
}

/// As [`clean`], but lines stay lines.
pub fn clean_lines(text: &str) -> String {
    text.split('\n').map(clean).collect::<Vec<_>>().join("\n")
}

fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e000}'..='\u{f8ff}'
            | '\u{e0000}'..='\u{e0fff}' | '\u{f0000}'..='\u{10ffff}')
}

/// At most that many characters, with `…` where something was cut.
pub fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(most.saturating_sub(1)).collect();
    short.push('…');
    short
}

/// The text with the part that matched, if it is a part, in bold; cut around it to about so many
/// characters.
pub fn marked(value: &str, span: Option<(usize, usize)>, most: usize) -> String {
    let Some((start, length)) = span else {
        return cut(&clean(value), most);
    };
    let (head, rest) = value.split_at(value.floor_char_boundary(start));
    let (found, tail) = rest.split_at(rest.floor_char_boundary(length));
    let found = cut(&clean(found), most);
    let room = most.saturating_sub(found.chars().count());
    let before = head.chars().count();
    let skip = before.saturating_sub((room / 2).max(room.saturating_sub(tail.chars().count())));
    let lead = if skip > 0 { "…" } else { "" };
    let shown: String = head.chars().skip(skip).collect();
    let tail = cut(&clean(tail), room.saturating_sub(before - skip).max(1));
    format!("{lead}{}{}{tail}", clean(&shown), paint(BOLD, found))
}

/// A moment as people read it, in UTC.
pub fn moment(millis: i64) -> String {
    DateTime::from_timestamp_millis(millis).map_or_else(String::new, |time| {
        time.format("%Y-%m-%d %H:%M:%S").to_string()
    })
}

/// A duration as people read it.
pub fn duration(millis: i64) -> String {
    match millis {
        ..1_000 => format!("{millis} ms"),
        1_000..60_000 => format!("{}.{} s", millis / 1_000, millis % 1_000 / 100),
        _ => format!("{} min {} s", millis / 60_000, millis % 60_000 / 1_000),
    }
}

/// A short time as people read it, down to nanoseconds.
pub fn short(time: std::time::Duration) -> String {
    let nanos = time.as_nanos();
    match nanos {
        0..1_000 => format!("{nanos} ns"),
        1_000..1_000_000 => format!("{:.1} µs", nanos as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} ms", nanos as f64 / 1e6),
        _ => format!("{:.1} s", nanos as f64 / 1e9),
    }
}

/// A number with a space between each three digits.
pub fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// `1 rule`, `2 rules`.
pub fn count(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", self::number(number))
}

/// Bold.
pub const BOLD: Style = Style::new().bold();
/// For what matters less.
pub const DIM: Style = Style::new().dimmed();
/// Something went well.
pub const GREEN: Style = AnsiColor::Green.on_default();

/// The colour of a level.
pub fn style(level: AlertLevel) -> Style {
    match level {
        AlertLevel::None => DIM,
        AlertLevel::Suspicious => AnsiColor::Yellow.on_default().bold(),
        AlertLevel::Alert => AnsiColor::Red.on_default().bold(),
    }
}

/// The text in a style.
pub fn paint(style: Style, text: impl std::fmt::Display) -> String {
    format!("{style}{text}{style:#}")
}

/// How many columns there are to write on.
pub fn width() -> usize {
    terminal_size::terminal_size()
        .map_or(100, |(width, _)| usize::from(width.0))
        .clamp(60, 200)
}

/// A table without lines, which fits the terminal.
pub fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(u16::try_from(width()).unwrap_or(100))
        .set_header(header.iter().map(|name| name.to_uppercase()));
    table
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_escape_sequence_reaches_no_terminal() {
        assert_eq!(
            clean("whoami \x1b[2J\u{202e}exe.\u{9b}31m"),
            "whoami \\u{1b}[2J\\u{202e}exe.\\u{9b}31m"
        );
        assert!(matches!(
            clean(r"C:\Windows\System32 ünï"),
            Cow::Borrowed(_)
        ));
    }

    #[test]
    fn what_matched_is_shown_whatever_stands_around_it() {
        for (before, behind) in [(500, 500), (0, 500), (500, 0), (3, 3)] {
            let value = format!("{}mimi\u{1b}katz{}", "a".repeat(before), "b".repeat(behind));
            let shown = marked(&value, Some((before, 9)), 60);
            let bold = paint(BOLD, "mimi\\u{1b}katz");
            assert!(shown.contains(&bold), "{shown:?}");
            let plain = shown.replace(&bold, "mimikatz");
            assert!(plain.chars().count() <= 62, "{plain}");
        }
        assert_eq!(marked("abc", None, 60), "abc");
    }

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(number(1_234_567), "1 234 567");
        assert_eq!(number(12), "12");
        assert_eq!(count(1, "rule") + &count(2, "rule"), "1 rule2 rules");
    }

    proptest! {
        #[test]
        fn cleaned_text_holds_nothing_harmful(text in any::<String>()) {
            prop_assert!(!clean(&text).chars().any(is_harmful));
        }
    }
}
