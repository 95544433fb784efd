//! Where an operation uses its variables. A plan is compiled for the values of those in `@skip` and
//! `@include`; a variable that is only ever an `expectedEtag` may be replaced by `If-Match`.

use std::collections::HashMap;

use async_graphql::parser::types::{
    Directive, ExecutableDocument, Field, OperationDefinition, SelectionSet,
};
use async_graphql::{Name, Positioned};
use async_graphql_value::Value as Ast;

use super::selections::{Selected, resolve};

/// Where an operation uses its variables.
pub(super) struct Uses<'a> {
    document: &'a ExecutableDocument,
    /// How often each is used as the whole of an `expectedEtag`, and how often anywhere else.
    counts: HashMap<Name, (usize, usize)>,
    conditions: Vec<String>,
    seen: Vec<&'a Name>,
}

impl<'a> Uses<'a> {
    pub(super) fn of(document: &'a ExecutableDocument, operation: &'a OperationDefinition) -> Self {
        let mut uses =
            Self { document, counts: HashMap::new(), conditions: Vec::new(), seen: Vec::new() };
        uses.selection(&operation.selection_set.node);
        uses
    }

    /// Whether the variable is used only as `expectedEtag`, so the value of `If-Match` may replace
    /// it.
    pub(super) fn is_only_expected_etag(&self, variable: &Name) -> bool {
        self.counts.get(variable).is_some_and(|(etag, other)| *etag > 0 && *other == 0)
    }

    /// The variables in `@skip` and `@include`, sorted.
    pub(super) fn conditions(mut self) -> Vec<String> {
        self.conditions.sort();
        self.conditions.dedup();
        self.conditions
    }

    fn selection(&mut self, selection: &'a SelectionSet) {
        for item in &selection.items {
            self.directives(item.node.directives());
            match resolve(&self.document.fragments, &item.node) {
                Some(Selected::Field(field)) => self.field(&field.node),
                Some(Selected::Fragment(fragment))
                    if fragment.name.is_none_or(|name| !self.seen.contains(&name)) =>
                {
                    self.seen.extend(fragment.name);
                    self.selection(fragment.set);
                }
                _ => {}
            }
        }
    }

    fn field(&mut self, field: &'a Field) {
        for (name, value) in &field.arguments {
            match &value.node {
                Ast::Variable(variable) if name.node == "expectedEtag" => {
                    self.counts.entry(variable.clone()).or_default().0 += 1;
                }
                other => self.value(other),
            }
        }
        self.selection(&field.selection_set.node);
    }

    fn directives(&mut self, directives: &[Positioned<Directive>]) {
        for (_, value) in directives.iter().flat_map(|directive| &directive.node.arguments) {
            if let Ast::Variable(name) = &value.node {
                self.conditions.push(name.to_string());
            }
            self.value(&value.node);
        }
    }

    fn value(&mut self, value: &Ast) {
        match value {
            Ast::Variable(name) => self.counts.entry(name.clone()).or_default().1 += 1,
            Ast::List(items) => items.iter().for_each(|item| self.value(item)),
            Ast::Object(members) => members.values().for_each(|member| self.value(member)),
            _ => {}
        }
    }
}
