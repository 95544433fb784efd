//! GraphQL text to syntax tree, by the grammar of the September 2025 specification: operations and type definitions, in
//! one parser. It knows no schema. The tree is async-graphql's; its own parser refuses escapes, descriptions and spaces
//! that the grammar has, takes documents that it has not, and says what it expected in the names of its rules.
//!
//! Lines and columns are counted from 1 as graphql-js and editors count them: a line ends with LF, CR or both, and a column
//! is a UTF-16 code unit.

mod definitions;
mod executable;
mod lexer;
mod lines;
mod parser;
mod string;
mod value;

use async_graphql::parser::Pos;
use async_graphql::parser::types::{FragmentDefinition, OperationDefinition, TypeSystemDefinition};
use async_graphql::{Name, Positioned};

pub use lexer::{Kind, Lexer, Token};
pub use lines::Lines;
pub use value::{from_json, long_integer, long_number};

use parser::Parser;

/// How deep `{`, `(` and `[` may nest. The parser recurses, and must not run out of stack.
pub const MAX_NESTING: usize = 64;

/// How many tokens a text may have.
pub const MAX_TOKENS: usize = 100_000;

/// The definitions of a text.
#[derive(Debug)]
pub struct Document {
    /// In the order of the text, at least one.
    pub definitions: Vec<Definition>,
    /// What the grammar lets pass and the tree cannot hold: the second of two members of an input object that have the
    /// same name.
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
    pub span: std::ops::Range<usize>,
    /// What is wrong. Lower case, no full stop.
    pub message: String,
    /// The text may be fine, but is beyond [`MAX_NESTING`] or [`MAX_TOKENS`].
    pub beyond_limit: bool,
}

/// Parses a text to its end. Time and memory grow with its length, the stack with [`MAX_NESTING`] at most.
///
/// # Errors
/// The first mistake.
pub fn parse(text: &str, purpose: Purpose) -> Result<Document, SyntaxError> {
    Parser::new(text, purpose)?.document()
}

#[cfg(test)]
mod tests;
