//! Who may do what: `@allow`, as the model says it. What a rule comes down to for a viewer is
//! decided where conditions become filters, on a higher floor.

use std::ops::Range;

use async_graphql_value::Value as Literal;

use super::{Column, ColumnId, Diagnostic, Entity, EntityId, Field, FieldKind, Model};
use crate::model::DefaultValue;

/// What is wrong with a rule where the configuration does not say how viewers are known.
pub const WITHOUT_AUTH: &str = "`@allow` has no meaning without `[auth]` in the configuration";

/// What may be done with a row or a field: `Operation` in the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Access {
    /// A new row; a field of it is given.
    Create,
    /// A row is read; a field is selected, filtered or ordered by.
    Read,
    /// A row is changed; a field is.
    Update,
    /// A row is removed.
    Delete,
}

impl Access {
    /// All, in the order of the model's enum.
    pub const ALL: [Self; 4] = [Self::Create, Self::Read, Self::Update, Self::Delete];

    /// As the model spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Create => "CREATE",
            Self::Read => "READ",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
        }
    }

    /// In a sentence: "may not … it".
    pub fn verb(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Read => "read",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }
}

/// One `@allow`. All that it says must hold; of several rules, one must.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// For what: never empty.
    pub to: Vec<Access>,
    /// The viewer must have this role.
    pub role: Option<String>,
    /// There must be a token.
    pub authenticated: bool,
    /// `where`: the row must match.
    pub condition: Option<Condition>,
    /// What a row that was written must match instead.
    pub check: Option<Condition>,
    /// Where it stands in the model's text.
    pub span: Range<usize>,
}

/// A condition on a row, in the form of a `where` argument. Its claims are variables.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    /// An object.
    pub literal: Literal,
    /// The claims that it names, each once.
    pub claims: Vec<String>,
}

impl Rule {
    /// Whether it is about this.
    pub fn is_about(&self, access: Access) -> bool {
        self.to.contains(&access)
    }

    /// Whether it allows what it is about to everybody, for every row.
    pub fn is_open(&self) -> bool {
        !self.asks_viewer() && self.condition.is_none() && self.check.is_none()
    }

    /// Whether it asks for a role or a token.
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

    /// Whether what it allows depends on who asks.
    pub fn depends_on_viewer(&self) -> bool {
        self.asks_viewer() || self.claims().next().is_some()
    }

    /// What a row must match that this is done with; `after`: that was written.
    pub fn condition(&self, after: bool) -> Option<&Condition> {
        let check = self.check.as_ref().filter(|_| after);
        check.or(self.condition.as_ref())
    }
}

impl Model {
    /// Whether it says anywhere who may do what.
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

    /// Whether everybody may do this with every row of the entity.
    pub fn is_open(&self, entity: EntityId, access: Access) -> bool {
        let mut rules = self.entity(entity).rules.iter();
        !self.has_rules || rules.any(|rule| rule.is_about(access) && rule.is_open())
    }

    /// Whether everybody may read every row of the entity and every field of it.
    pub fn is_read_by_everybody(&self, entity: &Entity) -> bool {
        let is_open = |rule: &Rule| rule.is_about(Access::Read) && rule.is_open();
        let mut fields = entity.fields.iter();
        !self.has_rules
            || self.is_open(entity.id, Access::Read)
                && fields.all(|field| {
                    !field.hidden && (field.rules.is_empty() || field.rules.iter().any(is_open))
                })
    }

    /// Whether what may be done with the entity's rows depends on who asks.
    pub fn depends_on_viewer(&self, entity: EntityId, access: Access) -> bool {
        let mut rules = self.entity(entity).rules.iter();
        !self.is_open(entity, access)
            && rules.any(|rule| rule.is_about(access) && rule.depends_on_viewer())
    }

    /// What is wrong with the model's rules, given whether the configuration says how viewers are
    /// known.
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
                let help =
                    "write `[auth]` into freshql.toml: without it nobody is known by a token";
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
    /// The field by which clients know a column, `merchantId` for a relation's.
    pub fn field_of(&self, column: ColumnId) -> Option<&Field> {
        self.fields.iter().find(|field| field.kind == FieldKind::Scalar(column))
    }

    /// The rules of a column's field.
    pub fn rules_of(&self, column: ColumnId) -> &[Rule] {
        self.field_of(column).map_or(&[], |field| &field.rules)
    }
}

impl Column {
    /// The claim that it takes its value from where none is given.
    pub fn preset(&self) -> Option<&str> {
        match &self.default {
            Some(DefaultValue::Claim(claim)) => Some(claim),
            _ => None,
        }
    }
}
