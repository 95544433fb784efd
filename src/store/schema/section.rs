//! What a migration is written in: headings, each with the statements under it.

use super::layout::Table;

/// A heading and what stands under it.
pub(in crate::store) struct Section {
    /// A sentence, or several lines of them.
    pub(in crate::store) heading: String,
    /// Each with its closing semicolon; or comments.
    pub(in crate::store) statements: Vec<String>,
}

/// The triggers of an entity's table.
pub(in crate::store) fn versions_kept(table: &Table, statements: Vec<String>) -> Section {
    let heading = format!("The versions of {}: kept for whoever writes.", table.name.as_str());
    Section { heading, statements }
}
