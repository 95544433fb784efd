//! Who may do what: `@allow`, as declared in the model. What a rule comes down to for a viewer is
//! decided on a higher floor, where conditions become filters.

use std::ops::Range;

use async_graphql_value::Value as Literal;

use super::{Column, ColumnId, Diagnostic, Entity, EntityId, Field, FieldKind, Model};
use crate::model::DefaultValue;

/// The mistake if the model has rules but the configuration does not say how to identify viewers.
pub const WITHOUT_AUTH: &str = "`@allow` has no meaning without `[auth]` in the configuration";

/// An access to a row or a field: `Operation` in the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Access {
    /// A row is inserted; a field is given for it.
    Create,
    /// A row is read; a field is selected, filtered or ordered by.
    Read,
    /// A row, or a field of it, is changed.
    Update,
    /// A row is deleted.
    Delete,
}

impl Access {
    /// All variants, in the order of the model's enum.
    pub const ALL: [Self; 4] = [Self::Create, Self::Read, Self::Update, Self::Delete];

    /// The name in the model.
    pub fn name(self) -> &'static str {
        match self {
            Self::Create => "CREATE",
            Self::Read => "READ",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
        }
    }

    /// The verb for messages: "may not … it".
    pub fn verb(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Read => "read",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }
}

/// One `@allow`. All of its requirements must be met; of several rules, one must be.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// The accesses that it allows; never empty.
    pub to: Vec<Access>,
    /// The viewer must have this role.
    pub role: Option<String>,
    /// There must be a token.
    pub authenticated: bool,
    /// `where`: a condition that the row must match.
    pub condition: Option<Condition>,
    /// A condition that the written row must match instead.
    pub check: Option<Condition>,
    /// Its position in the model's text.
    pub span: Range<usize>,
}

/// A condition on a row, in the form of a `where` argument, with claims as variables.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    /// An object.
    pub literal: Literal,
    /// The claims that it names, without duplicates.
    pub claims: Vec<String>,
}

impl Rule {
    /// Whether it allows this access.
    pub fn is_about(&self, access: Access) -> bool {
        self.to.contains(&access)
    }

    /// Whether it gives its accesses to everybody, for every row.
    pub fn is_open(&self) -> bool {
        !self.asks_viewer() && self.condition.is_none() && self.check.is_none()
    }

    /// Whether it requires a role or a token.
    pub fn asks_viewer(&self) -> bool {
        self.authenticated || self.role.is_some()
    }

    /// The claims that it names.
    pub fn claims(&self) -> impl Iterator<Item = &str> {
        self.condition
            .iter()
            .chain(&self.check)
            .flat_map(|condition| &condition.claims)
            .map(String::as_str)
    }

    /// Whether what it allows depends on the viewer.
    pub fn depends_on_viewer(&self) -> bool {
        self.asks_viewer() || self.claims().next().is_some()
    }

    /// The condition for a row; `after`: for a row that has been written.
    pub fn condition(&self, after: bool) -> Option<&Condition> {
        let check = self.check.as_ref().filter(|_| after);
        check.or(self.condition.as_ref())
    }
}

impl Model {
    /// Whether the model contains any rule.
    pub(super) fn says_who_may(&self) -> bool {
        self.entities.iter().any(|entity| {
            !entity.rules.is_empty()
                || entity.fields.iter().any(|field| !field.rules.is_empty())
                || entity
                    .columns
                    .iter()
                    .any(|column| matches!(column.default, Some(DefaultValue::Claim(_))))
        })
    }

    /// Whether everybody has this access to every row of the entity.
    pub fn is_open(&self, entity: EntityId, access: Access) -> bool {
        let mut rules = self.entity(entity).rules.iter();
        !self.has_rules || rules.any(|rule| rule.is_about(access) && rule.is_open())
    }

    /// Whether everybody may read every row and every field of the entity.
    pub fn is_read_by_everybody(&self, entity: &Entity) -> bool {
        let is_open = |rule: &Rule| rule.is_about(Access::Read) && rule.is_open();
        let mut fields = entity.fields.iter();
        !self.has_rules
            || self.is_open(entity.id, Access::Read)
                && fields.all(|field| {
                    !field.hidden && (field.rules.is_empty() || field.rules.iter().any(is_open))
                })
    }

    /// Whether this access to the entity's rows depends on the viewer.
    pub fn depends_on_viewer(&self, entity: EntityId, access: Access) -> bool {
        let mut rules = self.entity(entity).rules.iter();
        !self.is_open(entity, access)
            && rules.any(|rule| rule.is_about(access) && rule.depends_on_viewer())
    }

    /// The mistakes in the model's rules. `has_auth`: whether the configuration says how to
    /// identify viewers.
    pub fn rule_mistakes(&self, file: &str, has_auth: bool) -> Vec<Diagnostic> {
        let mut mistakes = Vec::new();
        for entity in &self.entities {
            let rules =
                entity.rules.iter().chain(entity.fields.iter().flat_map(|field| &field.rules));
            if has_auth && entity.rules.is_empty() {
                let message = format!(
                    "`{}` has no `@allow`, so nobody could do anything with it",
                    entity.name
                );
                let help = "write who may do what, such as `@allow(to: [READ])` for everybody and `@allow(role: \"editor\")`";
                mistakes
                    .push(Diagnostic::error(file, entity.span.clone(), message).with_help(help));
            }
            if !has_auth {
                let help = "add `[auth]` to freshql.toml: without it, no token identifies anybody";
                let spans: std::collections::BTreeSet<_> =
                    rules.map(|rule| (rule.span.start, rule.span.end)).collect();
                mistakes.extend(spans.into_iter().map(|(start, end)| {
                    Diagnostic::error(file, start..end, WITHOUT_AUTH).with_help(help)
                }));
                for column in &entity.columns {
                    if let Some(DefaultValue::Claim(claim)) = &column.default {
                        let message = format!(
                            "`{}.{}` takes the claim `{claim}`, and nobody has claims without `[auth]` in the configuration",
                            entity.name, column.field
                        );
                        mistakes.push(
                            Diagnostic::error(file, entity.span.clone(), message).with_help(help),
                        );
                    }
                }
            }
        }
        mistakes
    }
}

impl Entity {
    /// The field through which clients see a column; `merchantId` for a relation.
    pub fn field_of(&self, column: ColumnId) -> Option<&Field> {
        self.fields.iter().find(|field| field.kind == FieldKind::Scalar(column))
    }

    /// The rules of a column's field.
    pub fn rules_of(&self, column: ColumnId) -> &[Rule] {
        self.field_of(column).map_or(&[], |field| &field.rules)
    }
}

impl Column {
    /// The claim that provides its value if none is given.
    pub fn preset(&self) -> Option<&str> {
        match &self.default {
            Some(DefaultValue::Claim(claim)) => Some(claim),
            _ => None,
        }
    }
}
