//! Instants and days: RFC 3339 in, one fixed width out, so that strings sort like times.

use std::fmt;
use std::ops::RangeInclusive;

use jiff::SignedDuration;
use jiff::civil::{Date, DateTime};

use super::quote::quoted;

/// `2026-11-22T09:30:00.000Z`.
const DATE_TIME_SHAPE: &[u8; 24] = b"dddd-dd-ddTdd:dd:dd.dddZ";
/// `2026-11-22`.
const DATE_SHAPE: &[u8; 10] = b"dddd-dd-dd";

/// Four digits could express the year 0, which PostgreSQL does not have.
const YEARS: RangeInclusive<i16> = 1..=9999;

/// Converts any RFC 3339 instant (section 5.6) to UTC in milliseconds. Higher precision is refused
/// instead of rounded, and so are leap seconds: neither database supports them.
pub(super) fn date_time(text: &str) -> Result<String, String> {
    let wrong =
        || format!("expected a DateTime such as \"2026-11-22T09:30:00Z\", found {}", quoted(text));
    let bytes = text.as_bytes();
    let (seconds, rest) = bytes.split_at_checked(19).ok_or_else(wrong)?;
    if !has_shape(&[&seconds[..10], b"T", &seconds[11..]].concat(), &DATE_TIME_SHAPE[..19]) {
        return Err(wrong());
    }
    if !matches!(seconds[10], b'T' | b't') {
        return Err(wrong());
    }
    let fraction_length = match rest.first() {
        Some(b'.') => 1 + rest[1..].iter().take_while(|b| b.is_ascii_digit()).count(),
        _ => 0,
    };
    let (fraction, offset) = rest.split_at(fraction_length);
    if fraction_length == 1 {
        return Err(wrong());
    }
    let fraction = fraction.get(1..).unwrap_or_default();
    if fraction.iter().skip(3).any(|digit| *digit != b'0') {
        return Err(format!(
            "expected a DateTime with at most milliseconds, found {}",
            quoted(text)
        ));
    }
    let milliseconds = (0..3)
        .fold(0, |sum, i| sum * 10 + fraction.get(i).map_or(0, |digit| i16::from(digit - b'0')));
    let offset = match offset {
        [b'Z' | b'z'] => 0,
        [sign @ (b'+' | b'-'), rest @ ..] if has_shape(rest, b"dd:dd") => {
            let (hours, minutes) = (number(&rest[..2]), number(&rest[3..]));
            if hours > 23 || minutes > 59 {
                return Err(wrong());
            }
            let seconds = i32::from(hours) * 3600 + i32::from(minutes) * 60;
            if *sign == b'-' { -seconds } else { seconds }
        }
        _ => return Err(wrong()),
    };
    let local = DateTime::new(
        number(&seconds[..4]),
        number(&seconds[5..7]) as i8,
        number(&seconds[8..10]) as i8,
        number(&seconds[11..13]) as i8,
        number(&seconds[14..16]) as i8,
        number(&seconds[17..19]) as i8,
        i32::from(milliseconds) * 1_000_000,
    )
    .map_err(|_| wrong())?;
    // Civil time, because jiff's instants end one day before the year 9999 does.
    let utc =
        local.checked_sub(SignedDuration::from_secs(i64::from(offset))).map_err(|_| wrong())?;
    if !YEARS.contains(&utc.year()) {
        return Err(format!("expected a DateTime of the years 1 to 9999, found {}", quoted(text)));
    }
    let mut text = String::with_capacity(DATE_TIME_SHAPE.len());
    write_in_fixed_width(utc, &mut text).map_err(|_| wrong())?;
    Ok(text)
}

/// Writes a time in UTC in its storage form.
pub(crate) fn write_in_fixed_width(utc: DateTime, out: &mut impl fmt::Write) -> fmt::Result {
    write!(
        out,
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
        utc.year(),
        utc.month(),
        utc.day(),
        utc.hour(),
        utc.minute(),
        utc.second(),
        utc.millisecond()
    )
}

/// `2026-11-22`, if the calendar has that day.
pub(super) fn date(text: &str) -> Result<&str, String> {
    let wrong = || format!("expected a Date such as \"2026-11-22\", found {}", quoted(text));
    let bytes = text.as_bytes();
    if !is_date(text) {
        return Err(wrong());
    }
    let date =
        Date::new(number(&bytes[..4]), number(&bytes[5..7]) as i8, number(&bytes[8..]) as i8);
    if !YEARS.contains(&date.map_err(|_| wrong())?.year()) {
        return Err(format!("expected a Date of the years 1 to 9999, found {}", quoted(text)));
    }
    Ok(text)
}

/// Whether the text has the storage form of a DateTime.
pub(super) fn is_date_time(text: &str) -> bool {
    has_shape(text.as_bytes(), DATE_TIME_SHAPE)
}

/// Whether the text has the storage form of a Date.
pub(super) fn is_date(text: &str) -> bool {
    has_shape(text.as_bytes(), DATE_SHAPE)
}

/// In a shape, `d` stands for a digit, anything else for itself.
fn has_shape(bytes: &[u8], shape: &[u8]) -> bool {
    bytes.len() == shape.len()
        && bytes
            .iter()
            .zip(shape)
            .all(|(byte, shape)| if *shape == b'd' { byte.is_ascii_digit() } else { byte == shape })
}

/// At most four digits.
fn number(digits: &[u8]) -> i16 {
    digits.iter().fold(0, |sum, digit| sum * 10 + i16::from(digit - b'0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_offset_becomes_utc_in_milliseconds() {
        for (given, kept) in [
            ("2026-11-22T09:30:00Z", "2026-11-22T09:30:00.000Z"),
            ("2026-11-22t09:30:00.5z", "2026-11-22T09:30:00.500Z"),
            ("2026-11-22T09:30:00.123000000+02:00", "2026-11-22T07:30:00.123Z"),
            ("2026-01-01T00:30:00+01:00", "2025-12-31T23:30:00.000Z"),
            ("2026-11-22T09:30:00-00:00", "2026-11-22T09:30:00.000Z"),
            ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000Z"),
            ("0000-12-31T23:00:00-01:00", "0001-01-01T00:00:00.000Z"),
            ("9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999Z"),
            ("2024-02-29T12:00:00Z", "2024-02-29T12:00:00.000Z"),
        ] {
            assert_eq!(date_time(given).as_deref(), Ok(kept));
            assert!(is_date_time(kept));
        }
    }

    #[test]
    fn invalid_instants_are_refused() {
        for wrong in [
            "",
            "2026-11-22",
            "2026-11-22T09:30Z",
            "2026-11-22T09:30:00",
            "2026-11-22 09:30:00Z",
            "2026-11-22T09:30:00.Z",
            "2026-11-22T09:30:60Z",
            "2026-11-22T24:00:00Z",
            "2026-11-22T09:30:00+2:00",
            "2026-11-22T09:30:00+24:00",
            "2026-11-22T09:30:00+0200",
            "2026-02-29T09:30:00Z",
            "2026-11-22T09:30:00.0001Z",
            "9999-12-31T23:59:59-01:00",
            "0001-01-01T00:00:00+01:00",
            "0000-12-31T00:00:00Z",
            "2026-11-22T09:30:00Zé",
            "2026-11-2éT09:30:00Z",
            "20é6-11-22T09:30:00Z",
        ] {
            assert!(date_time(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn days_are_those_of_the_calendar() {
        assert_eq!(date("2024-02-29"), Ok("2024-02-29"));
        for wrong in [
            "2026-02-29",
            "2026-13-01",
            "2026-1-1",
            "2026-11-22T",
            "20261122",
            "2026-11-2é",
            "0000-01-01",
        ] {
            assert!(date(wrong).is_err(), "{wrong:?}");
        }
    }
}
