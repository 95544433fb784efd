//! Statistics about the values of a column, collected while its rows are read.

use std::sync::Arc;

use crate::model::scalar::ValueRef;
use crate::model::{Model, Scalar};

/// Types that are stored as strings of a certain form.
const FORMS: [Scalar; 4] = [Scalar::DateTime, Scalar::Date, Scalar::Uuid, Scalar::Json];

/// What the values of a column have in common.
#[derive(Debug, Clone)]
pub(in crate::store) struct Values {
    pub(super) ints: u64,
    pub(super) reals: u64,
    pub(super) texts: u64,
    pub(super) blobs: u64,
    pub(super) nulls: u64,
    /// Whether the integers are small enough to leave room for growth.
    pub(super) are_small: bool,
    /// Whether the integers fit 32 bits, even if barely.
    pub(super) fit_32_bits: bool,
    /// Whether the integers are all 0 or 1.
    pub(super) are_bits: bool,
    /// Whether the reals are finite.
    pub(super) are_finite: bool,
    /// For each type of [`FORMS`], whether all strings have its form.
    pub(super) forms: [bool; FORMS.len()],
    /// The first string, as an example.
    pub(super) example: Option<Arc<str>>,
}

/// Integers become an `Int` of 32 bits only within this range, which leaves room for growth: a
/// column of seconds since 1970 does not.
const SMALL: std::ops::RangeInclusive<i64> = -(1 << 27)..=1 << 27;

impl Default for Values {
    fn default() -> Self {
        Self {
            ints: 0,
            reals: 0,
            texts: 0,
            blobs: 0,
            nulls: 0,
            are_small: true,
            fit_32_bits: true,
            are_bits: true,
            are_finite: true,
            forms: [true; FORMS.len()],
            example: None,
        }
    }
}

impl Values {
    pub(in crate::store) fn add(
        &mut self,
        value: ValueRef<'_>,
        model: &Model,
        scratch: &mut Vec<u8>,
    ) {
        match value {
            ValueRef::Null => self.nulls += 1,
            ValueRef::Int(int) => {
                self.ints += 1;
                self.are_small &= SMALL.contains(&int);
                self.fit_32_bits &= i32::try_from(int).is_ok();
                self.are_bits &= matches!(int, 0 | 1);
            }
            ValueRef::Real(real) => {
                self.reals += 1;
                self.are_finite &= real.is_finite();
            }
            // Text that is not UTF-8 counts as a blob: nothing can read it as a string.
            ValueRef::Other(_) => self.blobs += 1,
            ValueRef::Text(text) => {
                self.texts += 1;
                for (form, holds) in FORMS.iter().zip(&mut self.forms) {
                    scratch.clear();
                    *holds =
                        *holds && form.write_json(model, ValueRef::Text(text), scratch).is_ok();
                }
                self.example
                    .get_or_insert_with(|| text.chars().take(40).collect::<String>().into());
            }
        }
    }

    pub(super) fn are_none(&self) -> bool {
        self.ints + self.reals + self.texts + self.blobs == 0
    }

    /// Whether all values (there may be none) are integers.
    pub(super) fn are_ints(&self) -> bool {
        self.reals + self.texts + self.blobs == 0
    }

    pub(super) fn are_texts(&self) -> bool {
        self.ints + self.reals + self.blobs == 0
    }

    pub(super) fn are_numbers(&self) -> bool {
        self.texts + self.blobs == 0 && self.are_finite
    }

    /// Whether all values (there may be none) are strings of this type's form.
    pub(super) fn have_form(&self, scalar: Scalar) -> bool {
        self.are_texts()
            && FORMS.iter().zip(&self.forms).any(|(form, holds)| *form == scalar && *holds)
    }
}
