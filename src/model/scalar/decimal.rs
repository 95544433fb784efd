//! Decimals as scaled integers: `12.5` with scale 2 is 1250.

use super::quote::quoted;

/// Parses digits, an optional point and more digits, exactly: nothing is rounded. Trailing zeros
/// beyond the scale are accepted.
pub(super) fn parse(text: &str, precision: u8, scale: u8) -> Result<i64, String> {
    let expected = || match scale {
        0 => format!(
            "expected a Decimal with at most {precision} digits and none after the point, found {}",
            quoted(text)
        ),
        1 => format!(
            "expected a Decimal with at most 1 digit after the point, found {}",
            quoted(text)
        ),
        _ => format!(
            "expected a Decimal with at most {scale} digits after the point, found {}",
            quoted(text)
        ),
    };
    let not_decimal = || format!("expected a Decimal such as \"12.50\", found {}", quoted(text));
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = match unsigned.split_once('.') {
        Some((_, "")) => return Err(not_decimal()),
        Some(parts) => parts,
        None => (unsigned, ""),
    };
    let are_digits = |digits: &str| digits.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !are_digits(whole) || !are_digits(fraction) {
        return Err(not_decimal());
    }
    let fraction = fraction.trim_end_matches('0');
    if fraction.len() > usize::from(scale) {
        return Err(expected());
    }
    let whole = whole.trim_start_matches('0');
    let most = usize::from(precision - scale);
    if whole.len() > most {
        let before = if most == 1 { "1 digit".to_owned() } else { format!("{most} digits") };
        return Err(format!(
            "expected a Decimal with at most {before} before the point, found {}",
            quoted(text)
        ));
    }
    let padding = "0".repeat(usize::from(scale) - fraction.len());
    let digits = whole.bytes().chain(fraction.bytes()).chain(padding.bytes());
    let scaled = digits.fold(0i64, |sum, digit| sum * 10 + i64::from(digit - b'0'));
    Ok(if text.starts_with('-') { -scaled } else { scaled })
}

/// The digits as text: `1990` with scale 2 is `19.90`.
pub fn to_text(scaled: i64, scale: u8) -> String {
    let mut text = Vec::new();
    write(scaled, scale, &mut text);
    String::from_utf8(text).expect("digits are ASCII")
}

/// Always writes all digits after the point: `12.50`, `-0.05`, `3` for a scale of zero.
pub(super) fn write(scaled: i64, scale: u8, out: &mut Vec<u8>) {
    // At most 19 digits, a point and a sign; filled from the end.
    let mut buffer = [b'0'; 24];
    let mut start = buffer.len();
    let mut rest = scaled.unsigned_abs();
    let mut written = 0;
    while rest > 0 || written <= scale {
        if written == scale && scale > 0 {
            start -= 1;
            buffer[start] = b'.';
        }
        start -= 1;
        buffer[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
        written += 1;
    }
    if scaled < 0 {
        start -= 1;
        buffer[start] = b'-';
    }
    out.extend_from_slice(&buffer[start..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_digits_after_the_point_are_written() {
        for (scaled, scale, text) in [
            (1250, 2, "12.50"),
            (-5, 2, "-0.05"),
            (0, 2, "0.00"),
            (0, 0, "0"),
            (7, 0, "7"),
            (i64::MIN, 18, "-9.223372036854775808"),
            (i64::MIN, 0, "-9223372036854775808"),
            (1, 18, "0.000000000000000001"),
        ] {
            assert_eq!(to_text(scaled, scale), text);
        }
    }

    #[test]
    fn a_value_that_would_be_rounded_is_refused() {
        assert_eq!(parse("12.5", 12, 2), Ok(1250));
        assert_eq!(parse("-12.500", 12, 2), Ok(-1250));
        assert_eq!(parse("0012", 4, 2), Ok(1200));
        assert_eq!(parse("-0.00", 4, 2), Ok(0));
        assert_eq!(parse("999999999999999999", 18, 0), Ok(999_999_999_999_999_999));
        insta::assert_snapshot!(parse("1.234", 12, 2).unwrap_err(), @r#"expected a Decimal with at most 2 digits after the point, found "1.234""#);
        insta::assert_snapshot!(parse("123", 4, 2).unwrap_err(), @r#"expected a Decimal with at most 2 digits before the point, found "123""#);
        insta::assert_snapshot!(parse("1.5", 4, 0).unwrap_err(), @r#"expected a Decimal with at most 4 digits and none after the point, found "1.5""#);
        for malformed in
            ["", "-", ".", "1.", ".5", "+1", "1e3", "1,5", " 1", "1 ", "--1", "1.-5", "NaN", "١"]
        {
            assert!(parse(malformed, 12, 2).is_err(), "{malformed:?}");
        }
    }
}
