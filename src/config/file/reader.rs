//! Reads single values of `freshql.toml`, and collects their mistakes.

use std::ops::{Range, RangeInclusive};
use std::str::FromStr;

use toml::Spanned;
use toml::de::DeValue;

use crate::config::{ByteSize, CorsOrigins, Hosts, InvalidValue, Origin};
use crate::model::diagnostic::did_you_mean;
use crate::model::{Diagnostic, Severity};

/// Reads values; a wrong value becomes a mistake.
pub(in crate::config) struct Reader<'a> {
    pub(in crate::config) name: &'a str,
    pub(in crate::config) mistakes: Vec<Diagnostic>,
}

impl Reader<'_> {
    pub(in crate::config) fn mistake(
        &mut self,
        span: Range<usize>,
        message: String,
        help: Option<String>,
    ) {
        self.mistakes.push(Diagnostic {
            severity: Severity::Error,
            file: self.name.to_owned(),
            span,
            message,
            help,
        });
    }

    pub(in crate::config) fn unknown_key(
        &mut self,
        span: Range<usize>,
        unknown: &str,
        known: &[&str],
    ) {
        let help = match did_you_mean(unknown, known.iter().copied()) {
            Some(key) => format!("did you mean `{key}`?"),
            None => format!("the settings are {}", known.join(", ")),
        };
        self.mistake(span, format!("unknown setting `{unknown}`"), Some(help));
    }

    pub(in crate::config) fn wrong_type(
        &mut self,
        span: Range<usize>,
        expected: &str,
        found: &DeValue<'_>,
    ) {
        self.mistake(span, format!("expected {expected}, found {}", type_name(found)), None);
    }

    /// A number of bytes: a number, or a string with a unit.
    pub(in crate::config) fn size(&mut self, value: &Spanned<DeValue<'_>>) -> Option<ByteSize> {
        match value.get_ref() {
            DeValue::Integer(_) => self.number(value, &(0..=u64::MAX >> 1)).map(ByteSize),
            _ => self.parsed(value),
        }
    }

    pub(in crate::config) fn text<'v>(
        &mut self,
        value: &'v Spanned<DeValue<'_>>,
    ) -> Option<&'v str> {
        match value.get_ref() {
            DeValue::String(text) => Some(text),
            other => {
                self.wrong_type(value.span(), "a quoted string", other);
                None
            }
        }
    }

    pub(in crate::config) fn parsed<T: FromStr<Err = InvalidValue>>(
        &mut self,
        value: &Spanned<DeValue<'_>>,
    ) -> Option<T> {
        let parsed = self.text(value)?.parse();
        self.valid(value.span(), parsed)
    }

    pub(in crate::config) fn valid<T>(
        &mut self,
        span: Range<usize>,
        value: Result<T, InvalidValue>,
    ) -> Option<T> {
        value.map_err(|error| self.mistake(span, error.message, error.help)).ok()
    }

    pub(in crate::config) fn boolean(&mut self, value: &Spanned<DeValue<'_>>) -> Option<bool> {
        match value.get_ref() {
            DeValue::Boolean(boolean) => Some(*boolean),
            other => {
                self.wrong_type(value.span(), "`true` or `false`", other);
                None
            }
        }
    }

    pub(in crate::config) fn number(
        &mut self,
        value: &Spanned<DeValue<'_>>,
        range: &RangeInclusive<u64>,
    ) -> Option<u64> {
        let DeValue::Integer(number) = value.get_ref() else {
            self.wrong_type(value.span(), "an integer", value.get_ref());
            return None;
        };
        // A number that does not fit 64 bits is outside every range.
        let parsed =
            u64::from_str_radix(number.as_str(), number.radix()).ok().filter(|n| range.contains(n));
        if parsed.is_none() {
            let message = format!("expected a number from {} to {}", range.start(), range.end());
            self.mistake(value.span(), message, None);
        }
        parsed
    }

    pub(in crate::config) fn hosts(&mut self, value: &Spanned<DeValue<'_>>) -> Option<Hosts> {
        match value.get_ref() {
            DeValue::Array(items) => {
                let texts: Option<Vec<_>> = items.iter().map(|item| self.text(item)).collect();
                let hosts = Hosts::collect(texts?);
                self.valid(value.span(), hosts)
            }
            _ => self.parsed(value),
        }
    }

    pub(in crate::config) fn origins(
        &mut self,
        value: &Spanned<DeValue<'_>>,
    ) -> Option<CorsOrigins> {
        match value.get_ref() {
            DeValue::String(text) => {
                let origins = CorsOrigins::collect([text.as_ref()]);
                self.valid(value.span(), origins)
            }
            DeValue::Array(items) => {
                // One by one, to locate each mistake; `*` is valid only by itself.
                let mut texts = Vec::with_capacity(items.len());
                for item in items.iter() {
                    let text = self.text(item)?;
                    if items.len() > 1 || text != "*" {
                        self.parsed::<Origin>(item)?;
                    }
                    texts.push(text);
                }
                let origins = CorsOrigins::collect(texts);
                self.valid(value.span(), origins)
            }
            other => {
                self.wrong_type(value.span(), "a list of origins", other);
                None
            }
        }
    }
}

fn type_name(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
