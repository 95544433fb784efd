//! The structure of a migration: headings, each followed by statements.

use super::layout::Table;

/// A heading and its statements.
pub(in crate::store) struct Section {
    /// One or several sentences.
    pub(in crate::store) heading: String,
    /// Statements with their closing semicolon, or comments.
    pub(in crate::store) statements: Vec<String>,
}

/// The triggers of an entity's table.
pub(in crate::store) fn versions_kept(table: &Table, statements: Vec<String>) -> Section {
    let heading = format!("The versions of {}: kept for whoever writes.", table.name.as_str());
    Section { heading, statements }
}
