//! How long things are kept: documents that have left the query files, and answers to mutations
//! with an `Idempotency-Key`.

use std::str::FromStr;
use std::time::Duration;

use super::value::InvalidValue;

/// In seconds: ten years.
const MAX_RETENTION: u64 = 3653 * 86_400;

/// How long documents that have left the query files are still served: `7d`, `12h`, `30m`, `90s`,
/// or 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention(pub Duration);

impl FromStr for Retention {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let invalid = || {
            let help = "write a number with a unit, such as `7d`, `12h`, `30m` or `90s`, or 0";
            InvalidValue::new(format!("`{text}` is not a length of time"), help)
        };
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let number: u64 = text[..digits].parse().map_err(|_| invalid())?;
        let unit = match text[digits..].trim() {
            "" if number == 0 => 1,
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            "d" => 86_400,
            _ => return Err(invalid()),
        };
        let seconds = number.checked_mul(unit).ok_or_else(invalid)?;
        if seconds > MAX_RETENTION {
            return Err(InvalidValue::new(
                format!("`{text}` is longer than ten years"),
                "write a shorter time",
            ));
        }
        Ok(Self(Duration::from_secs(seconds)))
    }
}

/// How long the answer to a mutation with an `Idempotency-Key` is kept for retries: at least one
/// second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdempotencyRetention(pub Duration);

impl FromStr for IdempotencyRetention {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let Retention(time) = text.parse()?;
        if time.is_zero() {
            // A key that is accepted without effect would give false safety.
            let message =
                format!("`{text}` would let a mutation that is sent again take effect again");
            return Err(InvalidValue::new(
                message,
                "write how long clients may retry, such as `1d` or `12h`",
            ));
        }
        Ok(Self(time))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_have_a_unit() {
        for (text, seconds) in
            [("7d", 604_800), ("12h", 43_200), ("30m", 1800), ("90 s", 90), ("0", 0), ("0d", 0)]
        {
            assert_eq!(text.parse(), Ok(Retention(Duration::from_secs(seconds))), "{text}");
        }
        for text in ["", "7", "d", "7w", "-1d", "1.5h", "99999d", "99999999999999999999d"] {
            let error = text.parse::<Retention>().unwrap_err();
            assert!(error.help.is_some(), "{text}: {error}");
        }
    }

    #[test]
    fn the_idempotency_retention_is_not_zero() {
        assert_eq!("1s".parse(), Ok(IdempotencyRetention(Duration::from_secs(1))));
        for (text, message) in [
            ("0", "take effect again"),
            ("0h", "take effect again"),
            ("1w", "not a length of time"),
        ] {
            let error = text.parse::<IdempotencyRetention>().unwrap_err();
            assert!(error.to_string().contains(message) && error.help.is_some(), "{text}: {error}");
        }
    }
}
