//! The parser's result: definitions in async-graphql's tree, or the first mistake; and the limits
//! of both.

use std::ops::Range;

use async_graphql::parser::Pos;
use async_graphql::parser::types::{FragmentDefinition, OperationDefinition, TypeSystemDefinition};
use async_graphql::{Name, Positioned};

/// The maximum nesting of `{`, `(` and `[`. The parser is recursive and must not overflow the
/// stack.
pub const MAX_NESTING: usize = 64;

/// The maximum number of tokens in a text.
pub const MAX_TOKENS: usize = 100_000;

/// The definitions of a text.
#[derive(Debug)]
pub struct Document {
    /// In document order; at least one.
    pub definitions: Vec<Definition>,
    /// The mistake that the grammar allows but the tree cannot represent: the second of two members
    /// of an input object with the same name.
    pub repeated_members: Vec<Positioned<Name>>,
}

/// A definition, with its name if it has one.
#[derive(Debug)]
pub enum Definition {
    /// A query, mutation or subscription.
    Operation(Option<Positioned<Name>>, Positioned<OperationDefinition>),
    /// A fragment.
    Fragment(Positioned<Name>, Positioned<FragmentDefinition>),
    /// A definition or an extension of a type, a directive or the schema, and its start.
    Types(Box<TypeSystemDefinition>, Pos),
}

/// What a text is expected to contain. [`Self::Types`] accepts no operations and fragments;
/// otherwise this affects messages only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Operations and fragments.
    Operations,
    /// Type definitions.
    Types,
}

/// Why a text has no syntax tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyntaxError {
    /// Its position.
    pub pos: Pos,
    /// The bytes of the unexpected token; empty at the end of the text.
    pub span: Range<usize>,
    /// What is wrong, in lower case, without a full stop.
    pub message: String,
    /// The text may be valid, but exceeds [`MAX_NESTING`] or [`MAX_TOKENS`].
    pub beyond_limit: bool,
}

impl SyntaxError {
    pub(super) fn new(pos: Pos, span: Range<usize>, message: impl Into<String>) -> Self {
        Self { pos, span, message: message.into(), beyond_limit: false }
    }
}
