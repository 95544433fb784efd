//! One thing that the linter says of a document.

/// Something worth a second look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Line and column in the document.
    pub position: (usize, usize),
    /// What it is. Lower case, no full stop.
    pub message: String,
    /// What would be better.
    pub help: String,
    /// The operation can never be answered as it stands.
    pub is_mistake: bool,
}

impl Finding {
    /// Something that works, and could be better.
    pub(super) fn advice(
        position: (usize, usize),
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        Self { position, message: message.into(), help: help.into(), is_mistake: false }
    }
}
