//! `numeric` in binary format (`numeric_send` in PostgreSQL's numeric.c): digits to the base 10
//! 000. Decimals, which are scaled integers, are converted from and to it without any arithmetic in
//! the server.

use bytes::BufMut;

use crate::model::scalar::Misfit;

const NEGATIVE: u16 = 0x4000;
const NAN: u16 = 0xc000;
const POSITIVE_INFINITY: u16 = 0xd000;
const NEGATIVE_INFINITY: u16 = 0xf000;

/// Appends a scaled integer.
pub(super) fn encode(scaled: i64, scale: u8, out: &mut Vec<u8>) {
    // So many zeros make the number of digits after the point a multiple of four.
    let padding = (4 - u32::from(scale) % 4) % 4;
    let groups_after = (u32::from(scale) + padding) / 4;
    let mut rest = u128::from(scaled.unsigned_abs()) * 10_u128.pow(padding);
    let mut digits: Vec<u16> = Vec::with_capacity(8);
    while rest > 0 {
        digits.push((rest % 10_000) as u16);
        rest /= 10_000;
    }
    let weight = digits.len() as i16 - groups_after as i16 - 1;
    let zeros = digits.iter().take_while(|digit| **digit == 0).count();
    digits.drain(..zeros);
    digits.reverse();
    out.put_u16(digits.len() as u16);
    out.put_i16(if digits.is_empty() { 0 } else { weight });
    out.put_u16(if scaled < 0 { NEGATIVE } else { 0 });
    out.put_u16(u16::from(scale));
    digits.into_iter().for_each(|digit| out.put_u16(digit));
}

/// Reads a scaled integer.
///
/// # Errors
/// It is not a number, or has more digits than the scale allows.
pub(super) fn decode(bytes: &[u8], scale: u8) -> Result<i64, Misfit> {
    let sign = bytes.get(4..6).map(|sign| u16::from_be_bytes([sign[0], sign[1]]));
    match sign {
        Some(0 | NEGATIVE) => finite(bytes, scale).ok_or(Misfit::TooManyDigits),
        Some(NAN) => Err(Misfit::Nan),
        Some(POSITIVE_INFINITY | NEGATIVE_INFINITY) => Err(Misfit::Infinite),
        _ => Err(Misfit::OtherType),
    }
}

fn finite(bytes: &[u8], scale: u8) -> Option<i64> {
    let mut words = bytes.chunks_exact(2).map(|word| u16::from_be_bytes([word[0], word[1]]));
    let (count, weight, sign, _) =
        (words.next()?, words.next()? as i16, words.next()?, words.next()?);
    let mut sum = 0_i128;
    for (number, digit) in words.take(usize::from(count)).enumerate() {
        // The value of a one in this digit, as a power of ten.
        let power = (i32::from(weight) - i32::try_from(number).ok()?) * 4 + i32::from(scale);
        let digit = i128::from(digit);
        sum += if power >= 0 {
            digit.checked_mul(10_i128.checked_pow(power.unsigned_abs())?)?
        } else {
            let divisor = 10_i128.checked_pow(power.unsigned_abs())?;
            if digit % divisor != 0 {
                return None;
            }
            digit / divisor
        };
    }
    i64::try_from(if sign == NEGATIVE { -sum } else { sum }).ok()
}
