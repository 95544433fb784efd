//! stub
/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// Nothing starts.
    Error,
    /// Works, but look at it.
    Warning,
}
/// A mistake in a file that the user wrote: what, where, and what would be right.
#[derive(Debug, Clone)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// The file, as the user named it.
    pub file: String,
    /// Byte range in the file's text (empty at 0 where the mistake has no place).
    pub span: std::ops::Range<usize>,
    /// What is wrong. Lower case, no full stop.
    pub message: String,
    /// What would be right.
    pub help: Option<String>,
}
