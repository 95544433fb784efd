//! Mutations whose steps are known in advance: what their fields do if nothing prevents it, and the
//! answer from the rows that result. If the steps depend on what is in the database, there are none
//! here, and [`super::Writer`] asks the database step by step.

use super::super::bound::{Arguments, BoundPlan, BoundWrite};
use super::super::fetch::Fetch;
use super::super::plan::{Action, Plan, WritePlan};
use super::super::read::{Context, ReadError, Reader};
use super::super::residual::Residual;
use super::super::rules::Grants;
use super::{Expectation, Expected, Fields, WriteError, expected, made_row};
use crate::conditional::IfMatch;
use crate::config::AnswerLimits;
use crate::etag::EntityEtagKey;
use crate::model::{Access, ColumnId, DefaultValue, Entity, Model, Value};
use crate::store::{Allowed, Change, Condition, Expects, Guard, Rules, Source, Step, StoreError};

/// Works out a mutation's steps in advance.
pub(crate) struct StepPlanner<'a, 't> {
    /// The mutation's writes and its answer.
    pub plan: &'a Plan,
    /// Its arguments.
    pub bound: &'a BoundPlan,
    /// Names and types.
    pub model: &'a Model,
    /// The limits of the answer.
    pub limits: AnswerLimits,
    /// By entity.
    pub etag_keys: &'t [EntityEtagKey],
    /// Whether versions cover every change.
    pub guard: &'t Guard,
    /// Used for the one field without an `expectedEtag`.
    pub if_match: Option<&'t IfMatch>,
}

impl<'a> StepPlanner<'a, '_> {
    /// The steps; None if they depend on the database's contents.
    pub(in crate::graphql) fn steps(&self) -> Option<Vec<Step<'a, Fetch<'a>>>> {
        self.plan.writes().map(|plan| self.step(plan)).collect()
    }

    fn step(&self, plan: &'a WritePlan) -> Option<Step<'a, Fetch<'a>>> {
        let entity = self.model.entity(plan.row.entity);
        let Arguments::Write(bound) = &self.bound.arguments[plan.bound] else { return None };
        // Unmanaged tables may be views, and their versions are in another table; and if versions
        // are unreliable, the rows themselves must be compared.
        if !entity.managed || self.guard.why_not(entity.id).is_some() {
            return None;
        }
        let row = made_row(entity, bound);
        let rules = self.rules(entity, plan.action, bound, &row)?;
        let (key, change) = match plan.action {
            Action::Create => (new_key(entity, &row)?, Change::Insert(row)),
            Action::Update if row.is_empty() => return None,
            Action::Update => {
                (Some(bound.key.clone()?), Change::Update(self.expects(entity, bound)?, row))
            }
            Action::Delete => {
                (Some(bound.key.clone()?), Change::Delete(self.expects(entity, bound)?))
            }
        };
        let (of, max_rows) = (self.bound, self.limits.max_rows);
        let answer = Box::new(move |key: &Value| Fetch::row(&plan.row, key, of, max_rows));
        Some(Step { entity, key, change, rules, answer })
    }

    /// The version that a row must have. None: no row can have it.
    fn expects(&self, entity: &Entity, bound: &BoundWrite) -> Option<Expects> {
        let key = bound.key.as_ref()?;
        let etag_key = &self.etag_keys[usize::from(entity.id.0)];
        match expected(entity, etag_key, key, bound, self.if_match).ok()? {
            Expected::Is(Expectation::Never(_)) => None,
            Expected::Is(expectation) => {
                Some(expectation.version().map_or(Expects::Any, Expects::One))
            }
            Expected::OneOf(versions) => Some(Expects::OneOf(versions)),
        }
    }

    /// What the rules require of this viewer's change, as [`super::rules`] checks it step by step.
    /// None: they do not allow it, whatever the database contains.
    fn rules(
        &self,
        entity: &Entity,
        action: Action,
        bound: &BoundWrite,
        row: &[(ColumnId, Value)],
    ) -> Option<Rules> {
        let mut rules = Rules::default();
        if !self.model.has_rules {
            return Some(rules);
        }
        let grants: &Grants = &self.bound.grants;
        if action != Action::Create {
            let readable = grants.rows(entity.id, Access::Read);
            rules.before.extend(condition(entity, bound.key.as_ref()?, readable)?);
        }
        if action != Action::Delete {
            for (id, value) in row {
                let column = entity.column(*id);
                let Some(reference) = column.references.as_ref().filter(|_| *value != Value::Null)
                else {
                    continue;
                };
                // A preset refers to the viewer, who knows that row.
                if column.preset().is_some() && column.readonly {
                    continue;
                }
                let target = self.model.entity(reference.target);
                let readable = grants.rows(target.id, Access::Read);
                rules.before.extend(condition(target, value, readable)?);
            }
        }
        let mut ways = match action {
            Action::Create => {
                vec![(Residual::Everything, grants.rows(entity.id, Access::Create).clone())]
            }
            Action::Update => grants.each(entity, Access::Update),
            Action::Delete => {
                let each = grants.each(entity, Access::Delete).into_iter();
                each.map(|(before, _)| (before, Residual::Everything)).collect()
            }
        };
        ways.retain(|(before, then)| *before != Residual::Nothing && *then != Residual::Nothing);
        if ways.is_empty() {
            return None;
        }
        if !ways.contains(&(Residual::Everything, Residual::Everything)) {
            let both =
                ways.iter().map(|(before, then)| (allowed(entity, before), allowed(entity, then)));
            rules.either = both.collect();
        }
        Some(rules)
    }
}

/// The key of a new row; None within if the database gives it one, and None if it is not known how
/// the row gets it.
#[expect(clippy::option_option, reason = "a key that comes later and an unknown one are different")]
fn new_key(entity: &Entity, row: &[(ColumnId, Value)]) -> Option<Option<Value>> {
    match row.iter().find(|(id, _)| *id == entity.key) {
        Some((_, Value::Null)) => None,
        Some((_, key)) => Some(Some(key.clone())),
        None => {
            let is_counted = entity.column(entity.key).default == Some(DefaultValue::Autoincrement);
            is_counted.then_some(None)
        }
    }
}

fn allowed(entity: &Entity, residual: &Residual) -> Option<Allowed> {
    (*residual != Residual::Everything).then(|| Allowed {
        from: residual.visible(entity.id, 0),
        values: residual.values().to_vec(),
    })
}

/// The condition that the row with this key is among these; None within if there is nothing to
/// check, and None if it cannot be.
#[expect(clippy::option_option, reason = "a condition without need and one without hope")]
fn condition(entity: &Entity, key: &Value, residual: &Residual) -> Option<Option<Condition>> {
    if *residual == Residual::Nothing {
        return None;
    }
    Some(allowed(entity, residual).map(|Allowed { from, values }| Condition {
        from,
        key: key.clone(),
        values,
    }))
}

/// Writes the answer's data. `keys` are those of the steps.
pub(crate) fn answer<'a, S: Source>(
    plan: &'a Plan,
    context: Context<'a>,
    reader: &mut Reader<'a>,
    keys: &[Value],
    source: &S,
) -> Result<(), WriteError> {
    let mut keys = keys.iter();
    let mut fields = Fields::begin(plan, reader);
    while let Some((_, write)) = fields.next_write(reader) {
        let key = keys.next().unwrap_or(&Value::Null);
        match reader.row_by_key(source, &write.row, key) {
            Ok(true) => {}
            Ok(false) => {
                let entity = &context.model.entity(write.row.entity).name;
                return Err(StoreError::Corrupt(format!(
                    "a row of {entity} is gone right after it was written"
                ))
                .into());
            }
            Err(ReadError::Store(error)) => return Err(error.into()),
            Err(ReadError::Limit(error)) => return Err((*error).into()),
            Err(ReadError::Null) => break,
        }
    }
    Ok(reader.end_mutation()?)
}
