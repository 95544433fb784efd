//! Parses GraphQL text into a syntax tree, by the grammar of the September 2025 specification:
//! operations and type definitions, in one parser. It knows no schema. The tree is async-graphql's.
//! Its own parser is not used: it rejects escapes, descriptions and spaces that the grammar allows,
//! accepts documents that it does not, and reports expectations by the names of its grammar rules.
//!
//! Lines and columns are counted from 1, as in graphql-js and editors: a line ends with LF, CR or
//! CR LF, and columns are UTF-16 code units.

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

/// Parses a whole text. Time and memory are linear in its length; the stack is bounded by
/// [`MAX_NESTING`].
///
/// # Errors
/// The first mistake.
pub fn parse(text: &str, purpose: Purpose) -> Result<Document, SyntaxError> {
    Parser::new(text, purpose)?.document()
}

#[cfg(test)]
mod tests;
