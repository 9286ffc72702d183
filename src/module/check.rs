//! What a module says is not believed: descriptions and hits are checked here against the
//! contract. Never repairs an answer: what breaks the contract is refused as a whole.

use super::abi::{ABI, Description, Hit, Row, Scope};

const MAX_FIELDS: usize = 64;
const MAX_SELECTORS: usize = 32;
const MAX_EVIDENCE: usize = 16;
const MAX_REASON: usize = 1024;
const MAX_SELECTION: usize = 256;
const MAX_NAME: usize = 64;
const MAX_TEXT: usize = 256;
/// Of a window, in seconds: 31 days.
const MAX_SPAN: u32 = 31 * 24 * 60 * 60;

/// Checks what a module in the folder `name` says of itself.
pub(super) fn description(name: &str, said: &Description) -> Result<(), String> {
    if said.abi != ABI {
        return Err(format!(
            "was written for version {} of the contract; this Picket serves version {ABI}",
            said.abi
        ));
    }
    if said.name != name {
        let theirs: String = said.name.escape_debug().take(MAX_NAME).collect();
        return Err(format!(
            "calls itself `{theirs}`, but stands in the folder `{name}`"
        ));
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+');
    if said.version.is_empty() || said.version.len() > MAX_NAME || !said.version.chars().all(plain)
    {
        return Err("has no usable version; give one such as `1.2.0`".to_owned());
    }
    text("title", &said.title)?;
    let is_window = said.scope != Scope::Events;
    if is_window != (said.span > 0) || said.span > MAX_SPAN {
        return Err(format!(
            "asks for a window of {} s; a window has 1 to {MAX_SPAN} s, and scope `events` has 0",
            said.span
        ));
    }
    if said.fields.is_empty() || said.fields.len() > MAX_FIELDS {
        return Err(format!(
            "asks for {} fields; it may ask for 1 to {MAX_FIELDS}",
            said.fields.len()
        ));
    }
    said.fields
        .iter()
        .try_for_each(|field| text("field", field))?;
    selectors(said)?;
    for technique in &said.techniques {
        if !is_technique(technique) {
            let shown: String = technique.escape_debug().take(MAX_NAME).collect();
            return Err(format!("names `{shown}`, which is no ATT&CK technique"));
        }
    }
    Ok(())
}

fn selectors(said: &Description) -> Result<(), String> {
    if said.selectors.len() > MAX_SELECTORS || said.techniques.len() > MAX_SELECTORS {
        return Err(format!(
            "has more than {MAX_SELECTORS} selectors or techniques"
        ));
    }
    for selector in &said.selectors {
        if selector.event_ids.len() > MAX_TEXT || selector.conditions.len() > MAX_SELECTORS {
            return Err("has a selector with too many event ids or conditions".to_owned());
        }
        if let Some(category) = &selector.category {
            text("category", category)?;
        }
        for condition in &selector.conditions {
            text("field", &condition.field)?;
            if condition.ends_with.len() > MAX_TEXT {
                return Err("has a condition with too many texts".to_owned());
            }
            condition
                .ends_with
                .iter()
                .try_for_each(|end| text("text of a condition", end))?;
        }
    }
    Ok(())
}

fn text(what: &str, text: &str) -> Result<(), String> {
    if text.is_empty() || text.len() > MAX_TEXT || text.chars().any(char::is_control) {
        return Err(format!(
            "has a {what} that is empty, longer than {MAX_TEXT} bytes, or no plain text"
        ));
    }
    Ok(())
}

fn is_technique(text: &str) -> bool {
    let digits = |s: &str, n| s.len() == n && s.bytes().all(|b| b.is_ascii_digit());
    text.strip_prefix('T')
        .is_some_and(|rest| match rest.split_once('.') {
            Some((technique, sub)) => digits(technique, 4) && digits(sub, 3),
            None => digits(rest, 4),
        })
}

/// Checks what a module says of `rows`.
pub(super) fn hits(rows: &[Row<'_>], hits: &[Hit]) -> Result<(), String> {
    if hits.len() > rows.len() {
        return Err(format!("{} hits on {} rows", hits.len(), rows.len()));
    }
    let mut seen = vec![false; rows.len()];
    for hit in hits {
        let index = hit.index as usize;
        let (Some(row), Some(seen)) = (rows.get(index), seen.get_mut(index)) else {
            return Err(format!("a hit on row {index} of {}", rows.len()));
        };
        if std::mem::replace(seen, true) {
            return Err(format!("two hits on row {index}"));
        }
        if !(0.0..=1.0).contains(&hit.score) {
            return Err(format!("a score of {}, which is not 0 to 1", hit.score));
        }
        if hit.reason.len() > MAX_REASON {
            return Err(format!(
                "a reason of {} bytes; {MAX_REASON} are allowed",
                hit.reason.len()
            ));
        }
        evidence(row, hit)?;
    }
    Ok(())
}

fn evidence(row: &Row<'_>, hit: &Hit) -> Result<(), String> {
    if hit.evidence.len() > MAX_EVIDENCE {
        return Err(format!(
            "{} pieces of evidence; {MAX_EVIDENCE} are allowed",
            hit.evidence.len()
        ));
    }
    for piece in &hit.evidence {
        if piece.selection.len() > MAX_SELECTION {
            return Err(format!(
                "a selection of {} bytes; {MAX_SELECTION} are allowed",
                piece.selection.len()
            ));
        }
        let (start, length) = (piece.start as usize, piece.length as usize);
        let value = row.values.get(piece.field as usize).copied().flatten();
        let part = value.and_then(|value| value.get(start..start.checked_add(length)?));
        if part.is_none() {
            return Err(format!(
                "evidence at bytes {start} to {start}+{length} of field {}, where nothing is",
                piece.field
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::module::abi::Level;

    #[test]
    fn techniques_are_told_from_other_words() {
        for good in ["T1021", "T1021.002"] {
            assert!(is_technique(good), "{good}");
        }
        for bad in [
            "", "T", "1021", "T102", "T1021.", "T1021.02", "T10211", "TA0008",
        ] {
            assert!(!is_technique(bad), "{bad}");
        }
    }

    #[test]
    fn a_piece_of_evidence_must_stand_in_the_row() {
        let values = [Some("net user bo\u{308}"), None];
        let row = Row {
            time: None,
            values: &values,
        };
        let hit = |field, start, length| Hit {
            index: 0,
            score: 0.5,
            level: Level::Medium,
            reason: String::new(),
            evidence: vec![crate::module::abi::Evidence {
                selection: "command".to_owned(),
                field,
                start,
                length,
            }],
        };
        assert_eq!(hits(&[row], &[hit(0, 0, 3)]), Ok(()));
        for (field, start, length) in [
            (0, 0, 99),
            (0, u32::MAX, u32::MAX),
            (0, 11, 1),
            (1, 0, 0),
            (2, 0, 0),
        ] {
            assert!(hits(&[row], &[hit(field, start, length)]).is_err());
        }
    }
}
