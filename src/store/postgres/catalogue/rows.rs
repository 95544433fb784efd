//! The catalogue's rows, column by column as its statements select them.

use super::{FoundColumn, FoundConstraint, FoundFunction, FoundIndex, FoundTable, FoundTrigger};
use crate::store::postgres::client::RowRef;

fn list(row: &RowRef<'_>, column: usize) -> Vec<String> {
    row.text(column).and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default()
}

fn some(row: &RowRef<'_>, column: usize) -> Option<String> {
    row.text(column).map(str::to_owned)
}

impl FoundTable {
    pub(super) fn read(row: &RowRef<'_>) -> Self {
        Self {
            oid: row.int(0).unwrap_or_default(),
            schema: row.string(1),
            name: row.string(2),
            is_visible: row.is(3),
            kind: row.string(4),
            parents: row
                .text(5)
                .and_then(|json| serde_json::from_str(json).ok())
                .unwrap_or_default(),
            is_partition: row.is(6),
            has_rules: row.is(7),
            is_filtered: row.is(8),
            ..Self::default()
        }
    }
}

impl FoundColumn {
    pub(super) fn read(row: &RowRef<'_>) -> Self {
        Self {
            name: row.string(1),
            sql_type: row.string(2),
            base: row.string(3),
            kind: row.string(4),
            base_type: row.string(5),
            not_null: row.is(6),
            default: some(row, 7),
            is_identity: row.is(8),
            is_generated: row.is(9),
            collation: some(row, 10),
            is_deterministic: row.is(11),
            values: list(row, 12),
            is_readable: row.is(13),
        }
    }
}

impl FoundConstraint {
    pub(super) fn read(row: &RowRef<'_>) -> Self {
        Self {
            kind: row.string(1),
            name: row.string(2),
            columns: list(row, 3),
            target: row.int(4).filter(|oid| *oid != 0),
            target_columns: list(row, 5),
            on_delete: row.string(6),
            definition: row.string(7),
            is_valid: row.is(8),
        }
    }
}

impl FoundIndex {
    pub(super) fn read(row: &RowRef<'_>) -> Self {
        Self {
            name: row.string(1),
            unique: row.is(2),
            is_primary: row.is(3),
            is_partial: row.is(4),
            columns: row
                .text(5)
                .and_then(|json| serde_json::from_str(json).ok())
                .unwrap_or_default(),
        }
    }
}

impl FoundTrigger {
    pub(super) fn read(row: &RowRef<'_>) -> Self {
        Self {
            name: row.string(1),
            enabled: row.string(2),
            bits: row.int(3).unwrap_or_default(),
            function: row.string(4),
            has_when: row.is(5),
        }
    }
}

impl FoundFunction {
    pub(super) fn read(row: &RowRef<'_>) -> Self {
        Self {
            name: row.string(0),
            source: row.string(1),
            is_definer: row.is(2),
            settings: list(row, 3),
        }
    }
}
