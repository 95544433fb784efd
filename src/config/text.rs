//! What all values of the configuration have in common: why a text is none, and texts that nobody may see.

use std::fmt;
use std::str::FromStr;

/// Why a text is not such a value, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidValue {
    /// Lower case, no full stop.
    pub message: String,
    /// The same.
    pub help: Option<String>,
}

impl InvalidValue {
    pub(super) fn new(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { message: message.into(), help: Some(help.into()) }
    }
}

impl fmt::Display for InvalidValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        self.help.as_ref().map_or(Ok(()), |help| write!(f, "; {help}"))
    }
}

impl std::error::Error for InvalidValue {}

/// A text that must not get into logs. Compare it in constant time.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The text itself.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// A text of which every character counts, white space too.
    pub(super) fn exactly(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl FromStr for Secret {
    type Err = InvalidValue;

    /// White space around it (the line end of a file) does not belong to it. Nothing at all is refused: it would be known
    /// to everybody.
    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let text = text.trim();
        if text.is_empty() {
            return Err(InvalidValue::new("the token is empty", "leave it out to close the admin API"));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}
