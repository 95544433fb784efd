//! What a piece of SQL says, independent of its layout: two texts mean the same if their words are
//! equal.

use super::lexer::{Token, tokens};
use crate::store::schema::words::joined;

/// The text without what does not change its meaning.
pub(in crate::store) fn words(text: &str) -> String {
    joined(tokens(text).map(|(kind, token)| (kind != Token::Space).then_some(token)))
}
