//! A finding of the linter.

/// Something that deserves a second look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    /// Line and column in the document.
    pub position: (usize, usize),
    /// What it is, in lower case, without a full stop.
    pub message: String,
    /// What would be better.
    pub help: String,
    /// The operation can never be answered as written.
    pub is_mistake: bool,
}

impl Finding {
    /// It works, but could be better.
    pub(super) fn advice(
        position: (usize, usize),
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        Self { position, message: message.into(), help: help.into(), is_mistake: false }
    }
}
