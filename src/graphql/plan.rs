//! The plan of an operation: what to read or write, in the order of the answer, with everything
//! resolved that does not depend on the variables. [`super::compile`] creates it, [`super::bind`]
//! binds its arguments, [`super::read`] and [`super::write`] run it.

use async_graphql_value::Value as Ast;

use super::access::Accesses;
use super::bound::ListShapes;
use super::decider::Deciders;
use crate::cache_control::Policy;
use crate::model::{Access, ColumnId, EntityId, Scalar};
use crate::store::Query;

/// One operation, compiled for given values of the variables in its `@skip` and `@include`.
#[derive(Debug)]
pub(crate) struct Plan {
    /// In the order of the answer.
    pub root: Vec<RootField>,
    /// The number of query places.
    pub places: usize,
    /// The number of argument places.
    pub arguments: usize,
    /// What caches may do with its answers.
    pub policy: Policy,
    /// Which fields decided the policy.
    pub deciders: Deciders,
    /// The rows and fields that it accesses.
    pub accesses: Accesses,
}

impl Plan {
    /// The writes of a mutation, in order.
    pub(crate) fn writes(&self) -> impl Iterator<Item = &WritePlan> {
        self.root.iter().filter_map(|field| match &field.kind {
            RootKind::Write(write) => Some(&**write),
            _ => None,
        })
    }
}

/// A response key, and its JSON form.
#[derive(Debug, Clone)]
pub(crate) struct ResponseKey {
    /// `name`
    pub name: String,
    /// `"name":`
    pub json: Box<[u8]>,
}

/// A field of Query or Mutation.
#[derive(Debug)]
pub(crate) struct RootField {
    /// The key of its result.
    pub key: ResponseKey,
    /// Line and column in the document.
    pub position: (usize, usize),
    /// What it does.
    pub kind: RootKind,
}

/// What a root field does.
#[derive(Debug)]
pub(crate) enum RootKind {
    /// `__typename`: the name of the root type, as JSON.
    Typename(&'static str),
    /// `__schema` or `__type`: answered by the schema, not by the store.
    Introspection,
    /// One row by its key or by a unique combination of columns.
    One(Box<OneRow>),
    /// A connection over all rows.
    List(ListPlan),
    /// Rows of any type by their global ids: `node` and `nodes`.
    Node(NodePlan),
    /// A write.
    Write(Box<WritePlan>),
}

/// A lookup at the root.
#[derive(Debug)]
pub(crate) struct OneRow {
    /// The columns that identify the row, and the arguments that give their values.
    pub keys: Vec<(ColumnId, Argument)>,
    /// The index of the coerced values.
    pub bound: usize,
    /// What to read of the row.
    pub row: RowPlan,
}

/// `node(id:)` and `nodes(ids:)`. What is selected depends on the row's type, so each type has its
/// own plan.
#[derive(Debug)]
pub(crate) struct NodePlan {
    /// `id` or `ids`.
    pub ids: Option<Argument>,
    /// Line and column in the document.
    pub position: (usize, usize),
    /// Whether it is `nodes`.
    pub is_list: bool,
    /// The index of the coerced ids.
    pub bound: usize,
    /// One plan per type, in the order of the model's entities that are nodes.
    pub rows: Vec<RowPlan>,
}

impl NodePlan {
    /// The maximum number of ids; the same as the default page size limit of lists.
    pub(crate) const MOST_IDS: usize = 100;
}

/// One row by its key, or by several columns.
#[derive(Debug)]
pub(crate) struct RowPlan {
    /// The entity of the row.
    pub entity: EntityId,
    /// Reads key, version and columns.
    pub query: Query,
    /// The query's place.
    pub place: usize,
    /// How it is written.
    pub object: Object,
}

/// How a row is written: a JSON object. Indices count from the row's key (0) and its version (1);
/// the columns follow.
#[derive(Debug)]
pub(crate) struct Object {
    /// The entity of the row.
    pub entity: EntityId,
    /// In the order of the answer.
    pub fields: Vec<ObjectField>,
}

#[derive(Debug)]
pub(crate) struct ObjectField {
    /// The key of its result.
    pub key: ResponseKey,
    /// What it is.
    pub kind: ObjectFieldKind,
}

#[derive(Debug)]
pub(crate) enum ObjectFieldKind {
    /// The name of the type.
    Typename,
    /// The row's token.
    Etag,
    /// A column.
    Value {
        /// The column.
        column: ColumnId,
        /// Its index in the row.
        index: usize,
        /// How it is written.
        scalar: Scalar,
        /// Whether it may be NULL.
        nullable: bool,
    },
    /// A key column that clients see as a global id.
    Id {
        /// The column.
        column: ColumnId,
        /// Its index in the row.
        index: usize,
        /// How the key itself is written.
        scalar: Scalar,
        /// The entity that the id belongs to.
        target: EntityId,
        /// Whether it may be NULL.
        nullable: bool,
    },
    /// The row that a column refers to.
    ToOne {
        /// The foreign key.
        column: ColumnId,
        /// Its index in the row.
        index: usize,
        /// Whether the reference may be NULL.
        nullable: bool,
        /// How the row is read and written.
        row: RowPlan,
    },
    /// The rows that refer to this one.
    ToMany(ListPlan),
}

#[derive(Debug)]
pub(crate) struct ListPlan {
    /// The entity of the rows.
    pub entity: EntityId,
    /// Only rows whose column holds the parent's key.
    pub cut: Option<ColumnId>,
    /// As written in the document.
    pub arguments: Vec<(String, Argument)>,
    /// The index of the coerced arguments.
    pub bound: usize,
    /// The first of its [`ListPlan::PLACES`] places.
    pub place: usize,
    /// The columns that its rows' objects need, besides key and version.
    pub columns: Vec<ColumnId>,
    /// In the order of the answer.
    pub fields: Vec<ConnectionField>,
    /// Which parts of it were requested.
    pub wants: ConnectionNeeds,
    /// The queries for the argument shapes so far.
    pub shapes: ListShapes,
}

impl ListPlan {
    /// The number of queries of a list: page, count, rows after, rows before.
    pub(crate) const PLACES: usize = 4;
    /// The page query, counted from the list's first place.
    pub(crate) const PAGE: usize = 0;
    pub(crate) const COUNT: usize = 1;
    /// The query for whether rows follow the page.
    pub(crate) const BEHIND: usize = 2;
    /// The query for whether rows precede the page.
    pub(crate) const IN_FRONT: usize = 3;
}

/// Which parts of a connection were requested.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ConnectionNeeds {
    /// `nodes` or `edges`, a cursor, or a page flag.
    pub rows: bool,
    /// `hasNextPage`.
    pub next: bool,
    /// `hasPreviousPage`.
    pub previous: bool,
    /// Any cursor.
    pub cursors: bool,
}

#[derive(Debug)]
pub(crate) struct ConnectionField {
    /// The key of its result.
    pub key: ResponseKey,
    /// What it is.
    pub kind: ConnectionFieldKind,
}

#[derive(Debug)]
pub(crate) enum ConnectionFieldKind {
    /// `__typename`, as JSON.
    Typename(Box<[u8]>),
    /// The rows.
    Nodes(Object),
    /// The rows with their cursors.
    Edges(Vec<EdgeField>),
    /// Flags and cursors.
    PageInfo(Vec<(ResponseKey, PageInfoField)>),
    /// The number of rows on all pages.
    TotalCount,
}

#[derive(Debug)]
pub(crate) struct EdgeField {
    /// The key of its result.
    pub key: ResponseKey,
    /// What it is.
    pub kind: EdgeFieldKind,
}

#[derive(Debug)]
pub(crate) enum EdgeFieldKind {
    /// `__typename`, as JSON.
    Typename(Box<[u8]>),
    /// The row's position in the ordering.
    Cursor,
    /// The row.
    Node(Object),
}

/// A field of `PageInfo`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PageInfoField {
    /// The type's name.
    Typename,
    /// Whether rows follow.
    HasNextPage,
    /// Whether rows precede.
    HasPreviousPage,
    /// The cursor of the first row.
    StartCursor,
    /// The cursor of the last row.
    EndCursor,
}

/// A field of Mutation.
#[derive(Debug)]
pub(crate) struct WritePlan {
    /// What it does.
    pub action: Action,
    /// `id`.
    pub id: Option<Argument>,
    /// `input` or `patch`.
    pub input: Option<Argument>,
    /// `expectedEtag`.
    pub expected_etag: Option<Argument>,
    /// The index of the coerced arguments.
    pub bound: usize,
    /// What to read of the row for the answer.
    pub row: RowPlan,
}

/// What a mutation's field does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// Inserts a row.
    Create,
    /// Updates some columns of a row.
    Update,
    /// Deletes a row.
    Delete,
}

impl Action {
    /// The access in the model's rules.
    pub(crate) fn access(self) -> Access {
        match self {
            Self::Create => Access::Create,
            Self::Update => Access::Update,
            Self::Delete => Access::Delete,
        }
    }
}

/// An argument as written in the document.
#[derive(Debug, Clone)]
pub(crate) struct Argument {
    /// May contain variables.
    pub value: Ast,
    /// Line and column in the document.
    pub position: (usize, usize),
}
