//! What the model's rules come down to for one viewer. Roles and claims are evaluated here and
//! nowhere else: what remains of a rule is true, false, or a condition on rows whose values come
//! from claims. The conditions that an operation has used form its view; viewers with the same view
//! get the same answer.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use async_graphql_value::ConstValue;

use super::argument::{Input, Variables};
use super::condition::{self, Sight, Slots};
use super::error::{Code, GraphqlError};
use super::residual::{Residual, any};
use super::shown;
use crate::dependency::Dependency;
use crate::model::scalar::Source;
use crate::model::{Access, Column, Entity, EntityId, Model, Rule, Value};
use crate::question::View;
use crate::store::select::{Comparison, Filter, SlotValue};
use crate::syntax::from_json;
use crate::viewer::Viewer;

/// Domain separation for the digest of a view: says what it covers and in which layout.
const VIEW_FORMAT: &[u8] = b"freshql.view.v1\n";

/// What one viewer may do: the rules, evaluated lazily.
#[derive(Debug)]
pub(crate) struct Grants {
    model: Arc<Model>,
    subject: Subject,
    /// Indexed by entity and access.
    residuals: Box<[OnceLock<Residual>]>,
}

#[derive(Debug)]
enum Subject {
    /// The model has no rules, or a document is only inspected and nothing is read.
    Anyone,
    /// A viewer who sees nothing, for plans that are only inspected.
    NoOne,
    Viewer(Viewer),
}

impl Grants {
    /// What this viewer may do.
    pub(crate) fn of(model: &Arc<Model>, viewer: Viewer) -> Self {
        Self::new(model, if model.has_rules { Subject::Viewer(viewer) } else { Subject::Anyone })
    }

    /// Nothing at all.
    pub(super) fn closed(model: &Arc<Model>) -> Self {
        Self::new(model, if model.has_rules { Subject::NoOne } else { Subject::Anyone })
    }

    /// Everything, to inspect a document. Nothing may be read with this.
    pub(super) fn unruled(model: &Arc<Model>) -> Self {
        Self::new(model, Subject::Anyone)
    }

    fn new(model: &Arc<Model>, subject: Subject) -> Self {
        let residuals = if matches!(subject, Subject::Viewer(_)) {
            model.entities.len() * Access::ALL.len()
        } else {
            0
        };
        Self {
            model: model.clone(),
            subject,
            residuals: (0..residuals).map(|_| OnceLock::new()).collect(),
        }
    }

    pub(crate) fn rows(&self, entity: EntityId, access: Access) -> &Residual {
        let viewer = match &self.subject {
            Subject::Anyone => return &Residual::Everything,
            Subject::NoOne => return &Residual::Nothing,
            Subject::Viewer(viewer) => viewer,
        };
        let at = usize::from(entity.0) * Access::ALL.len() + access as usize;
        self.residuals[at].get_or_init(|| {
            let entity = self.model.entity(entity);
            let rules = entity.rules.iter().filter(|rule| rule.is_about(access));
            let after = access == Access::Create;
            any(
                &self.model,
                rules.filter_map(|rule| of_rule(&self.model, entity, rule, viewer, after)),
            )
        })
    }

    /// The rules that give the viewer this access to some rows: for each, the allowed rows before
    /// the write, and those after it.
    pub(super) fn each(&self, entity: &Entity, access: Access) -> Vec<(Residual, Residual)> {
        let viewer = match &self.subject {
            Subject::Anyone => return vec![(Residual::Everything, Residual::Everything)],
            Subject::NoOne => return Vec::new(),
            Subject::Viewer(viewer) => viewer,
        };
        let rules = entity.rules.iter().filter(|rule| rule.is_about(access));
        let both = rules.filter_map(|rule| {
            let side = |after| {
                any(&self.model, of_rule(&self.model, entity, rule, viewer, after).into_iter())
            };
            Some((side(false), side(true))).filter(|(before, _)| *before != Residual::Nothing)
        });
        both.collect()
    }

    /// The union of these residuals.
    pub(super) fn either(&self, residuals: impl Iterator<Item = Residual>) -> Residual {
        any(&self.model, residuals)
    }

    /// The values of the condition on an entity's rows, from the slot after its key's.
    pub(super) fn values(&self, entity: EntityId) -> &[SlotValue] {
        self.rows(entity, Access::Read).values()
    }

    /// Whether the viewer has this access to a field with these rules.
    ///
    /// # Errors
    /// `FORBIDDEN`, or `UNAUTHENTICATED` if a token could change that.
    pub(super) fn may(
        &self,
        rules: &[Rule],
        access: Access,
        what: impl FnOnce() -> String,
    ) -> Result<(), GraphqlError> {
        let viewer = match &self.subject {
            _ if rules.is_empty() => return Ok(()),
            Subject::Anyone | Subject::NoOne => return Ok(()),
            Subject::Viewer(viewer) => viewer,
        };
        let mut about = rules.iter().filter(|rule| rule.is_about(access));
        if about.clone().any(|rule| asks_for(rule, viewer)) {
            return Ok(());
        }
        Err(self.denied(about.any(Rule::depends_on_viewer), access, &what()))
    }

    /// Whether there can be any row for which the viewer has this access. To read, that holds for
    /// everybody who has a token: an unreadable row simply does not exist for them.
    ///
    /// # Errors
    /// Those of [`Self::may`].
    pub(super) fn may_any(&self, entity: &Entity, access: Access) -> Result<(), GraphqlError> {
        if *self.rows(entity.id, access) != Residual::Nothing
            || matches!(self.subject, Subject::NoOne)
        {
            return Ok(());
        }
        let depends = self.model.depends_on_viewer(entity.id, access);
        let is_anonymous =
            matches!(&self.subject, Subject::Viewer(viewer) if viewer.is_anonymous());
        let hides = access != Access::Create;
        if hides && !(is_anonymous && depends) {
            return Ok(());
        }
        Err(self.denied(depends, access, &entity.name))
    }

    /// The error for a denied access; `a_token_helps` says whether a token could allow it.
    pub(super) fn denied(&self, a_token_helps: bool, access: Access, what: &str) -> GraphqlError {
        let verb = access.verb();
        match &self.subject {
            Subject::Viewer(viewer) if viewer.is_anonymous() && a_token_helps => GraphqlError::new(
                Code::Unauthenticated,
                format!("a token is needed to {verb} {what}"),
            ),
            _ => GraphqlError::new(Code::Forbidden, format!("you may not {verb} {what}")),
        }
    }

    /// The value that a column takes from a claim.
    ///
    /// # Errors
    /// The token lacks the claim, or its value is not of the column's type.
    pub(super) fn preset(
        &self,
        entity: &Entity,
        column: &Column,
        claim: &str,
    ) -> Result<Value, GraphqlError> {
        let Subject::Viewer(viewer) = &self.subject else { return Ok(Value::Null) };
        let name = format!("{}.{}", entity.name, column.field);
        let Some(claims) = viewer.claims() else {
            return Err(self.denied(true, Access::Create, &entity.name));
        };
        let value = claims.get(claim).ok_or_else(|| {
            let message =
                format!("{name} takes the claim `{claim}`, which the token does not have");
            GraphqlError::new(Code::Forbidden, message)
        })?;
        column.scalar.coerce(&self.model, &from_json(value), Source::Variable).map_err(|_| {
            let message =
                format!("{name} takes the claim `{claim}`, which is not of its type in this token");
            GraphqlError::new(Code::Forbidden, message)
        })
    }

    /// What the used conditions depend on, besides the rows that they restrict.
    pub(super) fn foreign(&self) -> impl Iterator<Item = &Dependency> {
        self.residuals.iter().skip(Access::Read as usize).step_by(Access::ALL.len()).flat_map(
            |residual| match residual.get() {
                Some(Residual::Rows(rows)) => rows.foreign.as_slice(),
                _ => &[],
            },
        )
    }

    /// The rules used so far, as a view. `written`: entities whose rows are written, for which the
    /// claims used elsewhere count, too.
    pub(super) fn view(&self, written: &[(EntityId, Access)]) -> View {
        let mut hasher = blake3::Hasher::new();
        hasher.update(VIEW_FORMAT);
        for (at, residual) in (0_u64..).zip(&self.residuals) {
            if let Some(residual) = residual.get() {
                hasher.update(&at.to_le_bytes());
                residual.encode(&mut hasher);
            }
        }
        for (entity, access) in written {
            let entity = self.model.entity(*entity);
            let rules = entity.rules.iter().filter(|rule| rule.is_about(*access));
            let presets = entity.columns.iter().filter_map(Column::preset);
            for claim in rules.flat_map(Rule::claims).chain(presets) {
                let Subject::Viewer(viewer) = &self.subject else { continue };
                let value =
                    viewer.claims().and_then(|claims| claims.get(claim)).map(ToString::to_string);
                let text = format!("{claim:?}{value:?}");
                hasher.update(&(text.len() as u64).to_le_bytes()).update(text.as_bytes());
            }
        }
        View::Private(*hasher.finalize().as_bytes())
    }

    /// The rules used so far, for people: entity, access, and the condition that remains.
    pub(super) fn used(&self) -> Vec<(EntityId, Access, String)> {
        let mut used = Vec::new();
        for (at, residual) in self.residuals.iter().enumerate() {
            let (entity, access) = (at / Access::ALL.len(), Access::ALL[at % Access::ALL.len()]);
            let text = match residual.get() {
                None => continue,
                Some(Residual::Everything) => "every row".to_owned(),
                Some(Residual::Nothing) => "no row".to_owned(),
                Some(Residual::Rows(rows)) => {
                    shown::filter(&self.model, EntityId(entity as u16), rows)
                }
            };
            used.push((EntityId(entity as u16), access, text));
        }
        used
    }
}

impl Sight for Grants {
    fn rows(&self, entity: &Entity) -> Result<&Residual, GraphqlError> {
        self.may_any(entity, Access::Read)?;
        Ok(self.rows(entity.id, Access::Read))
    }

    fn may_look_at(&self, rules: &[Rule], name: &dyn Fn() -> String) -> Result<(), GraphqlError> {
        self.may(rules, Access::Read, name)
    }

    fn is_the_models(&self) -> bool {
        false
    }
}

/// Whether the viewer satisfies what a rule requires besides its conditions.
fn asks_for(rule: &Rule, viewer: &Viewer) -> bool {
    let has_role = |role: &String| viewer.claims().is_some_and(|claims| claims.has_role(role));
    (!rule.authenticated || !viewer.is_anonymous()) && rule.role.as_ref().is_none_or(has_role)
}

/// What remains of one rule; None: nothing. If the token lacks a claim that a rule names, or the
/// claim has the wrong type, the whole rule is false. A missing value alone would not do, because
/// `not` would turn it into true.
fn of_rule(
    model: &Arc<Model>,
    entity: &Entity,
    rule: &Rule,
    viewer: &Viewer,
    after: bool,
) -> Option<Residual> {
    if !asks_for(rule, viewer) {
        return None;
    }
    let mut values = BTreeMap::new();
    for claim in rule.claims() {
        let value: ConstValue = from_json(viewer.claims()?.get(claim)?);
        values.insert(claim.to_owned(), value);
    }
    let Some(condition) = rule.condition(after) else { return Some(Residual::Everything) };
    let claims = Variables { values, canonical: String::new() };
    let mut slots = Slots::of_rule();
    let input = Input::Literal(&condition.literal, &claims);
    let filter = condition::filter(model, entity, input, &mut slots).ok()??;
    let filter = direct(model, filter);
    Some(Residual::rows(model, filter, slots.values))
}

/// Replaces a condition on the key of a referenced row by one on the foreign key: it means the
/// same, and does not read that row.
fn direct(model: &Model, filter: Filter) -> Filter {
    match filter {
        Filter::And(filters) => {
            Filter::And(filters.into_iter().map(|filter| direct(model, filter)).collect())
        }
        Filter::Or(filters) => {
            Filter::Or(filters.into_iter().map(|filter| direct(model, filter)).collect())
        }
        Filter::Not(inner) => Filter::Not(Box::new(direct(model, *inner))),
        Filter::ToOne(column, from, inner) => {
            let key = model.entity(from.entity()).key;
            match (*inner, from.only()) {
                (
                    Filter::Compare {
                        column: of,
                        comparison: comparison @ Comparison::Eq,
                        slot,
                        case_insensitive,
                    },
                    None,
                ) if of == key => Filter::Compare { column, comparison, slot, case_insensitive },
                (Filter::In { column: of, slot, negated: false, case_insensitive }, None)
                    if of == key =>
                {
                    Filter::In { column, slot, negated: false, case_insensitive }
                }
                (inner, _) => Filter::ToOne(column, from, Box::new(direct(model, inner))),
            }
        }
        Filter::ToMany(from, column, quantifier, inner) => {
            Filter::ToMany(from, column, quantifier, Box::new(direct(model, *inner)))
        }
        leaf => leaf,
    }
}
