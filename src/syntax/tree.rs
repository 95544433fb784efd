//! What the parser gives: definitions in async-graphql's tree, or the first mistake; and the limits
//! of both.

use std::ops::Range;

use async_graphql::parser::Pos;
use async_graphql::parser::types::{FragmentDefinition, OperationDefinition, TypeSystemDefinition};
use async_graphql::{Name, Positioned};

/// How deep `{`, `(` and `[` may nest. The parser recurses, and must not run out of stack.
pub const MAX_NESTING: usize = 64;

/// How many tokens a text may have.
pub const MAX_TOKENS: usize = 100_000;

/// The definitions of a text.
#[derive(Debug)]
pub struct Document {
    /// In the order of the text, at least one.
    pub definitions: Vec<Definition>,
    /// What the grammar lets pass and the tree cannot hold: the second of two members of an input
    /// object that have the same name.
    pub repeated_members: Vec<Positioned<Name>>,
}

/// A definition, with its name if it may have one.
#[derive(Debug)]
pub enum Definition {
    /// A query, mutation or subscription.
    Operation(Option<Positioned<Name>>, Positioned<OperationDefinition>),
    /// A fragment.
    Fragment(Positioned<Name>, Positioned<FragmentDefinition>),
    /// A definition or an extension of a type, a directive or the schema, and where it begins.
    Types(Box<TypeSystemDefinition>, Pos),
}

/// What a text is, for the words of messages.
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
    /// Where.
    pub pos: Pos,
    /// The bytes of what was found there; none at the end of the text.
    pub span: Range<usize>,
    /// What is wrong. Lower case, no full stop.
    pub message: String,
    /// The text may be fine, but is beyond [`MAX_NESTING`] or [`MAX_TOKENS`].
    pub beyond_limit: bool,
}

impl SyntaxError {
    pub(super) fn new(pos: Pos, span: Range<usize>, message: impl Into<String>) -> Self {
        Self { pos, span, message: message.into(), beyond_limit: false }
    }
}
