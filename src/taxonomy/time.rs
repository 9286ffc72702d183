//! Times as event sources write them. Knows no clock and no zone but what is written.

use chrono::{DateTime, NaiveDate, NaiveDateTime};

/// Reads a time as event sources write it: RFC 3339, `YYYY-MM-dd HH:mm:ss[.fff]` (UTC), or
/// seconds or milliseconds since 1970. The answer is in milliseconds since 1970 (UTC).
pub fn parse_time(text: &str) -> Option<i64> {
    if let Some(time) = zoned(text) {
        return Some(time.timestamp_millis());
    }
    match plain(text) {
        Some(time) => Some(time.and_utc().timestamp_millis()),
        None => since_1970(text),
    }
}

/// The same time as it stands there, whatever zone it names; a day alone is its midnight.
pub fn written(text: &str) -> Option<NaiveDateTime> {
    let text = text.trim();
    if let Some(time) = zoned(text) {
        return Some(time.naive_local());
    }
    plain(text)
        .or_else(|| {
            NaiveDate::parse_from_str(text, "%Y-%m-%d")
                .ok()?
                .and_hms_opt(0, 0, 0)
        })
        .or_else(|| Some(DateTime::from_timestamp_millis(since_1970(text)?)?.naive_utc()))
}

fn zoned(text: &str) -> Option<DateTime<chrono::FixedOffset>> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(time);
    }
    // Most times without a zone come here too.
    let (_, time) = text.trim().split_once(char::is_whitespace)?;
    let names_zone = time.contains(|c| !matches!(c, '0'..='9' | ':' | '.'));
    let format = "%Y-%m-%d %H:%M:%S%.f %z";
    names_zone
        .then(|| DateTime::parse_from_str(text, format).ok())
        .flatten()
}

fn plain(text: &str) -> Option<NaiveDateTime> {
    [
        "%Y-%m-%d %H:%M:%S%.f",
        "%Y-%m-%dT%H:%M:%S%.f",
        "%Y/%m/%d %H:%M:%S%.f",
    ]
    .into_iter()
    .find_map(|format| NaiveDateTime::parse_from_str(text, format).ok())
}

fn since_1970(text: &str) -> Option<i64> {
    let number: f64 = text.parse().ok()?;
    let millis = match number {
        1e8..1e11 => number * 1000.0,
        1e11..1e14 => number,
        _ => return None,
    };
    #[expect(clippy::cast_possible_truncation, reason = "bounded above")]
    Some(millis as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_as_it_is_written_keeps_its_zone() {
        for (text, millis, expected) in [
            (
                "2026-11-22T23:30:00+02:00",
                Some(1_795_383_000_000),
                "2026-11-22 23:30:00",
            ),
            (
                "2026-11-22 23:30:00.5",
                Some(1_795_390_200_500),
                "2026-11-22 23:30:00.500",
            ),
            (
                "2026-11-22 23:30:00+0200",
                Some(1_795_383_000_000),
                "2026-11-22 23:30:00",
            ),
            (
                "2026-11-22 23:30:00.5 +0200",
                Some(1_795_383_000_500),
                "2026-11-22 23:30:00.500",
            ),
            ("2026-11-22", None, "2026-11-22 00:00:00"),
            ("1795390200", Some(1_795_390_200_000), "2026-11-22 23:30:00"),
        ] {
            assert_eq!(written(text).unwrap().to_string(), expected, "{text}");
            assert_eq!(parse_time(text), millis, "{text}");
        }
        assert_eq!(written("half past ten"), None);
    }
}
