//! What machines read: JSON, as one document or a line a row. Nothing here is for people.

use std::io::Write;

use serde::Serialize;

use super::{Failure, Output};

/// A value as JSON on one line.
///
/// # Errors
/// It cannot be written as JSON, which is a fault of Picket's.
pub fn to_json(value: &impl Serialize) -> Result<String, Failure> {
    sonic_rs::to_string(value).map_err(|error| Failure::outside(error.to_string()))
}

/// Puts a value as JSON on the next line of a text.
///
/// # Errors
/// As [`to_json`].
pub fn add_line(text: &mut Vec<u8>, value: &impl Serialize) -> Result<(), Failure> {
    sonic_rs::to_writer(&mut *text, value).map_err(|error| Failure::outside(error.to_string()))?;
    text.push(b'\n');
    Ok(())
}

/// Prints rows: one a line for [`Output::Ndjson`], otherwise all in one document.
///
/// # Errors
/// Nobody listens any more.
pub fn rows<T: Serialize>(out: &mut impl Write, output: Output, rows: &[T]) -> Result<(), Failure> {
    if output == Output::Ndjson {
        for row in rows {
            writeln!(out, "{}", to_json(row)?)?;
        }
        return Ok(());
    }
    writeln!(out, "{}", to_json(&rows)?)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_what_serde_json_writes(
            text in any::<String>(),
            escaped in "[\\x00-\\x7f\u{e9}\u{2028}]{0,40}",
            number in any::<f64>(),
            optional in any::<Option<u64>>(),
        ) {
            let row = (text, escaped, number, optional, -1);
            let line = serde_json::to_string(&row).unwrap();
            prop_assert_eq!(to_json(&row).unwrap(), line.clone());
            let mut lines = b"{}\n".to_vec();
            add_line(&mut lines, &row).unwrap();
            prop_assert_eq!(String::from_utf8(lines).unwrap(), format!("{{}}\n{line}\n"));
        }
    }
}
