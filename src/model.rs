//! The model: everything that `schema.graphql` declares. Entities, their fields, keys and
//! relations, in the form that the rest of the crate reads. It knows names and types, but no SQL
//! text, GraphQL documents or HTTP.

pub(crate) mod advice;
pub mod diagnostic;
pub(crate) mod generated;
pub(crate) mod global_id;
pub(crate) mod naming;
pub mod parse;
pub mod rules;
pub mod scalar;

use std::collections::HashMap;

pub use diagnostic::{Diagnostic, Severity};
pub use parse::{Parsed, parse};
pub use rules::{Access, Rule};
pub use scalar::{CorruptValue, Scalar, Source, Value, ValueRef};

/// The page size, in rows, if neither `first` nor `last` is given; smaller if the entity's
/// `maxPageSize` is smaller.
const DEFAULT_PAGE_SIZE: u32 = 20;

/// Everything that `schema.graphql` declares, checked.
#[derive(Debug, Clone)]
pub struct Model {
    /// In file order.
    pub entities: Vec<Entity>,
    /// In file order.
    pub enums: Vec<EnumType>,
    /// Maps entity names to indices.
    pub by_name: HashMap<String, EntityId>,
    /// blake3 over everything in the model that can change the bytes of an answer (names, types,
    /// nullability, defaults, orderings, page sizes), independent of comments, white space and
    /// descriptions. Part of every ETag.
    pub fingerprint: [u8; 32],
    /// Whether the model contains rules. If so, everything that they do not allow is denied.
    pub has_rules: bool,
}

impl Model {
    /// A model without types: sufficient for scalars that do not refer to any.
    pub(crate) fn without_types() -> Self {
        Self {
            entities: Vec::new(),
            enums: Vec::new(),
            by_name: HashMap::new(),
            fingerprint: [0; 32],
            has_rules: false,
        }
    }
}

/// Index of an entity in [`Model::entities`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntityId(pub u16);

/// Index of an enum in [`Model::enums`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EnumId(pub u16);

/// Index of a column in [`Entity::columns`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ColumnId(pub u16);

/// An enum type.
#[derive(Debug, Clone)]
pub struct EnumType {
    /// Its GraphQL name.
    pub name: String,
    /// From the SDL.
    pub description: Option<String>,
    /// The values and their descriptions, in file order.
    pub values: Vec<(String, Option<String>)>,
}

/// A type with `@entity`: one table, whose rows have versions.
#[derive(Debug, Clone)]
pub struct Entity {
    /// Its own index.
    pub id: EntityId,
    /// `Product`.
    pub name: String,
    /// From the SDL.
    pub description: Option<String>,
    /// The root field for one row by key: `product`.
    pub singular: String,
    /// The root field for the list: `products` (`@entity(plural:)`).
    pub plural: String,
    /// `products` (`@entity(table:)`).
    pub table: String,
    /// What clients see, in file order.
    pub fields: Vec<Field>,
    /// The columns of the table (without `_version`), in file order.
    pub columns: Vec<Column>,
    /// The column of the field with `@id`.
    pub key: ColumnId,
    /// `@unique`, without the key itself.
    pub uniques: Vec<Unique>,
    /// `@index`, and one index for each relation column with which no other index or unique
    /// constraint starts.
    pub indexes: Vec<Index>,
    /// `@entity(orderBy:)`, without the key as the last term.
    pub order_by: Vec<(ColumnId, Order)>,
    /// The largest `first` or `last`; at least 1.
    pub max_page_size: u32,
    /// Updates and deletes require `expectedEtag`.
    pub require_etag: bool,
    /// Whether freshql's migrations create and alter the table. If not, another program owns it and
    /// freshql never alters it.
    pub managed: bool,
    /// `@cacheControl` on the type.
    pub cache: CacheHint,
    /// `@allow` on the type.
    pub rules: Vec<Rule>,
    /// The position of its name in the model's text.
    pub span: std::ops::Range<usize>,
}

/// One column of an entity's table.
#[derive(Debug, Clone)]
pub struct Column {
    /// Its name in SQL.
    pub name: String,
    /// Its name in filters, orderings and inputs: `price`, or `merchantId` for a relation
    /// `merchant`.
    pub field: String,
    /// The type of its values; a relation's column has the type of the target's key.
    pub scalar: Scalar,
    /// Whether it may be NULL.
    pub nullable: bool,
    /// `@default`.
    pub default: Option<DefaultValue>,
    /// `@readonly`: not in inputs or patches. True for keys that the server generates.
    pub readonly: bool,
    /// `@updatedAt`: every update by a client sets it to the time of the write.
    pub set_on_update: bool,
    /// `@hidden`: in no output, filter or ordering, but in inputs.
    pub hidden: bool,
    /// The entity that it refers to.
    pub references: Option<Reference>,
    /// The entity whose global ids clients see as its values.
    pub global: Option<EntityId>,
    /// Whether it can restrict lists: it belongs to a relation, a `@unique` or an `@index`. Its
    /// values are recorded in the change log.
    pub part: bool,
    /// `@column(type:)`: overrides the SQL type in migrations.
    pub sql_type: Option<String>,
    /// `@renamedFrom(name:)`: the field's former name, whose values a migration keeps. It has no
    /// effect on the API.
    pub renamed_from: Option<String>,
}

/// A foreign key.
#[derive(Debug, Clone)]
pub struct Reference {
    /// The entity that the column refers to.
    pub target: EntityId,
    /// What happens to this row when the other one is deleted.
    pub on_delete: OnDelete,
}

/// `@relation(onDelete:)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OnDelete {
    /// The delete fails.
    Restrict,
    /// This row is deleted, too.
    Cascade,
    /// The column becomes NULL.
    SetNull,
}

impl OnDelete {
    /// The names in the model.
    pub const NAMES: [&str; 3] = ["RESTRICT", "CASCADE", "SET_NULL"];

    /// The SQL after `ON DELETE`.
    pub fn sql(self) -> &'static str {
        match self {
            Self::Restrict => "RESTRICT",
            Self::Cascade => "CASCADE",
            Self::SetNull => "SET NULL",
        }
    }

    /// The variant with this name in the model.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Restrict, Self::Cascade, Self::SetNull]
            .into_iter()
            .zip(Self::NAMES)
            .find_map(|(is, own)| (own == name).then_some(is))
    }

    /// Its name in the model.
    pub fn name(self) -> &'static str {
        match self {
            Self::Restrict => Self::NAMES[0],
            Self::Cascade => Self::NAMES[1],
            Self::SetNull => Self::NAMES[2],
        }
    }

    /// Whether the SQL of an existing table means the same. Our tables say RESTRICT. Others often
    /// say nothing, which means NO ACTION and fails as well, only later.
    pub fn is_said_by(self, sql: &str) -> bool {
        self.sql() == sql || (self == Self::Restrict && sql == "NO ACTION")
    }
}

/// `@default`.
#[derive(Debug, Clone, PartialEq)]
pub enum DefaultValue {
    /// A value in the column's storage form.
    Value(Value),
    /// A version 7 UUID, generated by the server.
    UuidV7,
    /// A number assigned by the database.
    Autoincrement,
    /// The time of the write.
    Now,
    /// The value of this claim of the writer's token.
    Claim(String),
}

/// One field of an entity, as clients select it.
#[derive(Debug, Clone)]
pub struct Field {
    /// Its name in GraphQL.
    pub name: String,
    /// From the SDL.
    pub description: Option<String>,
    /// What it contains.
    pub kind: FieldKind,
    /// `@cacheControl` on the field.
    pub cache: CacheHint,
    /// `@hidden`.
    pub hidden: bool,
    /// `@allow` on the field. A field without rules follows those of its row.
    pub rules: Vec<Rule>,
}

/// What a field contains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldKind {
    /// The value of a column. A relation `merchant` also creates a scalar field `merchantId`,
    /// directly before it.
    Scalar(ColumnId),
    /// The row that a column refers to.
    ToOne {
        /// The foreign key.
        column: ColumnId,
        /// The entity that it refers to.
        target: EntityId,
    },
    /// The rows whose column refers to this row (`@derivedFrom`).
    ToMany {
        /// The entity of the rows.
        target: EntityId,
        /// The target's foreign key.
        column: ColumnId,
    },
}

/// `@unique`: at most one row for each combination of values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unique {
    /// At least one.
    pub columns: Vec<ColumnId>,
    /// The root field that looks up a row by these columns: `productByMerchantAndSku`.
    pub lookup: String,
}

/// `@index`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    /// At least one.
    pub columns: Vec<ColumnId>,
}

/// A term of an ordering.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Order {
    /// Whether the largest value comes first.
    pub descending: bool,
    /// Whether NULLs come first. By default they do for `ASC` and do not for `DESC`.
    pub nulls_first: bool,
}

/// `@cacheControl` as declared; [`crate::cache_control`] decides what follows from it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CacheHint {
    /// In seconds.
    pub max_age: Option<u32>,
    /// In seconds, for shared caches.
    pub shared_max_age: Option<u32>,
    /// In seconds.
    pub stale_while_revalidate: Option<u32>,
    /// `scope:`; `Some(true)` is PRIVATE.
    pub private: Option<bool>,
    /// Inherit the parent's lifetime.
    pub inherit_max_age: bool,
}

impl Order {
    /// The enum values of the API.
    pub const NAMES: [&'static str; 6] =
        ["ASC", "DESC", "ASC_NULLS_FIRST", "ASC_NULLS_LAST", "DESC_NULLS_FIRST", "DESC_NULLS_LAST"];

    /// Parses a value of the enum `OrderDirection`.
    pub fn parse(name: &str) -> Option<Self> {
        let (descending, nulls_first) = match name {
            "ASC" | "ASC_NULLS_FIRST" => (false, true),
            "ASC_NULLS_LAST" => (false, false),
            "DESC_NULLS_FIRST" => (true, true),
            "DESC" | "DESC_NULLS_LAST" => (true, false),
            _ => return None,
        };
        Some(Self { descending, nulls_first })
    }
}

impl Column {
    /// Whether clients may order lists by it, so that `…OrderBy` contains it.
    pub fn is_sortable(&self) -> bool {
        !self.hidden && self.scalar.is_sortable()
    }

    /// Whether clients may filter by it, so that `…Where` contains it.
    pub fn is_filterable(&self) -> bool {
        !self.hidden && self.scalar.is_filterable()
    }
}

impl Model {
    /// The entity with this index.
    pub fn entity(&self, id: EntityId) -> &Entity {
        &self.entities[usize::from(id.0)]
    }

    /// The entity with this name.
    pub fn entity_by_name(&self, name: &str) -> Option<&Entity> {
        self.by_name.get(name).map(|id| self.entity(*id))
    }

    /// The enum with this index.
    pub fn enum_type(&self, id: EnumId) -> &EnumType {
        &self.enums[usize::from(id.0)]
    }
}

impl Entity {
    /// The column with this index.
    pub fn column(&self, id: ColumnId) -> &Column {
        &self.columns[usize::from(id.0)]
    }

    /// The column with this name in filters, orderings and inputs.
    pub fn column_by_field(&self, field: &str) -> Option<ColumnId> {
        self.column_ids().find(|id| self.column(*id).field == field)
    }

    /// The field that clients select by this name, unless it is hidden.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|f| f.name == name && !f.hidden)
    }

    /// The page size, in rows, if neither `first` nor `last` is given.
    pub fn default_page_size(&self) -> u32 {
        DEFAULT_PAGE_SIZE.min(self.max_page_size)
    }

    /// Whether clients may look up rows by it. A lookup by a hidden column would reveal its values.
    pub fn has_lookup(&self, unique: &Unique) -> bool {
        unique.columns.iter().all(|id| !self.column(*id).hidden)
    }

    /// All columns, in order.
    pub fn column_ids(&self) -> impl Iterator<Item = ColumnId> + use<> {
        (0..self.columns.len() as u16).map(ColumnId)
    }
}
