//! Finds what is valid but deserves a second look before it serves traffic: lists that are filtered
//! or ordered without an index, lists that may grow large, and lists that one operation reads
//! twice. It looks at the document and the model only; what depends on the values of variables is
//! not judged.

mod constants;
mod finding;
mod private;

use std::collections::HashMap;

use async_graphql::Positioned;
use async_graphql::parser::types::{ExecutableDocument, Field, OperationDefinition, SelectionSet};
use async_graphql_value::Value as Ast;

use super::document::{Document, OperationKind};
use super::parsed;
use super::selections;
use crate::model::{ColumnId, Entity, EntityId, FieldKind, Model};

pub(crate) use finding::Finding;

/// The number of rows, over all parents' pages together, from which a list of an operation gets a
/// warning.
pub(crate) const MAX_ROWS: u64 = 5_000;

/// Everything in a valid document that deserves a second look, in document order.
pub(crate) fn lint(model: &Model, document: &Document) -> Vec<Finding> {
    let mut findings = Vec::new();
    for operation in document.operations() {
        let Some(tree) = operation.tree() else { continue };
        let Some(definition) = parsed::operation(&tree, operation.name()) else { continue };
        let mut linter = Linter {
            model,
            document: &tree,
            defaults: defaults(definition),
            seen: HashMap::new(),
            findings: Vec::new(),
        };
        let root = Path { response: String::new(), canonical: String::new(), rows: 1 };
        let selection = &definition.selection_set.node;
        linter.selection(selection, Parent::Root(operation.kind()), &root);
        findings.append(&mut linter.findings);
        findings.extend(constants::mistakes(model, operation));
        findings.extend(private::by_one_field(model, operation));
    }
    // Several operations may share a fragment; report it once.
    findings.sort_by(|a, b| (a.position, &a.message).cmp(&(b.position, &b.message)));
    findings.dedup();
    findings
}

struct Linter<'a> {
    model: &'a Model,
    document: &'a ExecutableDocument,
    /// The defaults of the operation's variables.
    defaults: HashMap<&'a str, Ast>,
    /// Maps what a list reads to the response path where it was read first.
    seen: HashMap<String, String>,
    findings: Vec<Finding>,
}

/// What the fields of a selection belong to.
#[derive(Clone, Copy)]
enum Parent {
    Root(OperationKind),
    Row(EntityId),
    /// A connection, or an edge of one.
    Rows(EntityId),
}

/// The location of a selection.
struct Path {
    /// In terms of response keys.
    response: String,
    /// In terms of what is read, whatever the response keys are.
    canonical: String,
    /// The maximum number of its parents.
    rows: u64,
}

/// What a root field leads to.
pub(super) enum Root {
    /// A row, or none.
    One(EntityId),
    /// A connection.
    List(EntityId),
}

impl<'a> Linter<'a> {
    fn selection(&mut self, set: &'a SelectionSet, parent: Parent, path: &Path) {
        selections::for_each(&self.document.fragments, set, |field| {
            self.field(field, parent, path)
        });
    }

    fn field(&mut self, field: &'a Positioned<Field>, parent: Parent, path: &Path) {
        let model = self.model;
        let name = field.node.name.node.as_str();
        let below = Path {
            response: join(&path.response, field.node.response_key().node.as_str()),
            canonical: format!("{}/{name}({})", path.canonical, self.arguments(&field.node)),
            rows: path.rows,
        };
        let selection = &field.node.selection_set.node;
        match parent {
            Parent::Root(kind) => match root(model, kind, name) {
                Some(Root::One(entity)) => self.selection(selection, Parent::Row(entity), &below),
                Some(Root::List(entity)) => self.list(field, entity, None, below),
                None => {}
            },
            Parent::Row(entity) => match model.entity(entity).field(name).map(|field| field.kind) {
                Some(FieldKind::ToOne { target, .. }) => {
                    self.selection(selection, Parent::Row(target), &below)
                }
                Some(FieldKind::ToMany { target, column }) => {
                    self.list(field, target, Some(column), below)
                }
                Some(FieldKind::Scalar(_)) | None => {}
            },
            Parent::Rows(entity) => match name {
                "nodes" | "node" => self.selection(selection, Parent::Row(entity), &below),
                "edges" => self.selection(selection, parent, &below),
                _ => {}
            },
        }
    }

    fn list(
        &mut self,
        field: &'a Positioned<Field>,
        entity: EntityId,
        cut: Option<ColumnId>,
        path: Path,
    ) {
        let entity = self.model.entity(entity);
        self.check_twice(field, &path);
        self.check_indexes(field, entity, cut);
        let rows = self.check_size(field, entity, &path);
        let path = Path { rows, ..path };
        self.selection(&field.node.selection_set.node, Parent::Rows(entity.id), &path);
    }

    /// Detects two response keys that read the same list.
    fn check_twice(&mut self, field: &Positioned<Field>, path: &Path) {
        match self.seen.get(&path.canonical) {
            Some(other) if *other != path.response => self.findings.push(Finding::advice(
                position(field),
                format!("`{}` reads the same list as `{other}`", path.response),
                "select it once, with the fields of both; to read two pages of a list, give them different cursors in `after`",
            )),
            Some(_) => {}
            None => drop(self.seen.insert(path.canonical.clone(), path.response.clone())),
        }
    }

    /// Checks how many rows this list may return in all, and returns that number.
    fn check_size(&mut self, field: &Positioned<Field>, entity: &Entity, path: &Path) -> u64 {
        let given = ["first", "last"].iter().find_map(|name| argument(&field.node, name));
        let (size, by_variable) = match given.map(|value| &value.node) {
            Some(Ast::Number(number)) => (number.as_u64().unwrap_or(0), false),
            Some(Ast::Variable(_)) => (u64::from(entity.max_page_size), true),
            _ => (u64::from(entity.default_page_size()), false),
        };
        let rows = path.rows.saturating_mul(size);
        // Reported once, for the list that exceeds the limit; the lists inside it exceed it, too.
        if rows > MAX_ROWS && path.rows <= MAX_ROWS {
            let most = if path.rows == 1 {
                format!("`{}` may have {rows} rows", path.response)
            } else {
                format!(
                    "`{}` may have {size} rows for each of {}: {rows} in all",
                    path.response, path.rows
                )
            };
            let help = if by_variable {
                format!(
                    "the client chooses up to `maxPageSize: {size}` of `{}`; write a number, or lower `maxPageSize`",
                    entity.name
                )
            } else {
                "ask for smaller pages with `first`".to_owned()
            };
            self.findings.push(Finding::advice(position(field), most, help));
        }
        rows
    }

    fn check_indexes(&mut self, field: &Positioned<Field>, entity: &Entity, cut: Option<ColumnId>) {
        let mut fixed: Vec<ColumnId> = cut.into_iter().collect();
        if let Some(filter) = argument(&field.node, "where") {
            self.fix(entity, &filter.node, &mut fixed);
            if cut.is_none() && self.narrows(entity, &filter.node) == Narrowing::No {
                let finding = unindexed_filter(filter, entity, &self.columns(entity, &filter.node));
                self.findings.push(finding);
            }
        }
        // Counting needs no sorting, and neither does a single row.
        let is_unique = |columns: &[ColumnId]| columns.iter().all(|column| fixed.contains(column));
        let is_one_row = is_unique(&[entity.key])
            || entity.uniques.iter().any(|unique| is_unique(&unique.columns));
        if is_one_row || !self.shows_rows(&field.node.selection_set.node) {
            return;
        }
        let order = argument(&field.node, "orderBy");
        let Some(sorted) = self.first_order(entity, order.map(|value| &value.node), &fixed) else {
            return;
        };
        if !follows(entity, &fixed, cut, sorted) {
            let column = entity.column(sorted);
            let mut names: Vec<String> =
                fixed.iter().map(|id| name_in_index(entity, *id)).collect();
            names.push(name_in_index(entity, sorted));
            let of = if fixed.is_empty() { "all rows" } else { "all rows that match" };
            self.findings.push(Finding::advice(
                order.map_or_else(|| position(field), |value| (value.pos.line, value.pos.column)),
                format!(
                    "no index has `{}` in this order by `{}`: {of} are sorted for every page",
                    entity.name, column.field
                ),
                format!("{}, or order by what has an index", add_index(entity, &names)),
            ));
        }
    }

    /// Whether a connection's selection reads any rows or asks about them: everything but
    /// `totalCount` does.
    fn shows_rows(&self, set: &SelectionSet) -> bool {
        let mut shows = false;
        selections::for_each(&self.document.fragments, set, |field| {
            shows |= !matches!(field.node.name.node.as_str(), "totalCount" | "__typename");
        });
        shows
    }

    /// Whether an index restricts the rows that this filter has to scan.
    fn narrows(&self, entity: &Entity, filter: &Ast) -> Narrowing {
        let Some(Ast::Object(members)) = self.literal(filter) else { return Narrowing::Unknown };
        let each = |value: &Ast| -> Vec<Narrowing> {
            self.literal(value)
                .map(items)
                .unwrap_or_default()
                .iter()
                .map(|item| self.narrows(entity, item))
                .collect()
        };
        let by_member = members.iter().map(|(name, value)| match name.as_str() {
            _ if matches!(value, Ast::Variable(_)) => Narrowing::Unknown,
            "and" => each(value).into_iter().max().unwrap_or_default(),
            // Every branch needs an index.
            "or" => each(value).into_iter().min().unwrap_or_default(),
            // Conditions on other entities, and negated ones, are evaluated row by row.
            name => match entity.column_by_field(name) {
                Some(column) => self.narrows_by(entity, column, value),
                None => Narrowing::No,
            },
        });
        by_member.max().unwrap_or_default()
    }

    fn narrows_by(&self, entity: &Entity, column: ColumnId, operators: &Ast) -> Narrowing {
        let Some(Ast::Object(members)) = self.literal(operators) else { return Narrowing::Unknown };
        let folds = matches!(members.get("mode"), Some(Ast::Enum(mode)) if mode == "INSENSITIVE");
        let seeks = members.keys().any(|name| {
            matches!(
                name.as_str(),
                "eq" | "in" | "lt" | "lte" | "gt" | "gte" | "isNull" | "startsWith"
            )
        });
        if seeks && !folds && leads(entity, column) { Narrowing::Yes } else { Narrowing::No }
    }

    /// Collects the columns that a filter fixes to a single value.
    fn fix(&self, entity: &Entity, filter: &Ast, fixed: &mut Vec<ColumnId>) {
        let Some(Ast::Object(members)) = self.literal(filter) else { return };
        for (name, value) in members {
            if name == "and" {
                self.literal(value)
                    .map(items)
                    .unwrap_or_default()
                    .iter()
                    .for_each(|i| self.fix(entity, i, fixed));
            }
            let has_eq = matches!(self.literal(value), Some(Ast::Object(operators))
                if operators.contains_key("eq") || operators.get("isNull") == Some(&Ast::Boolean(true)));
            if let Some(column) =
                entity.column_by_field(name).filter(|column| has_eq && !fixed.contains(column))
            {
                fixed.push(column);
            }
        }
    }

    fn columns(&self, entity: &Entity, filter: &Ast) -> Vec<ColumnId> {
        let Some(Ast::Object(members)) = self.literal(filter) else { return Vec::new() };
        let of_member = |(name, value): (&async_graphql::Name, &Ast)| match name.as_str() {
            "and" | "or" => {
                let branches = self.literal(value).map(items).unwrap_or_default();
                branches.iter().flat_map(|item| self.columns(entity, item)).collect()
            }
            name => Vec::from_iter(entity.column_by_field(name)),
        };
        members.iter().flat_map(of_member).collect()
    }

    /// The first term of the ordering that is not fixed to one value; None if only the key orders
    /// the rows.
    fn first_order(
        &self,
        entity: &Entity,
        order: Option<&Ast>,
        fixed: &[ColumnId],
    ) -> Option<ColumnId> {
        let terms: Vec<ColumnId> = match order.and_then(|order| self.literal(order)) {
            None | Some(Ast::Null) => entity.order_by.iter().map(|(column, _)| *column).collect(),
            Some(order) => {
                let term = |term: &Ast| match self.literal(term) {
                    Some(Ast::Object(members)) => entity.column_by_field(members.keys().next()?),
                    _ => None,
                };
                items(order).iter().filter_map(term).collect()
            }
        };
        terms.into_iter().find(|column| !fixed.contains(column))
    }

    /// A value as far as the document tells: for a variable, its default.
    fn literal<'v>(&'v self, value: &'v Ast) -> Option<&'v Ast> {
        match value {
            Ast::Variable(name) => self.defaults.get(name.as_str()),
            other => Some(other),
        }
    }

    /// The arguments in one canonical spelling, so that equal ones compare equal.
    fn arguments(&self, field: &Field) -> String {
        let given = field.arguments.iter().filter(|(_, value)| value.node != Ast::Null);
        let mut arguments: Vec<String> =
            given.map(|(name, value)| format!("{}:{}", name.node, value.node)).collect();
        arguments.sort();
        arguments.join(",")
    }
}

/// Whether an index helps a filter. Of several conditions that must all hold, the best counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Narrowing {
    No,
    /// It depends on the variables.
    #[default]
    Unknown,
    Yes,
}

fn defaults(operation: &OperationDefinition) -> HashMap<&str, Ast> {
    let variables = operation.variable_definitions.iter();
    let with_default = variables.filter_map(|variable| {
        let default = variable.node.default_value.as_ref()?;
        Some((variable.node.name.node.as_str(), default.node.clone().into_value()))
    });
    with_default.collect()
}

/// What a root field with this name returns; None if it queries the schema.
pub(super) fn root(model: &Model, kind: OperationKind, name: &str) -> Option<Root> {
    model.entities.iter().find_map(|entity| match kind {
        OperationKind::Query if entity.plural == name => Some(Root::List(entity.id)),
        OperationKind::Query
            if entity.singular == name
                || entity.uniques.iter().any(|unique| unique.lookup == name) =>
        {
            Some(Root::One(entity.id))
        }
        OperationKind::Mutation
            if ["create", "update", "delete"]
                .iter()
                .any(|verb| name == format!("{verb}{}", entity.name)) =>
        {
            Some(Root::One(entity.id))
        }
        OperationKind::Query | OperationKind::Mutation => None,
    })
}

/// Whether an index begins with this column.
fn leads(entity: &Entity, column: ColumnId) -> bool {
    follows(entity, &[], None, column)
}

/// Whether an index has this column after columns that are all fixed. For a list with a cut, only
/// an index that begins with the cut's column can find its rows.
fn follows(entity: &Entity, fixed: &[ColumnId], cut: Option<ColumnId>, column: ColumnId) -> bool {
    let uniques = entity.uniques.iter().map(|unique| &unique.columns);
    let mut indexes = uniques.chain(entity.indexes.iter().map(|index| &index.columns));
    let serves = |columns: &Vec<ColumnId>| {
        columns.iter().find(|c| !fixed.contains(c)) == Some(&column)
            && cut.is_none_or(|_| columns.first().is_some_and(|first| fixed.contains(first)))
    };
    // Every index ends with the key.
    column == entity.key || indexes.any(serves)
}

fn unindexed_filter(filter: &Positioned<Ast>, entity: &Entity, columns: &[ColumnId]) -> Finding {
    let fields: Vec<String> =
        columns.iter().map(|id| format!("`{}`", entity.column(*id).field)).collect();
    let indexable = columns.iter().find(|id| !leads(entity, **id));
    let (message, help) = match indexable {
        Some(column) => (
            format!("no index helps this filter by {}: every `{}` is scanned", fields.join(", "), entity.name),
            format!("{}, or filter by what has an index, too", add_index(entity, &[name_in_index(entity, *column)])),
        ),
        None => (
            format!("no index can help this filter: every `{}` is scanned", entity.name),
            "add a condition that an index can find rows by: `eq`, `in`, a range, or `startsWith` with case".to_owned(),
        ),
    };
    Finding::advice((filter.pos.line, filter.pos.column), message, help)
}

/// The directive that would help.
fn add_index(entity: &Entity, names: &[String]) -> String {
    match names {
        [name] => format!("add `@index` to `{}.{name}`", entity.name),
        names => {
            let quoted: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
            format!("add `@index(fields: [{}])` to `{}`", quoted.join(", "), entity.name)
        }
    }
}

/// The name of a column in `@index`: a relation is named by its field.
fn name_in_index(entity: &Entity, id: ColumnId) -> String {
    let relation = entity
        .fields
        .iter()
        .find(|field| matches!(field.kind, FieldKind::ToOne { column, .. } if column == id));
    relation.map_or_else(|| entity.column(id).field.clone(), |field| field.name.clone())
}

fn argument<'f>(field: &'f Field, name: &str) -> Option<&'f Positioned<Ast>> {
    let (_, value) = field.arguments.iter().find(|(given, _)| given.node == name)?;
    (value.node != Ast::Null).then_some(value)
}

/// The items of a list; a single value is a list of one.
fn items(value: &Ast) -> &[Ast] {
    match value {
        Ast::List(items) => items,
        single => std::slice::from_ref(single),
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

fn position(field: &Positioned<Field>) -> (usize, usize) {
    (field.pos.line, field.pos.column)
}

#[cfg(test)]
mod tests;
