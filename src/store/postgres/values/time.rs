//! Instants and dates in binary format: microseconds and days since 2000 in UTC.

use std::fmt::{Result, Write};

use jiff::civil::{Date, DateTime, Time, date};
use jiff::{SignedDuration, Span};

use crate::model::scalar::time::write_in_fixed_width;

const EPOCH: Date = date(2000, 1, 1);

/// Follow the number of an instant, or of a day, that the model's types cannot express.
const MICROSECONDS_SINCE: &str = " microseconds since 2000";
const DAYS_SINCE: &str = " days since 2000";

/// The microseconds of an instant as [`write_instant`] writes it: cursors come back with instants
/// that the model does not have, too.
pub(super) fn instant(text: &str) -> Option<i64> {
    match text {
        "infinity" => return Some(i64::MAX),
        "-infinity" => return Some(i64::MIN),
        _ => {}
    }
    if let Some(microseconds) = text.strip_suffix(MICROSECONDS_SINCE) {
        return microseconds.parse().ok();
    }
    let kept: DateTime = text.strip_suffix('Z')?.parse().ok()?;
    let since = kept.duration_since(DateTime::from_parts(EPOCH, Time::midnight()));
    i64::try_from(since.as_micros()).ok()
}

/// The days of a date as [`write_day`] writes it.
pub(super) fn day(text: &str) -> Option<i32> {
    match text {
        "infinity" => return Some(i32::MAX),
        "-infinity" => return Some(i32::MIN),
        _ => {}
    }
    if let Some(days) = text.strip_suffix(DAYS_SINCE) {
        return days.parse().ok();
    }
    let kept: Date = text.parse().ok()?;
    kept.since(EPOCH).ok().map(|since: Span| since.get_days())
}

/// Appends an instant in storage form, in milliseconds; what that cannot represent is written as
/// the server would.
pub(super) fn write_instant(microseconds: i64, out: &mut String) -> Result {
    match microseconds {
        i64::MAX => out.write_str("infinity"),
        i64::MIN => out.write_str("-infinity"),
        _ => {
            // Truncated, as by `to_char(…, 'MS')`.
            let milliseconds = microseconds.div_euclid(1000);
            let start = DateTime::from_parts(EPOCH, Time::midnight());
            match start.checked_add(SignedDuration::from_millis(milliseconds)) {
                Ok(utc) if utc.year() >= 1 => write_in_fixed_width(utc, out),
                _ => write!(out, "{microseconds}{MICROSECONDS_SINCE}"),
            }
        }
    }
}

/// Appends a date in storage form.
pub(super) fn write_day(days: i32, out: &mut String) -> Result {
    match days {
        i32::MAX => out.write_str("infinity"),
        i32::MIN => out.write_str("-infinity"),
        _ => match EPOCH.checked_add(SignedDuration::from_hours(i64::from(days) * 24)) {
            Ok(day) if day.year() >= 1 => {
                write!(out, "{:04}-{:02}-{:02}", day.year(), day.month(), day.day())
            }
            _ => write!(out, "{days}{DAYS_SINCE}"),
        },
    }
}
