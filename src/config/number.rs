//! Numbers between two bounds. The bounds are part of the type, so the command line, the
//! environment and the file reject the same numbers with the same message.

use std::str::FromStr;
use std::time::Duration;

use super::value::{InvalidValue, bytes};

/// A number from `MIN` to `MAX`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Within<const MIN: u64, const MAX: u64>(u64);

impl<const MIN: u64, const MAX: u64> Within<MIN, MAX> {
    /// The number itself, or the nearest bound.
    pub fn nearest(number: u64) -> Self {
        Self(number.clamp(MIN, MAX))
    }

    /// The number.
    pub fn get(self) -> u64 {
        self.0
    }

    /// The number as a size in memory. If it exceeds the address space, there is no limit.
    pub(super) fn size(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }

    pub(super) fn seconds(self) -> Duration {
        Duration::from_secs(self.0)
    }
}

impl<const MIN: u64, const MAX: u64> TryFrom<u64> for Within<MIN, MAX> {
    type Error = InvalidValue;

    fn try_from(number: u64) -> Result<Self, InvalidValue> {
        (MIN..=MAX).contains(&number).then_some(Self(number)).ok_or_else(outside::<MIN, MAX>)
    }
}

impl<const MIN: u64, const MAX: u64> FromStr for Within<MIN, MAX> {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        text.parse::<u64>().map_err(|_| outside::<MIN, MAX>())?.try_into()
    }
}

/// A number of bytes from `MIN` to `MAX`, also written with a unit: `1 MiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bytes<const MIN: u64, const MAX: u64>(Within<MIN, MAX>);

impl<const MIN: u64, const MAX: u64> Bytes<MIN, MAX> {
    pub(super) fn size(self) -> usize {
        self.0.size()
    }
}

impl<const MIN: u64, const MAX: u64> TryFrom<u64> for Bytes<MIN, MAX> {
    type Error = InvalidValue;

    fn try_from(number: u64) -> Result<Self, InvalidValue> {
        number.try_into().map(Self)
    }
}

impl<const MIN: u64, const MAX: u64> FromStr for Bytes<MIN, MAX> {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let number = bytes(text).ok_or_else(|| {
            let help = "write a number of bytes, or one with a unit: 64kB, 1MiB";
            InvalidValue::new(format!("`{text}` is not a size"), help)
        })?;
        number.try_into()
    }
}

fn outside<const MIN: u64, const MAX: u64>() -> InvalidValue {
    InvalidValue { message: format!("expected a number from {MIN} to {MAX}"), help: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_to_their_bounds() {
        type Dozen = Within<1, 12>;
        assert_eq!("12".parse::<Dozen>().unwrap().get(), 12);
        for text in ["0", "13", "-1", "1.5", "", "99999999999999999999"] {
            let error = text.parse::<Dozen>().unwrap_err();
            assert_eq!(error.message, "expected a number from 1 to 12", "{text}");
        }
        assert_eq!((Dozen::nearest(0).get(), Dozen::nearest(99).get()), (1, 12));
    }

    #[test]
    fn sizes_may_have_a_unit() {
        type Size = Bytes<1024, { 1 << 20 }>;
        assert_eq!("1 MiB".parse(), Size::try_from(1 << 20));
        assert_eq!("1024".parse(), Size::try_from(1024));
        assert!("2 MiB".parse::<Size>().unwrap_err().message.contains("from 1024 to 1048576"));
        assert!("much".parse::<Size>().unwrap_err().help.is_some());
    }
}
