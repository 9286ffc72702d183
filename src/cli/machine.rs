//! What machines read: JSON, as one document or a line a row. Nothing here is for people.

use std::io::Write;

use serde::Serialize;

use super::{Failure, Output};

/// A value as JSON on one line.
///
/// # Errors
/// It cannot be written as JSON, which is a fault of Picket's.
pub fn to_json(value: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string(value).map_err(|error| Failure::outside(error.to_string()))
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
