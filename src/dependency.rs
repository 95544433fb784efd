//! What an answer depends on and what a write invalidates: versions, dependencies, marks.
//!
//! Dependencies and changes are compared by their [`Mark`]s: an answer is stale if a change applied
//! after it was computed shares a mark with one of its dependencies.

use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher};
use std::sync::Arc;

use foldhash::quality::{FixedState, FoldHasher};
use sha2::{Digest as _, Sha256};

use crate::model::{ColumnId, EntityId, Value};

/// When a row last changed, on the database's one never-reset clock: the `seq` of its latest record
/// in the change log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Version(pub i64);

/// One thing that an answer depends on.
#[derive(Debug, Clone, PartialEq)]
pub enum Dependency {
    /// A row that was read, or looked up by key and not found. Any change of the row invalidates
    /// it.
    Row(EntityId, Value),
    /// A list, count or lookup among the rows of an entity that have this value in one column.
    /// Invalidated when a row enters or leaves the part, and when one of the watched columns
    /// changes in a row of the part.
    Part {
        /// The entity of the rows.
        entity: EntityId,
        /// The column that defines the part.
        column: ColumnId,
        /// Its value.
        value: Value,
        /// The columns that decide, in addition to `column`, which rows of the part are listed and
        /// in what order.
        watching: Arc<[ColumnId]>,
    },
    /// Any other list or count. Invalidated when a row is inserted or deleted, and when one of the
    /// watched columns changes.
    Set {
        /// The entity of the rows.
        entity: EntityId,
        /// The columns that decide which rows are listed, and in what order.
        watching: Arc<[ColumnId]>,
    },
}

/// One aspect of a dependency or of a change, hashed to 64 bits. If two different aspects collide,
/// an answer is executed once more than necessary. Equal aspects always have equal hashes, so no
/// change is missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mark(pub u64);

impl Mark {
    /// This row changed.
    pub fn row(entity: EntityId, id: &Value) -> Self {
        Self::of(|hasher| {
            (1_u8, entity).hash(hasher);
            hash_value(id, hasher);
        })
    }

    /// A row entered or left this part.
    pub fn part(entity: EntityId, column: ColumnId, value: &Value) -> Self {
        Self::of(|hasher| {
            (2_u8, entity, column).hash(hasher);
            hash_part(value, hasher);
        })
    }

    /// This column changed in a row of this part.
    pub fn column_in_part(
        entity: EntityId,
        column: ColumnId,
        value: &Value,
        changed: ColumnId,
    ) -> Self {
        Self::of(|hasher| {
            (3_u8, entity, column, changed).hash(hasher);
            hash_part(value, hasher);
        })
    }

    /// A row in one of the parts by this column changed, and the log cannot tell which part.
    pub fn any_part(entity: EntityId, column: ColumnId) -> Self {
        Self::of(|hasher| (6_u8, entity, column).hash(hasher))
    }

    /// A row of this entity was inserted or deleted.
    pub fn set(entity: EntityId) -> Self {
        Self::of(|hasher| (4_u8, entity).hash(hasher))
    }

    /// This column changed in a row of this entity.
    pub fn column_in_set(entity: EntityId, changed: ColumnId) -> Self {
        Self::of(|hasher| (5_u8, entity, changed).hash(hasher))
    }

    /// Any row of this entity may have changed.
    pub fn everything(entity: EntityId) -> Self {
        Self::of(|hasher| (7_u8, entity).hash(hasher))
    }

    /// A fast hash is enough: an attacker who finds a collision can only cause needless executions.
    fn of(write: impl FnOnce(&mut FoldHasher<'static>)) -> Self {
        let mut hasher = FixedState::default().build_hasher();
        write(&mut hasher);
        Self(hasher.finish())
    }
}

impl Dependency {
    /// The entity of the rows.
    pub fn entity(&self) -> EntityId {
        match self {
            Self::Row(entity, _) | Self::Part { entity, .. } | Self::Set { entity, .. } => *entity,
        }
    }

    /// The marks of this dependency. A change that has one of them, or [`Mark::everything`] of the
    /// entity, invalidates it.
    pub fn marks(&self, mut each: impl FnMut(Mark)) {
        match self {
            Self::Row(entity, id) => each(Mark::row(*entity, id)),
            Self::Part { entity, column, value, watching } => {
                each(Mark::part(*entity, *column, value));
                each(Mark::any_part(*entity, *column));
                watching.iter().for_each(|watched| {
                    each(Mark::column_in_part(*entity, *column, value, *watched))
                });
            }
            Self::Set { entity, watching } => {
                each(Mark::set(*entity));
                watching.iter().for_each(|watched| each(Mark::column_in_set(*entity, *watched)));
            }
        }
    }
}

/// Everything that an answer depends on.
#[derive(Debug, Clone, Default)]
pub struct Dependencies {
    /// In reading order; may contain duplicates.
    pub all: Vec<Dependency>,
}

impl Dependencies {
    /// The marks of all dependencies, sorted and deduplicated.
    pub fn marks(&self) -> Box<[Mark]> {
        let mut marks = Vec::with_capacity(self.all.len() + 8);
        let mut entity = None;
        for dependency in &self.all {
            dependency.marks(|mark| marks.push(mark));
            // Rows of one entity tend to be adjacent, so this pushes few duplicates.
            if entity.replace(dependency.entity()) != Some(dependency.entity()) {
                marks.push(Mark::everything(dependency.entity()));
            }
        }
        marks.sort_unstable();
        marks.dedup();
        marks.into_boxed_slice()
    }
}

/// For maps whose keys are hashes already: the first 64 bits of the key serve as its hash.
pub type PassThroughHasher = BuildHasherDefault<FirstBits>;

/// The hasher of [`PassThroughHasher`].
#[derive(Debug, Default, Clone)]
pub struct FirstBits(Option<u64>);

impl Hasher for FirstBits {
    fn write_u64(&mut self, number: u64) {
        self.0.get_or_insert(number);
    }

    fn write(&mut self, bytes: &[u8]) {
        let mut first = [0; 8];
        first.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        self.write_u64(u64::from_le_bytes(first));
    }

    fn finish(&self) -> u64 {
        self.0.unwrap_or_default()
    }
}

/// 2⁶³: floats from here on do not fit a 64-bit integer.
const I64_RANGE: f64 = 9_223_372_036_854_775_808.0;

/// A change log may store a longer string, in bytes, as the hex of its SHA-256. Such strings are
/// therefore hashed in that form when they identify a part.
pub const LONGEST_PART: usize = 200;

fn hash_part(value: &Value, hasher: &mut impl Hasher) {
    match value {
        Value::Text(text) if text.len() > LONGEST_PART => {
            hash_value(&Value::text(hex::encode(Sha256::digest(text.as_bytes()))), hasher);
        }
        value => hash_value(value, hasher),
    }
}

fn hash_value(value: &Value, hasher: &mut impl Hasher) {
    match value {
        Value::Null => 0_u8.hash(hasher),
        Value::Int(value) => (1_u8, value).hash(hasher),
        // In SQL, 5.0 equals 5, and both zeros equal 0.
        Value::Real(value)
            if value.trunc() == *value && (-I64_RANGE..I64_RANGE).contains(value) =>
        {
            (1_u8, *value as i64).hash(hasher);
        }
        Value::Real(value) => (2_u8, value.to_bits()).hash(hasher),
        Value::Text(text) => (3_u8, text).hash(hasher),
    }
}
