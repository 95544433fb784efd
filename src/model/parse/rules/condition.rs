//! Reads the condition of a rule, and checks every part of it at its position.

use async_graphql::indexmap::IndexMap;
use async_graphql::{Name, Value as Constant};
use async_graphql_value::Value as Literal;

use crate::model::diagnostic::suggest;
use crate::model::parse::report::{Report, Span};
use crate::model::scalar::Source;
use crate::model::{ColumnId, Entity, EnumType, FieldKind};

/// Reads one condition.
pub(super) struct Reader<'r, 't, 'm> {
    pub(super) report: &'r mut Report<'t>,
    pub(super) enums: &'m [EnumType],
    pub(super) entities: &'m [Entity],
    /// The span of the whole condition.
    pub(super) span: Span,
    pub(super) claims: Vec<String>,
}

impl Reader<'_, '_, '_> {
    /// Reports a mistake at this word.
    fn wrong<T>(
        &mut self,
        word: &str,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Option<T> {
        let span = self.report.word_in(&self.span, word);
        self.report.wrong(span, message, help);
        None
    }

    pub(super) fn condition(&mut self, entity: &Entity, literal: &Constant) -> Option<Literal> {
        let members = match literal {
            Constant::Object(members) if !members.is_empty() => members,
            Constant::Object(_) => {
                return self.wrong(
                    "",
                    "the condition says nothing",
                    "leave `where` out to allow every row",
                );
            }
            Constant::String(text) if text.starts_with('$') => {
                let key = &entity.column(entity.key).field;
                let help = format!("compare a field with it: `{{{key}: {{eq: \"{text}\"}}}}`");
                return self.wrong(
                    text,
                    format!("a claim is no condition on a {}", entity.name),
                    help,
                );
            }
            other => {
                let help = format!("write an object, as in the `where` of {}", entity.plural);
                return self.wrong("", format!("a condition is an object, found `{other}`"), help);
            }
        };
        let mut read = IndexMap::new();
        for (name, value) in members {
            read.insert(name.clone(), self.member(entity, name, value)?);
        }
        Some(Literal::Object(read))
    }

    fn member(&mut self, entity: &Entity, name: &Name, value: &Constant) -> Option<Literal> {
        match name.as_str() {
            "and" | "or" => {
                let Constant::List(items) = value else {
                    return self.wrong(
                        name,
                        format!("`{name}` takes a list of conditions"),
                        "write `[{…}, {…}]`",
                    );
                };
                if items.is_empty() {
                    return self.wrong(name, format!("`{name}` is empty"), "remove it");
                }
                let items: Option<Vec<_>> =
                    items.iter().map(|item| self.condition(entity, item)).collect();
                return items.map(Literal::List);
            }
            "not" => return self.condition(entity, value),
            _ => {}
        }
        if let Some(column) = entity.column_by_field(name) {
            return self.operators(entity, column, name, value);
        }
        match entity.fields.iter().find(|field| field.name == name.as_str()).map(|field| field.kind)
        {
            Some(FieldKind::ToOne { target, .. }) => {
                self.condition(&self.entities[usize::from(target.0)], value)
            }
            Some(FieldKind::ToMany { target, .. }) => {
                self.quantified(&self.entities[usize::from(target.0)], name, value)
            }
            _ => {
                let fields = entity
                    .fields
                    .iter()
                    .map(|field| field.name.as_str())
                    .chain(["and", "or", "not"]);
                let help =
                    suggest(name, fields).unwrap_or_else(|| "name one of its fields".to_owned());
                self.wrong(name, format!("`{}` has no field `{name}`", entity.name), help)
            }
        }
    }

    fn quantified(&mut self, target: &Entity, name: &Name, value: &Constant) -> Option<Literal> {
        const WORDS: [&str; 3] = ["some", "every", "none"];
        let Constant::Object(members) = value else {
            return self.wrong(
                name,
                format!("`{name}` is a list"),
                "write `{some: {…}}`, `every` or `none`",
            );
        };
        if members.is_empty() {
            return self.wrong(
                name,
                format!("the condition on `{name}` says nothing"),
                "write `{some: {…}}`",
            );
        }
        let mut read = IndexMap::new();
        for (word, inner) in members {
            if !WORDS.contains(&word.as_str()) {
                let help = suggest(word, WORDS).unwrap_or_default();
                return self.wrong(word, format!("`{word}` is no condition on a list"), help);
            }
            let is_nothing = matches!(inner, Constant::Object(members) if members.is_empty());
            let inner = match word.as_str() {
                "every" if is_nothing => {
                    return self.wrong(word, "`every: {}` is always true", "remove it");
                }
                _ if is_nothing => Literal::Object(IndexMap::new()),
                _ => self.condition(target, inner)?,
            };
            read.insert(word.clone(), inner);
        }
        Some(Literal::Object(read))
    }

    fn operators(
        &mut self,
        entity: &Entity,
        id: ColumnId,
        name: &Name,
        value: &Constant,
    ) -> Option<Literal> {
        let column = entity.column(id);
        if !column.scalar.is_filterable() {
            return self.wrong(
                name,
                format!("`{}.{name}` is JSON, and no condition looks into it", entity.name),
                "use another field",
            );
        }
        let members = match value {
            Constant::Object(members) if !members.is_empty() => members,
            _ => {
                return self.wrong(
                    name,
                    format!("`{name}` takes an operator, found `{value}`"),
                    format!("write `{name}: {{eq: …}}`"),
                );
            }
        };
        let mut read = IndexMap::new();
        for (operator, value) in members {
            read.insert(operator.clone(), self.operator(entity, id, operator, value)?);
        }
        Some(Literal::Object(read))
    }

    fn operator(
        &mut self,
        entity: &Entity,
        id: ColumnId,
        operator: &Name,
        value: &Constant,
    ) -> Option<Literal> {
        let column = entity.column(id);
        let (ordered, textual) = (column.scalar.is_ordered(), column.scalar.is_textual());
        match operator.as_str() {
            "in" | "notIn" => match value {
                Constant::List(items) => {
                    let items: Option<Vec<_>> =
                        items.iter().map(|item| self.operand(entity, id, operator, item)).collect();
                    items.map(Literal::List)
                }
                _ => self.operand(entity, id, operator, value),
            },
            "isNull" if column.nullable => match value {
                Constant::Boolean(on) => Some(Literal::Boolean(*on)),
                _ => self.wrong(
                    operator,
                    "`isNull` takes `true` or `false`, and no claim",
                    "write `isNull: true`",
                ),
            },
            "isNull" => self.wrong(
                operator,
                format!("`{}` is never null", column.field),
                "remove the condition",
            ),
            "mode" if textual => match value {
                Constant::Enum(word) if matches!(word.as_str(), "INSENSITIVE" | "DEFAULT") => {
                    Some(Literal::Enum(word.clone()))
                }
                _ => self.wrong(
                    operator,
                    "`mode` is `INSENSITIVE` or `DEFAULT`",
                    "write `mode: INSENSITIVE`",
                ),
            },
            "eq" | "neq" => self.operand(entity, id, operator, value),
            "lt" | "lte" | "gt" | "gte" if ordered => self.operand(entity, id, operator, value),
            "contains" | "startsWith" | "endsWith" if textual => {
                self.operand(entity, id, operator, value)
            }
            _ => {
                let mut words = vec!["eq", "neq", "in", "notIn"];
                words.extend(ordered.then_some(["lt", "lte", "gt", "gte"]).into_iter().flatten());
                words.extend(
                    textual
                        .then_some(["contains", "startsWith", "endsWith", "mode"])
                        .into_iter()
                        .flatten(),
                );
                words.extend(column.nullable.then_some("isNull"));
                let help = suggest(operator, words).unwrap_or_default();
                self.wrong(
                    operator,
                    format!("`{}` has no operator `{operator}`", column.field),
                    help,
                )
            }
        }
    }

    /// A value, or the claim that provides it. `"$$5"` is the string `$5`.
    fn operand(
        &mut self,
        entity: &Entity,
        id: ColumnId,
        operator: &Name,
        value: &Constant,
    ) -> Option<Literal> {
        let column = entity.column(id);
        let mut value = value.clone();
        if let Constant::String(text) = &value
            && let Some(rest) = text.strip_prefix('$')
        {
            if !rest.starts_with('$') {
                let claim = rest.to_owned();
                if claim.is_empty() {
                    return self.wrong(
                        text,
                        "`$` names no claim",
                        "write `\"$sub\"`, or `\"$$\"` for the sign itself",
                    );
                }
                if !self.claims.contains(&claim) {
                    self.claims.push(claim.clone());
                }
                return Some(Literal::Variable(Name::new(claim)));
            }
            value = Constant::String(rest.to_owned());
        }
        if value == Constant::Null {
            let help = if column.nullable {
                "write `isNull: true`"
            } else {
                "it is never null: remove the condition"
            };
            return self.wrong(
                operator,
                format!("`{}.{operator}` cannot be null", column.field),
                help,
            );
        }
        let is_search = matches!(operator.as_str(), "contains" | "startsWith" | "endsWith");
        let coerced = if is_search {
            matches!(value, Constant::String(_))
                .then_some(())
                .ok_or_else(|| "expected a string".to_owned())
        } else {
            column.scalar.coerce_with(self.enums, &value, Source::Literal).map(drop)
        };
        if let Err(message) = coerced {
            let message = format!("`{}.{operator}` does not fit: {message}", column.field);
            return self.wrong(
                operator,
                message,
                "write a value of the field's type, or a claim such as `\"$sub\"`",
            );
        }
        Some(value.into())
    }
}
