//! The rows that a statement returns, as the server sent them.

use super::error::ClientError;

/// How values are encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// As text.
    Text,
    /// In PostgreSQL's binary format.
    Binary,
}

/// A parameter of a statement. The statement determines its type: `$1::uuid`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Parameter<'a> {
    /// NULL.
    Null,
    /// As text, which the server parses.
    Text(&'a str),
    /// In PostgreSQL's binary format.
    Binary(&'a [u8]),
}

/// The cells of a row that is being received.
#[derive(Debug, Clone, Copy)]
pub struct Cells<'a> {
    count: usize,
    rest: &'a [u8],
}

impl<'a> Cells<'a> {
    pub(super) fn read(body: &'a [u8]) -> Result<Self, ClientError> {
        let (count, rest) = body.split_first_chunk().ok_or_else(broken)?;
        Ok(Self { count: usize::from(u16::from_be_bytes(*count)), rest })
    }

    /// How many cells are left.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether no cell is left.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether the next cell is NULL, or there is none.
    pub fn is_next_null(mut self) -> bool {
        !matches!(self.next_cell(), Ok(Some(_)))
    }

    /// The cells after all but this many.
    ///
    /// # Errors
    /// There are fewer cells than announced.
    pub fn last(mut self, count: usize) -> Result<Self, ClientError> {
        while self.count > count {
            self.next_cell()?;
        }
        Ok(self)
    }

    /// The next cell; None for NULL.
    ///
    /// # Errors
    /// No cell is left.
    pub fn next_cell(&mut self) -> Result<Option<&'a [u8]>, ClientError> {
        self.count = self.count.checked_sub(1).ok_or_else(broken)?;
        let (length, rest) = self.rest.split_first_chunk().ok_or_else(broken)?;
        // -1 is NULL.
        let Ok(length) = usize::try_from(i32::from_be_bytes(*length)) else {
            self.rest = rest;
            return Ok(None);
        };
        let (cell, rest) = rest.split_at_checked(length).ok_or_else(broken)?;
        self.rest = rest;
        Ok(Some(cell))
    }
}

fn broken() -> ClientError {
    ClientError::protocol("a row is shorter than it says")
}

/// The rows that a statement returned, and how many rows it affected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rows {
    format: Format,
    bytes: Vec<u8>,
    /// Start and length of each cell; None for NULL.
    cells: Vec<Option<(usize, usize)>>,
    columns: usize,
    count: usize,
    /// The number in the command tag: rows written or returned.
    pub affected: u64,
}

impl Rows {
    pub(super) fn new(format: Format) -> Self {
        Self { format, bytes: Vec::new(), cells: Vec::new(), columns: 0, count: 0, affected: 0 }
    }

    pub(super) fn push(&mut self, mut cells: Cells<'_>) -> Result<(), ClientError> {
        self.columns = cells.len();
        self.count += 1;
        while !cells.is_empty() {
            let cell = cells.next_cell()?;
            self.cells.push(cell.map(|cell| (self.bytes.len(), cell.len())));
            self.bytes.extend_from_slice(cell.unwrap_or_default());
        }
        Ok(())
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The number of columns; 0 if there are no rows.
    pub fn width(&self) -> usize {
        self.columns
    }

    /// All rows.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = RowRef<'_>> {
        (0..self.count).map(|row| RowRef { rows: self, row })
    }

    /// The first row.
    pub fn first(&self) -> Option<RowRef<'_>> {
        self.iter().next()
    }
}

/// One row.
#[derive(Debug, Clone, Copy)]
pub struct RowRef<'r> {
    rows: &'r Rows,
    row: usize,
}

impl<'r> RowRef<'r> {
    /// The bytes of a column; None for NULL, and if there is no such column.
    pub fn bytes(&self, column: usize) -> Option<&'r [u8]> {
        let at = (column < self.rows.columns).then(|| self.row * self.rows.columns + column)?;
        let (start, length) = self.rows.cells[at]?;
        Some(&self.rows.bytes[start..start + length])
    }

    /// A column as a string: a string in either format, or anything in text format. None for NULL.
    pub fn text(&self, column: usize) -> Option<&'r str> {
        std::str::from_utf8(self.bytes(column)?).ok()
    }

    /// A column as a string; empty for NULL.
    pub fn string(&self, column: usize) -> String {
        self.text(column).unwrap_or_default().to_owned()
    }

    /// A column as an integer or oid of two, four or eight bytes; None for NULL and for anything
    /// else.
    pub fn int(&self, column: usize) -> Option<i64> {
        match self.rows.format {
            Format::Text => self.text(column)?.parse().ok(),
            Format::Binary => int(self.bytes(column)?),
        }
    }

    /// A column as a Boolean; false for NULL.
    pub fn is(&self, column: usize) -> bool {
        matches!(self.bytes(column), Some(b"t" | [1]))
    }
}

/// An integer in binary format.
pub fn int(bytes: &[u8]) -> Option<i64> {
    match *bytes {
        [a, b] => Some(i16::from_be_bytes([a, b]).into()),
        [a, b, c, d] => Some(i32::from_be_bytes([a, b, c, d]).into()),
        [a, b, c, d, e, f, g, h] => Some(i64::from_be_bytes([a, b, c, d, e, f, g, h])),
        _ => None,
    }
}
