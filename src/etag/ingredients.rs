//! Decodes what an ETag is derived from, out of the very bytes that are hashed. The diagnosis can
//! therefore never differ from the ETag that it explains, and it costs nothing unless somebody asks
//! for it.

use super::{Item, RESPONSE_FORMAT, ResponseHasher, value_tag};
use crate::dependency::Version;
use crate::model::{EntityId, Value};

/// One item of the hashed buffer.
#[derive(Debug, Clone, PartialEq)]
pub enum Ingredient {
    /// A row at a version.
    Row(EntityId, Value, Version),
    /// A row that was looked up and not found.
    Missing(EntityId),
    /// A list: its length and, if requested, whether rows follow and precede it.
    List {
        /// The number of rows on the page.
        length: u64,
        /// `hasNextPage`.
        has_next_page: Option<bool>,
        /// `hasPreviousPage`.
        has_previous_page: Option<bool>,
    },
    /// A `totalCount`.
    Total(i64),
    /// A value of this many bytes that no row's version covers.
    Value(u64),
}

impl ResponseHasher {
    /// Everything recorded so far, in response order.
    pub fn ingredients(&self) -> Vec<Ingredient> {
        let mut rest = Rest(&self.buffer);
        let mut found = Vec::new();
        // The buffer is our own and complete. If it were not, the list would only be shorter.
        if rest.question().is_some() {
            while let Some(ingredient) = rest.ingredient() {
                found.push(ingredient);
            }
        }
        found
    }
}

/// The bytes that are not yet decoded.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    /// Skips everything before the first item.
    fn question(&mut self) -> Option<()> {
        self.take(RESPONSE_FORMAT.len() + size_of::<u32>() + 16 + 32)?;
        self.text().map(drop)
    }

    fn ingredient(&mut self) -> Option<Ingredient> {
        let item = self.byte()?;
        Some(if item == Item::Row as u8 {
            let (entity, version) = (self.entity()?, Version(self.integer()?));
            Ingredient::Row(entity, self.value()?, version)
        } else if item == Item::Missing as u8 {
            Ingredient::Missing(self.entity()?)
        } else if item == Item::List as u8 {
            let length = self.length()?;
            Ingredient::List {
                length,
                has_next_page: self.flag()?,
                has_previous_page: self.flag()?,
            }
        } else if item == Item::Total as u8 {
            Ingredient::Total(self.integer()?)
        } else {
            Ingredient::Value(self.text()?.len() as u64)
        })
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn byte(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    fn entity(&mut self) -> Option<EntityId> {
        self.array().map(u16::from_le_bytes).map(EntityId)
    }

    fn integer(&mut self) -> Option<i64> {
        self.array().map(i64::from_le_bytes)
    }

    fn length(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn flag(&mut self) -> Option<Option<bool>> {
        self.byte().map(|byte| (byte > 0).then_some(byte == 2))
    }

    fn text(&mut self) -> Option<&'a [u8]> {
        let length = self.length()?;
        self.take(usize::try_from(length).ok()?)
    }

    fn value(&mut self) -> Option<Value> {
        let tag = self.byte()?;
        let value = match tag {
            0 => Value::Null,
            1 => Value::Int(self.integer()?),
            2 => Value::Real(f64::from_bits(self.length()?)),
            _ => Value::text(std::str::from_utf8(self.text()?).ok()?),
        };
        debug_assert_eq!(value_tag(&value), tag, "the tags are those that were written");
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document_id::DocumentId;
    use crate::question::{Question, View};

    #[test]
    fn hashed_ingredients_are_read_back() {
        let rows = [
            Value::Null,
            Value::Int(-7),
            Value::Real(0.5),
            Value::text(""),
            Value::text("é".repeat(99)),
        ];
        for operation in [None, Some("A")] {
            let document = DocumentId::of("{a}");
            let question =
                Question { document, operation, variables: "{\"a\":1}", view: View::Public };
            let mut hasher = ResponseHasher::new(&[2; 32], &question);
            let mut expected = Vec::new();
            for (entity, id) in (0..).map(EntityId).zip(&rows) {
                hasher.row(entity, id, Version(42));
                hasher.missing(entity);
                expected.extend([
                    Ingredient::Row(entity, id.clone(), Version(42)),
                    Ingredient::Missing(entity),
                ]);
            }
            hasher.list(3, Some(true), None);
            hasher.list(0, None, Some(false));
            hasher.total(i64::MIN);
            hasher.value(b"four");
            expected.extend([
                Ingredient::List { length: 3, has_next_page: Some(true), has_previous_page: None },
                Ingredient::List { length: 0, has_next_page: None, has_previous_page: Some(false) },
                Ingredient::Total(i64::MIN),
                Ingredient::Value(4),
            ]);
            assert_eq!(hasher.ingredients(), expected);
        }
        assert_eq!(ResponseHasher::unused().ingredients(), []);
    }
}
