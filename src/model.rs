//! The model: what `schema.graphql` says. Entities, their fields, keys and relations, as the rest
//! of the program reads them. It knows names and types; it does not know SQL text, GraphQL
//! documents or HTTP.

pub mod advice;
pub mod diagnostic;
pub mod generated;
pub mod global_id;
pub mod naming;
pub mod parse;
pub mod rules;
pub mod scalar;

use std::collections::HashMap;

pub use diagnostic::{Diagnostic, Severity};
pub use parse::{Parsed, parse};
pub use rules::{Access, Rule};
pub use scalar::{CorruptValue, Scalar, Source, Value, ValueRef};

/// Rows of a page where neither `first` nor `last` says otherwise; fewer where the entity's
/// `maxPageSize` is smaller.
const DEFAULT_PAGE_SIZE: u32 = 20;

/// Everything that `schema.graphql` declares, checked.
#[derive(Debug, Clone)]
pub struct Model {
    /// In the order of the file.
    pub entities: Vec<Entity>,
    /// In the order of the file.
    pub enums: Vec<EnumType>,
    /// Entity name to index.
    pub by_name: HashMap<String, EntityId>,
    /// blake3 over everything in the model that can change the bytes of an answer (names, types,
    /// nullability, defaults, orderings, page sizes), independent of comments, white space and
    /// descriptions. Part of every ETag.
    pub fingerprint: [u8; 32],
    /// The model says who may do what, and what it does not allow is denied.
    pub has_rules: bool,
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
    /// Its name in GraphQL.
    pub name: String,
    /// From the SDL.
    pub description: Option<String>,
    /// The values and their descriptions, in the order of the file.
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
    /// What clients see, in the order of the file.
    pub fields: Vec<Field>,
    /// What the table has (without `_version`), in the order of the file.
    pub columns: Vec<Column>,
    /// The column of the field with `@id`.
    pub key: ColumnId,
    /// `@unique`, without the key itself.
    pub uniques: Vec<Unique>,
    /// `@index`, and one for each relation column that no other index or unique starts with.
    pub indexes: Vec<Index>,
    /// `@entity(orderBy:)`; the key is not appended here.
    pub order_by: Vec<(ColumnId, Order)>,
    /// Largest `first`/`last`, 1 or more.
    pub max_page_size: u32,
    /// Updates and deletes must carry `expectedEtag`.
    pub require_etag: bool,
    /// freshql's migrations make and change its table. Otherwise somebody else's do, and nothing of
    /// it is altered.
    pub managed: bool,
    /// `@cacheControl` on the type.
    pub cache: CacheHint,
    /// `@allow` on the type.
    pub rules: Vec<Rule>,
    /// Where its name stands in the model's text.
    pub span: std::ops::Range<usize>,
}

/// One column of an entity's table.
#[derive(Debug, Clone)]
pub struct Column {
    /// Its name in SQL.
    pub name: String,
    /// The name under which filters, orderings and inputs know it: `price`, and `merchantId` for a
    /// relation `merchant`.
    pub field: String,
    /// What it holds; a relation's column has its target key's type.
    pub scalar: Scalar,
    /// May be NULL.
    pub nullable: bool,
    /// `@default`.
    pub default: Option<DefaultValue>,
    /// `@readonly`: neither inputs nor patches have it. True for keys that the server makes.
    pub readonly: bool,
    /// `@updatedAt`: each update that clients ask for sets it to the time of the write.
    pub set_on_update: bool,
    /// `@hidden`: in no output, filter or ordering; inputs have it.
    pub hidden: bool,
    /// The entity that it points to.
    pub references: Option<Reference>,
    /// Clients see its values as global ids of this entity's rows.
    pub global: Option<EntityId>,
    /// Lists are cut by it: a relation, or a column of a `@unique` or `@index`. Its values are in
    /// the change log.
    pub part: bool,
    /// `@column(type:)`: overrides the SQL type in migrations.
    pub sql_type: Option<String>,
}

/// A foreign key.
#[derive(Debug, Clone)]
pub struct Reference {
    /// The entity that the column points to.
    pub target: EntityId,
    /// What happens to this row when that one is deleted.
    pub on_delete: OnDelete,
}

/// `@relation(onDelete:)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OnDelete {
    /// The delete fails.
    Restrict,
    /// This row goes too.
    Cascade,
    /// The column becomes NULL.
    SetNull,
}

impl OnDelete {
    /// As the model spells them.
    pub const NAMES: [&str; 3] = ["RESTRICT", "CASCADE", "SET_NULL"];

    /// As SQL spells it, after `ON DELETE`.
    pub fn sql(self) -> &'static str {
        match self {
            Self::Restrict => "RESTRICT",
            Self::Cascade => "CASCADE",
            Self::SetNull => "SET NULL",
        }
    }

    /// The one of this name in the model.
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

    /// Whether what a table says in SQL comes to the same. Ours says RESTRICT; others' tables say
    /// nothing, which means NO ACTION and fails as well, only later.
    pub fn is_said_by(self, sql: &str) -> bool {
        self.sql() == sql || (self == Self::Restrict && sql == "NO ACTION")
    }
}

/// `@default`.
#[derive(Debug, Clone, PartialEq)]
pub enum DefaultValue {
    /// In the column's storage form.
    Value(Value),
    /// A version 7 UUID, made by the server.
    UuidV7,
    /// The database counts.
    Autoincrement,
    /// The time of the write.
    Now,
    /// What this claim of whoever writes says.
    Claim(String),
}

/// One field of an entity, as clients select it.
#[derive(Debug, Clone)]
pub struct Field {
    /// Its name in GraphQL.
    pub name: String,
    /// From the SDL.
    pub description: Option<String>,
    /// What it is.
    pub kind: FieldKind,
    /// `@cacheControl` on the field.
    pub cache: CacheHint,
    /// `@hidden`.
    pub hidden: bool,
    /// `@allow` on the field. A field without any follows its row's.
    pub rules: Vec<Rule>,
}

/// What a field is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldKind {
    /// A value in a column. A relation `merchant` also makes a scalar field `merchantId` (directly
    /// before it).
    Scalar(ColumnId),
    /// The row that a column points to.
    ToOne {
        /// The foreign key.
        column: ColumnId,
        /// Whose key it holds.
        target: EntityId,
    },
    /// The rows whose column points to this one (`@derivedFrom`).
    ToMany {
        /// Whose rows.
        target: EntityId,
        /// The target's foreign key.
        column: ColumnId,
    },
}

/// `@unique`: at most one row for each combination of values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unique {
    /// One or more.
    pub columns: Vec<ColumnId>,
    /// The root field that looks a row up by it: `productByMerchantAndSku`.
    pub lookup: String,
}

/// `@index`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    /// One or more.
    pub columns: Vec<ColumnId>,
}

/// A term of an ordering.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Order {
    /// Largest first.
    pub descending: bool,
    /// Where NULLs stand. `ASC` puts them first and `DESC` last unless the enum value says
    /// otherwise.
    pub nulls_first: bool,
}

/// `@cacheControl`: what its author said; what follows from it is [`crate::cache_control`]'s
/// business.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CacheHint {
    /// Seconds.
    pub max_age: Option<u32>,
    /// Seconds, for shared caches.
    pub shared_max_age: Option<u32>,
    /// Seconds.
    pub stale_while_revalidate: Option<u32>,
    /// `scope:`; `Some(true)` is PRIVATE.
    pub private: Option<bool>,
    /// Take the parent's.
    pub inherit_max_age: bool,
}

impl Order {
    /// How the API spells orders.
    pub const NAMES: [&'static str; 6] =
        ["ASC", "DESC", "ASC_NULLS_FIRST", "ASC_NULLS_LAST", "DESC_NULLS_FIRST", "DESC_NULLS_LAST"];

    /// From the enum value `OrderDirection`.
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
    /// Clients may order lists by it: the API's `…OrderBy` has it.
    pub fn is_sortable(&self) -> bool {
        !self.hidden && self.scalar.is_sortable()
    }

    /// Clients may filter by it: the API's `…Where` has it.
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

    /// The column that filters, orderings and inputs know by this name.
    pub fn column_by_field(&self, field: &str) -> Option<ColumnId> {
        self.column_ids().find(|id| self.column(*id).field == field)
    }

    /// The field that clients select by this name; hidden ones are not found.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|f| f.name == name && !f.hidden)
    }

    /// Rows of a page where neither `first` nor `last` says otherwise.
    pub fn default_page_size(&self) -> u32 {
        DEFAULT_PAGE_SIZE.min(self.max_page_size)
    }

    /// May clients look rows up by it? A look-up by a hidden column would show what it hides.
    pub fn has_lookup(&self, unique: &Unique) -> bool {
        unique.columns.iter().all(|id| !self.column(*id).hidden)
    }

    /// All columns, in order.
    pub fn column_ids(&self) -> impl Iterator<Item = ColumnId> + use<> {
        (0..self.columns.len() as u16).map(ColumnId)
    }
}
