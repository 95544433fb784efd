//! The plan of an operation: what to read or write, in the order of the answer, with everything
//! resolved that does not depend on the variables. Made by [`super::compile`], given its arguments
//! by [`super::bind`], run by [`super::read`] and [`super::write`].

use async_graphql_value::Value as Ast;

use super::access::Accesses;
use super::bound::ListShapes;
use super::decider::Deciders;
use crate::cache_control::Policy;
use crate::model::{Access, ColumnId, EntityId, Scalar};
use crate::store::Query;

/// One operation, compiled for given values of the variables in its `@skip` and `@include`.
#[derive(Debug)]
pub struct Plan {
    /// In the order of the answer.
    pub root: Vec<RootField>,
    /// How many places for queries it has.
    pub places: usize,
    /// How many places for arguments it has.
    pub arguments: usize,
    /// What caches may do with its answers.
    pub policy: Policy,
    /// Which fields made the policy what it is.
    pub deciders: Deciders,
    /// What it does to whose rows.
    pub accesses: Accesses,
}

/// A response key, and how it is written.
#[derive(Debug, Clone)]
pub struct ResponseKey {
    /// `name`
    pub name: String,
    /// `"name":`
    pub json: Box<[u8]>,
}

/// A field of Query or Mutation.
#[derive(Debug)]
pub struct RootField {
    /// Where its result goes.
    pub key: ResponseKey,
    /// Line and column in the document.
    pub position: (usize, usize),
    /// What it does.
    pub kind: RootKind,
}

/// What a root field does.
#[derive(Debug)]
pub enum RootKind {
    /// The name of the root type, as JSON.
    Typename(&'static str),
    /// `__schema` or `__type`: answered by the schema, not by the store.
    Introspection,
    /// One row by its key or by a unique combination of columns.
    One(OneRow),
    /// A connection over all rows.
    List(ListPlan),
    /// Rows of any type by their global ids: `node` and `nodes`.
    Node(NodePlan),
    /// A write.
    Write(Box<WritePlan>),
}

/// A look-up at the root.
#[derive(Debug)]
pub struct OneRow {
    /// The columns that name the row, and the arguments that give their values.
    pub keys: Vec<(ColumnId, Argument)>,
    /// Where the coerced values are.
    pub bound: usize,
    /// What to read of the row.
    pub row: RowPlan,
}

/// `node(id:)` and `nodes(ids:)`. What is selected depends on the row's type, so each type has a
/// plan of its own.
#[derive(Debug)]
pub struct NodePlan {
    /// `id` or `ids`.
    pub ids: Option<Argument>,
    /// Line and column in the document.
    pub position: (usize, usize),
    /// Several: `nodes`.
    pub is_list: bool,
    /// Where the coerced ids are.
    pub bound: usize,
    /// By type: in the order of the model's entities that are nodes.
    pub rows: Vec<RowPlan>,
}

impl NodePlan {
    /// As many as the longest page of a list has where nothing else is said.
    pub const MOST_IDS: usize = 100;
}

/// One row by its key, or by several columns.
#[derive(Debug)]
pub struct RowPlan {
    /// Whose row.
    pub entity: EntityId,
    /// Reads key, version, columns.
    pub query: Query,
    /// The query's place.
    pub place: usize,
    /// How it is written.
    pub object: Object,
}

/// How a row is written: a JSON object. Indices count from the row's key (0), its version (1), then
/// the columns.
#[derive(Debug)]
pub struct Object {
    /// Whose row.
    pub entity: EntityId,
    /// In the order of the answer.
    pub fields: Vec<Field>,
}

/// A field of an entity.
#[derive(Debug)]
pub struct Field {
    /// Where its result goes.
    pub key: ResponseKey,
    /// What it is.
    pub kind: FieldKind,
}

/// What a field of an entity is.
#[derive(Debug)]
pub enum FieldKind {
    /// The name of the type.
    Typename,
    /// The row's token.
    Etag,
    /// A column.
    Value {
        /// In the row.
        index: usize,
        /// How it is written.
        scalar: Scalar,
        /// Whether NULL is a value of it.
        nullable: bool,
    },
    /// A column with a key that clients see as a global id.
    Id {
        /// In the row.
        index: usize,
        /// How the key itself is written.
        scalar: Scalar,
        /// Whose rows' ids.
        target: EntityId,
        /// Whether NULL is a value of it.
        nullable: bool,
    },
    /// The row that a column points to.
    ToOne {
        /// Of the foreign key in the row.
        index: usize,
        /// Whether it may point nowhere.
        nullable: bool,
        /// What is there.
        row: RowPlan,
    },
    /// The rows that point here.
    ToMany(ListPlan),
}

/// A connection.
#[derive(Debug)]
pub struct ListPlan {
    /// Whose rows.
    pub entity: EntityId,
    /// Only those whose column holds the parent's key.
    pub cut: Option<ColumnId>,
    /// As they stand in the document.
    pub arguments: Vec<(String, Argument)>,
    /// Where the coerced arguments are.
    pub bound: usize,
    /// The first of its [`ListPlan::PLACES`] places.
    pub place: usize,
    /// What its rows' objects need (beside key and version).
    pub columns: Vec<ColumnId>,
    /// In the order of the answer.
    pub fields: Vec<ConnectionField>,
    /// What of it was asked for.
    pub wants: ConnectionNeeds,
    /// Queries for the shapes that its arguments have had.
    pub shapes: ListShapes,
}

impl ListPlan {
    /// Queries of a list: page, count, rows behind, rows in front.
    pub const PLACES: usize = 4;
    /// The page's, from the first on.
    pub const PAGE: usize = 0;
    /// The count's.
    pub const COUNT: usize = 1;
    /// That of whether rows follow the page.
    pub const BEHIND: usize = 2;
    /// That of whether rows precede it.
    pub const IN_FRONT: usize = 3;
}

/// What of a connection was asked for.
#[derive(Debug, Clone, Copy, Default)]
pub struct ConnectionNeeds {
    /// `nodes` or `edges`, or a cursor, or a page flag.
    pub rows: bool,
    /// `hasNextPage`.
    pub next: bool,
    /// `hasPreviousPage`.
    pub previous: bool,
    /// Any cursor.
    pub cursors: bool,
}

/// A field of a connection.
#[derive(Debug)]
pub struct ConnectionField {
    /// Where its result goes.
    pub key: ResponseKey,
    /// What it is.
    pub kind: ConnectionFieldKind,
}

/// What a field of a connection is.
#[derive(Debug)]
pub enum ConnectionFieldKind {
    /// As JSON.
    Typename(Box<[u8]>),
    /// The rows.
    Nodes(Object),
    /// The rows with their cursors.
    Edges(Vec<EdgeField>),
    /// Flags and cursors.
    PageInfo(Vec<(ResponseKey, PageInfoField)>),
    /// How many rows there are on all pages.
    TotalCount,
}

/// A field of an edge.
#[derive(Debug)]
pub struct EdgeField {
    /// Where its result goes.
    pub key: ResponseKey,
    /// What it is.
    pub kind: EdgeFieldKind,
}

/// What a field of an edge is.
#[derive(Debug)]
pub enum EdgeFieldKind {
    /// As JSON.
    Typename(Box<[u8]>),
    /// The row's place in the ordering.
    Cursor,
    /// The row.
    Node(Object),
}

/// A field of `PageInfo`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageInfoField {
    /// The type's name.
    Typename,
    /// Rows follow.
    HasNextPage,
    /// Rows precede.
    HasPreviousPage,
    /// Of the first row.
    StartCursor,
    /// Of the last row.
    EndCursor,
}

/// A field of Mutation.
#[derive(Debug)]
pub struct WritePlan {
    /// What it does.
    pub action: Action,
    /// `id`.
    pub id: Option<Argument>,
    /// `input` or `patch`.
    pub input: Option<Argument>,
    /// `expectedEtag`.
    pub expected_etag: Option<Argument>,
    /// Where the coerced arguments are.
    pub bound: usize,
    /// What to read of the row for the answer.
    pub row: RowPlan,
}

/// What a mutation's field does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Makes a row.
    Create,
    /// Changes some columns of a row.
    Update,
    /// Removes a row.
    Delete,
}

impl Action {
    /// What the model's rules call it.
    pub fn access(self) -> Access {
        match self {
            Self::Create => Access::Create,
            Self::Update => Access::Update,
            Self::Delete => Access::Delete,
        }
    }
}

/// An argument as it stands in the document.
#[derive(Debug, Clone)]
pub struct Argument {
    /// May hold variables.
    pub value: Ast,
    /// Line and column in the document.
    pub position: (usize, usize),
}
