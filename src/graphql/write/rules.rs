//! What the model's rules mean for a write. A row that may not be read does not exist for the
//! write. A row that may be read but not written is forbidden, before any etag is compared. And the
//! result must be allowed, too.

use super::super::error::{Code, GraphqlError};
use super::super::plan::Action;
use super::super::residual::Residual;
use super::super::rules::Grants;
use super::{BoundWrite, Expectation, WriteError, Writer, not_found};
use crate::model::{Access, ColumnId, Entity, EntityId, Value};
use crate::store::fetched::Fetched;
use crate::store::reading::Levels;
use crate::store::select::{Ask, Shape, SlotValue, Visible};
use crate::store::source::{Parents, Row, Source, Wanted};
use crate::store::{Constraint, Query, Refusal, StoreError, Transaction};

/// One query for one parent.
struct Once<'a> {
    place: usize,
    query: &'a Query,
    parent: &'a Value,
    values: &'a [SlotValue],
    is_asked: bool,
}

impl<'a> Levels<'a> for Once<'a> {
    fn next<R: Row>(&mut self, _: &Fetched<R>) -> Vec<Wanted<'a>> {
        if std::mem::replace(&mut self.is_asked, true) {
            return Vec::new();
        }
        let parents = Parents::One(self.parent.clone());
        vec![Wanted { place: self.place, query: self.query, parents, values: self.values }]
    }

    fn may_go_on(&self) -> bool {
        false
    }

    fn most_rows(&self) -> u64 {
        2
    }
}

impl<T: Transaction> Writer<'_, '_, T> {
    fn grants(&self) -> &Grants {
        &self.context.bound.grants
    }

    /// Whether reading or writing this entity's rows is restricted.
    fn is_ruled(&self, entity: EntityId, access: Access) -> bool {
        !self.context.model.is_open(entity, access)
    }

    /// The values of these columns in the single row that a query finds; None if it finds none.
    async fn find(
        &self,
        from: Visible,
        keys: &[(ColumnId, Value)],
        rules: &[SlotValue],
        columns: &[ColumnId],
    ) -> Result<Option<Vec<Value>>, StoreError> {
        let place = self.place.replace(self.place.get() + 1);
        let names = keys.iter().map(|(column, _)| *column).collect();
        let query = Query::new(Shape::Row { from, keys: names, columns: columns.into() });
        let Some(((_, parent), others)) = keys.split_first() else { return Ok(None) };
        let others = others.iter().map(|(_, value)| SlotValue::One(value.clone()));
        let values: Vec<SlotValue> = others.chain(rules.iter().cloned()).collect();
        let levels = Once { place, query: &query, parent, values: &values, is_asked: false };
        let ask = Ask { place, query: &query, parent: parent.as_ref(), values: &values };
        let read = self.transaction.read(levels, |source| {
            let mut found = None;
            // The key and the version come first.
            let done = source.rows(ask, |row| {
                found =
                    Some((2..columns.len() + 2).map(|index| row.get(index).to_value()).collect());
                Ok::<_, StoreError>(())
            });
            done.map(|()| found)
        });
        read.await?
    }

    /// Whether the row with this key is among those that remain.
    async fn is_among(
        &self,
        entity: &Entity,
        key: &Value,
        residual: &Residual,
    ) -> Result<bool, StoreError> {
        let from = residual.visible(entity.id, 0);
        let found = self.find(from, &[(entity.key, key.clone())], residual.values(), &[]).await?;
        Ok(found.is_some())
    }

    /// Checks, before anything is compared or written, that the row exists for the viewer and may
    /// be written. Returns what the row may be after the write; None if it does not exist, in which
    /// case nothing may be written, and a given etag tells whether it existed.
    ///
    /// # Errors
    /// `NOT_FOUND` if it may not be read, `FORBIDDEN` if it may not be written.
    pub(super) async fn check_found(
        &self,
        entity: &Entity,
        key: &Value,
        bound: &BoundWrite,
        action: Action,
    ) -> Result<Option<Residual>, WriteError> {
        let access = action.access();
        if !self.context.model.has_rules {
            return Ok(Some(Residual::Everything));
        }
        // From here on nobody else can change it.
        let is_there = self.transaction.lock(entity, key).await?.is_some();
        let readable = self.grants().rows(entity.id, Access::Read);
        // A viewer who may read every row may know that this one is gone, and gets the same error
        // as without rules.
        if !is_there && *readable == Residual::Everything {
            return Ok(None);
        }
        if !is_there
            || (*readable != Residual::Everything && !self.is_among(entity, key, readable).await?)
        {
            return Err(not_found(entity, bound).into());
        }
        let mut after = Vec::new();
        let mut is_allowed = false;
        for (before, then) in self.grants().each(entity, access) {
            if before == Residual::Everything || self.is_among(entity, key, &before).await? {
                is_allowed = true;
                after.push(then);
            }
        }
        if is_allowed {
            return Ok(Some(self.grants().either(after.into_iter())));
        }
        let what = format!("this {}", entity.name);
        Err(self
            .grants()
            .denied(self.context.model.depends_on_viewer(entity.id, access), access, &what)
            .into())
    }

    /// Checks that the viewer may create a row like this one.
    pub(super) async fn check_created(
        &self,
        entity: &Entity,
        key: &Value,
    ) -> Result<(), WriteError> {
        let allowed = self.grants().rows(entity.id, Access::Create).clone();
        self.check_left(entity, key, &allowed, Access::Create).await
    }

    /// Checks that the updated row is allowed by the same rules that allowed the update.
    pub(super) async fn check_updated(
        &self,
        entity: &Entity,
        key: &Value,
        allowed: Residual,
    ) -> Result<(), WriteError> {
        self.check_left(entity, key, &allowed, Access::Update).await
    }

    async fn check_left(
        &self,
        entity: &Entity,
        key: &Value,
        allowed: &Residual,
        access: Access,
    ) -> Result<(), WriteError> {
        if *allowed == Residual::Everything || self.is_among(entity, key, allowed).await? {
            return Ok(());
        }
        let what = match access {
            Access::Create => format!("such a {}", entity.name),
            _ => format!("this {} in this way", entity.name),
        };
        let depends = self.context.model.depends_on_viewer(entity.id, access);
        Err(self.grants().denied(depends, access, &what).into())
    }

    /// Whether the row is as expected.
    pub(super) async fn is_expected(
        &self,
        entity: &Entity,
        key: &Value,
        expectation: &Expectation,
    ) -> Result<bool, WriteError> {
        match expectation {
            _ if !self.context.model.has_rules => Ok(true),
            Expectation::Never(_) => Ok(false),
            expectation => Ok(expectation.holds_for(self.transaction.lock(entity, key).await?)),
        }
    }

    /// Checks that a written foreign key refers to a row that may be read. Otherwise it would
    /// reveal which rows exist.
    ///
    /// # Errors
    /// `CONFLICT`, as if the row did not exist.
    pub(super) async fn check_references(
        &self,
        entity: &Entity,
        row: &[(ColumnId, Value)],
    ) -> Result<(), WriteError> {
        for (id, value) in row {
            let column = entity.column(*id);
            let Some(reference) = column.references.as_ref().filter(|_| *value != Value::Null)
            else {
                continue;
            };
            if !self.is_ruled(reference.target, Access::Read) {
                continue;
            }
            let target = self.context.model.entity(reference.target);
            let readable = self.grants().rows(target.id, Access::Read).clone();
            if readable == Residual::Everything || self.is_among(target, value, &readable).await? {
                continue;
            }
            // A preset refers to the viewer, who knows that row.
            if column.preset().is_some() && column.readonly {
                continue;
            }
            let message = format!("{} points to a row that does not exist", column.field);
            let error = GraphqlError::new(Code::Conflict, message);
            return Err(error
                .with("constraint", &"foreignKey")
                .with("fields", &[&column.field])
                .into());
        }
        Ok(())
    }

    /// Whether the row that conflicts with this write is one that may not be read.
    pub(super) async fn is_in_the_way_of_hidden(
        &self,
        refusal: &Refusal,
        entity: &Entity,
        key: Option<&Value>,
        row: &[(ColumnId, Value)],
    ) -> Result<bool, WriteError> {
        let Refusal::Constraint(Constraint::Unique(violated)) = refusal else { return Ok(false) };
        if !self.context.model.has_rules {
            return Ok(false);
        }
        let column = |name: &String| {
            entity.column_ids().find(|id| entity.column(*id).name.eq_ignore_ascii_case(name))
        };
        let is_ours = entity.table.eq_ignore_ascii_case(&violated.table);
        let columns: Option<Vec<ColumnId>> = violated.names.iter().map(column).collect();
        // The conflict is in another table, through a trigger, or not about a column of the model.
        let Some(columns) = columns.filter(|columns| is_ours && !columns.is_empty()) else {
            return Ok(true);
        };
        let readable = self.grants().rows(entity.id, Access::Read).clone();
        if readable == Residual::Everything {
            return Ok(false);
        }
        // Columns that the write does not set keep the row's values.
        let all = Visible::everything(entity.id);
        let before = match key {
            Some(key) => self.find(all, &[(entity.key, key.clone())], &[], &columns).await?,
            None => None,
        };
        let mut keys = Vec::new();
        for (at, id) in columns.into_iter().enumerate() {
            let written =
                row.iter().find(|(written, _)| *written == id).map(|(_, value)| value.clone());
            let value =
                written.or_else(|| before.as_ref().and_then(|values| values.get(at).cloned()));
            let Some(value) = value else { return Ok(true) };
            keys.push((id, value));
        }
        let behind = u16::try_from(keys.len()).unwrap_or(u16::MAX) - 1;
        let from = readable.visible(entity.id, behind);
        Ok(self.find(from, &keys, readable.values(), &[]).await?.is_none())
    }
}
