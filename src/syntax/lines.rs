//! Converts lines and columns back to byte offsets.

use async_graphql::parser::Pos;

/// The start of each line of a text.
#[derive(Debug)]
pub struct Lines(Vec<usize>);

impl Lines {
    /// Computes them.
    pub fn of(text: &str) -> Self {
        let bytes = text.as_bytes();
        // A CR before an LF does not end a line of its own.
        let ends = bytes.iter().enumerate().filter(|(at, byte)| match byte {
            b'\n' => true,
            b'\r' => bytes.get(at + 1) != Some(&b'\n'),
            _ => false,
        });
        Self(std::iter::once(0).chain(ends.map(|(at, _)| at + 1)).collect())
    }

    /// The byte at a line and column of the same text; a column past the end of the line gives its
    /// end.
    pub fn offset(&self, text: &str, pos: Pos) -> usize {
        let line = pos.line.saturating_sub(1);
        let Some(start) = self.0.get(line) else { return text.len() };
        let rest = &text[*start..];
        let end = rest.find(['\n', '\r']).unwrap_or(rest.len());
        let mut units = pos.column.saturating_sub(1);
        for (offset, c) in rest[..end].char_indices() {
            if units == 0 {
                return start + offset;
            }
            units = units.saturating_sub(c.len_utf16());
        }
        start + end
    }
}
