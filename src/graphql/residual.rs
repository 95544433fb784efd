//! What remains of the model's rules once a viewer's roles and claims are known: every row, no row,
//! or the rows that match a condition.

use super::watch::Watch;
use crate::dependency::Dependency;
use crate::model::{ColumnId, EntityId, Model};
use crate::store::select::{self, Filter, SlotValue, Visible};

/// What an entity's rules come down to for one viewer and one kind of access.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Residual {
    /// Every row.
    Everything,
    /// No row.
    Nothing,
    /// The rows that match.
    Rows(Box<Rows>),
}

/// Rows that match a condition.
#[derive(Debug, Clone)]
pub(crate) struct Rows {
    /// Its slots count from 1.
    pub filter: Filter,
    /// From slot 1 on.
    pub values: Vec<SlotValue>,
    /// The columns of the entity that the condition uses.
    pub watching: Vec<ColumnId>,
    /// What the condition depends on in other entities.
    pub foreign: Vec<Dependency>,
    /// Identifies the condition.
    canonical: String,
}

impl PartialEq for Rows {
    fn eq(&self, other: &Self) -> bool {
        self.canonical == other.canonical
    }
}

impl Residual {
    /// The rows that match a condition; its slots count from 1.
    pub(super) fn rows(model: &Model, filter: Filter, values: Vec<SlotValue>) -> Self {
        let mut watch = Watch::new(model, &values);
        watch.filter(&filter);
        let watching = watch.own.iter().copied().collect();
        let foreign = watch.foreign();
        let canonical = canonical(&filter, &values);
        Self::Rows(Box::new(Rows { filter, values, watching, foreign, canonical }))
    }

    /// The condition without its values.
    pub(crate) fn shape(&self) -> Option<Filter> {
        match self {
            Self::Everything => None,
            Self::Nothing => Some(Filter::Never),
            Self::Rows(rows) => Some(rows.filter.clone()),
        }
    }

    pub(crate) fn values(&self) -> &[SlotValue] {
        match self {
            Self::Everything | Self::Nothing => &[],
            Self::Rows(rows) => &rows.values,
        }
    }

    /// The rows of an entity that remain visible; the condition's slots are numbered after this
    /// one.
    pub(crate) fn visible(&self, entity: EntityId, behind: select::Slot) -> Visible {
        select::visible(entity, self.shape().map(|filter| filter.shifted(behind)))
    }

    pub(super) fn encode(&self, hasher: &mut blake3::Hasher) {
        let text = match self {
            Self::Everything => "*",
            Self::Nothing => "-",
            Self::Rows(rows) => &rows.canonical,
        };
        hasher.update(&(text.len() as u64).to_le_bytes()).update(text.as_bytes());
    }
}

/// The union of what several rules allow.
pub(super) fn any(model: &Model, residuals: impl Iterator<Item = Residual>) -> Residual {
    let mut parts: Vec<Rows> = Vec::new();
    for residual in residuals {
        match residual {
            Residual::Everything => return Residual::Everything,
            Residual::Nothing => {}
            Residual::Rows(rows) if parts.iter().all(|part| part != &*rows) => parts.push(*rows),
            Residual::Rows(_) => {}
        }
    }
    if parts.len() < 2 {
        return parts.pop().map_or(Residual::Nothing, |rows| Residual::Rows(Box::new(rows)));
    }
    let (mut filters, mut values) = (Vec::new(), Vec::new());
    for part in parts {
        filters.push(part.filter.shifted(values.len() as select::Slot));
        values.extend(part.values);
    }
    let filter = Filter::Or(filters);
    Residual::rows(model, filter, values)
}

/// A string that identifies a condition. Debug forms quote their strings, so they can be decoded in
/// only one way. The values of an `in` are a set.
fn canonical(filter: &Filter, values: &[SlotValue]) -> String {
    use std::fmt::Write;
    let mut text = format!("{filter:?}");
    for value in values {
        let _ = match value {
            SlotValue::One(value) => write!(text, "{value:?}"),
            SlotValue::Many(list) => {
                let mut items: Vec<String> =
                    list.values.iter().map(|value| format!("{value:?}")).collect();
                items.sort_unstable();
                items.dedup();
                write!(text, "{items:?}")
            }
        };
    }
    text
}
