//! How a setting of each type is parsed: from text, as on the command line and in the environment,
//! and from a value of `freshql.toml`.

use std::ffi::OsStr;
use std::path::PathBuf;

use toml::Spanned;
use toml::de::DeValue;

use super::auth::Issuer;
use super::database::Database;
use super::file::auth;
use super::file::reader::Reader;
use super::number::{Bytes, Within};
use super::retention::{IdempotencyRetention, Retention};
use super::value::{ByteSize, Consistency, Ids, InvalidValue, Listen, LogFormat, Mode, Secret};
use super::web::{CorsOrigins, Hosts};

/// The type of a setting.
pub(super) trait FromSource: Sized {
    /// Whether an option without a value means `true`.
    const IS_SWITCH: bool = false;

    fn from_text(text: &OsStr) -> Result<Self, InvalidValue>;

    /// None if the value is wrong; the reader then has a mistake.
    fn from_toml(reader: &mut Reader<'_>, value: &Spanned<DeValue<'_>>) -> Option<Self>;
}

fn utf8(text: &OsStr) -> Result<&str, InvalidValue> {
    text.to_str().ok_or_else(|| InvalidValue::new("the value is not UTF-8", "write it in UTF-8"))
}

/// Types that implement `FromStr`. The file may allow other forms, too.
macro_rules! from_str {
    ($($type:ty: $read:ident),+) => {$(
        impl FromSource for $type {
            fn from_text(text: &OsStr) -> Result<Self, InvalidValue> {
                utf8(text)?.parse()
            }

            fn from_toml(reader: &mut Reader<'_>, value: &Spanned<DeValue<'_>>) -> Option<Self> {
                reader.$read(value)
            }
        }
    )+};
}

from_str! {
    Database: parsed, Listen: parsed, Mode: parsed, Consistency: parsed, Retention: parsed,
    IdempotencyRetention: parsed, Ids: parsed, LogFormat: parsed, Secret: parsed,
    ByteSize: size, Hosts: hosts, CorsOrigins: origins
}

impl<const MIN: u64, const MAX: u64> FromSource for Within<MIN, MAX> {
    fn from_text(text: &OsStr) -> Result<Self, InvalidValue> {
        utf8(text)?.parse()
    }

    fn from_toml(reader: &mut Reader<'_>, value: &Spanned<DeValue<'_>>) -> Option<Self> {
        let number = reader.number(value, &(MIN..=MAX))?;
        reader.valid(value.span(), number.try_into())
    }
}

impl<const MIN: u64, const MAX: u64> FromSource for Bytes<MIN, MAX> {
    fn from_text(text: &OsStr) -> Result<Self, InvalidValue> {
        utf8(text)?.parse()
    }

    fn from_toml(reader: &mut Reader<'_>, value: &Spanned<DeValue<'_>>) -> Option<Self> {
        if let DeValue::String(_) = value.get_ref() {
            return reader.parsed(value);
        }
        let number = reader.number(value, &(MIN..=MAX))?;
        reader.valid(value.span(), number.try_into())
    }
}

impl FromSource for bool {
    const IS_SWITCH: bool = true;

    fn from_text(text: &OsStr) -> Result<Self, InvalidValue> {
        utf8(text)?.parse().map_err(|_| InvalidValue {
            message: "expected `true` or `false`".to_owned(),
            help: None,
        })
    }

    fn from_toml(reader: &mut Reader<'_>, value: &Spanned<DeValue<'_>>) -> Option<Self> {
        reader.boolean(value)
    }
}

impl FromSource for String {
    fn from_text(text: &OsStr) -> Result<Self, InvalidValue> {
        utf8(text).map(str::to_owned)
    }

    fn from_toml(reader: &mut Reader<'_>, value: &Spanned<DeValue<'_>>) -> Option<Self> {
        reader.text(value).map(str::to_owned)
    }
}

impl FromSource for PathBuf {
    /// File names need not be UTF-8.
    fn from_text(text: &OsStr) -> Result<Self, InvalidValue> {
        Ok(text.into())
    }

    fn from_toml(reader: &mut Reader<'_>, value: &Spanned<DeValue<'_>>) -> Option<Self> {
        reader.text(value).map(Self::from)
    }
}

impl FromSource for Vec<Issuer> {
    fn from_text(_: &OsStr) -> Result<Self, InvalidValue> {
        Err(InvalidValue::new("issuers are tables", "write them in `freshql.toml`"))
    }

    fn from_toml(reader: &mut Reader<'_>, value: &Spanned<DeValue<'_>>) -> Option<Self> {
        auth::read(reader, value)
    }
}
