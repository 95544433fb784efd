//! GraphQL text to syntax tree, by the grammar of the September 2025 specification: operations and
//! type definitions, in one parser. It knows no schema. The tree is async-graphql's; its own parser
//! refuses escapes, descriptions and spaces that the grammar has, takes documents that it has not,
//! and says what it expected in the names of its rules.
//!
//! Lines and columns are counted from 1 as graphql-js and editors count them: a line ends with LF,
//! CR or both, and a column is a UTF-16 code unit.

mod definitions;
mod executable;
mod lexer;
mod lines;
mod parser;
mod string;
mod tree;
mod value;

pub use lexer::{Lexer, Token, TokenKind};
pub use lines::Lines;
pub use tree::{Definition, Document, MAX_NESTING, MAX_TOKENS, Purpose, SyntaxError};
pub use value::{exact_float, from_json, long_integer, long_number};

use parser::Parser;

/// Parses a text to its end. Time and memory grow with its length, the stack with [`MAX_NESTING`]
/// at most.
///
/// # Errors
/// The first mistake.
pub fn parse(text: &str, purpose: Purpose) -> Result<Document, SyntaxError> {
    Parser::new(text, purpose)?.document()
}

#[cfg(test)]
mod tests;
