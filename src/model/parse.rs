//! Parses SDL into a model. One run finds every mistake, each with its position and what would be
//! right; there is a model only if there is no mistake. The files follow the steps: text to syntax,
//! syntax to definitions, definitions to entities, names against each other, and the fingerprint of
//! the whole.
//!
//! Choices that are not obvious: a key is always `ID!` and may have any name; `Decimal` without
//! `@column` has 18 digits, 4 of them after the point, and `precision` requires `scale`;
//! `@unique(fields:)` or `@index(fields:)` on a field puts the field itself first; definitions of
//! the model's own directives in the file are ignored.

mod columns;
mod definitions;
mod directives;
mod entities;
mod fingerprint;
mod lookups;
mod names;
mod relations;
mod report;
mod rules;
pub(crate) mod sql_names;
mod syntax;

use super::{Diagnostic, Model};
use report::Report;

/// A valid model, and what deserves a second look in it.
#[derive(Debug)]
pub struct Parsed {
    /// What the text declares.
    pub model: Model,
    /// In document order.
    pub warnings: Vec<Diagnostic>,
}

/// Parses a model. `file_name` is only quoted in diagnostics.
///
/// ```
/// use freshql::model::parse::parse;
///
/// let parsed = parse("schema.graphql", "type Book @entity { id: ID! @id title: String! }").unwrap();
/// assert_eq!(parsed.model.entities[0].plural, "books");
///
/// let mistakes = parse("schema.graphql", "type Book @entity { title: String! }").unwrap_err();
/// assert!(mistakes[0].message.contains("@id"), "{}", mistakes[0].message);
/// ```
///
/// # Errors
/// All mistakes that were found (and the warnings), in document order. Of syntax errors, only the
/// first.
pub fn parse(file_name: &str, text: &str) -> Result<Parsed, Vec<Diagnostic>> {
    let mut report = Report::new(file_name, text);
    let Some(document) = syntax::read(&mut report, text) else { return Err(report.finish()) };
    let definitions = definitions::collect(&mut report, &document);
    let mut entities = entities::build(&mut report, &definitions);
    rules::add(&mut report, &definitions, &mut entities);
    names::check(&mut report, &definitions, &entities);
    if entities.is_empty() && !report.has_errors() {
        report.wrong(0..0, "the model has no entity", "declare a type with `@entity`");
    }
    if report.has_errors() {
        return Err(report.finish());
    }
    relations::warn_about_cycles(&mut report, &definitions);
    let by_name = entities.iter().map(|entity| (entity.name.clone(), entity.id)).collect();
    let mut model = Model {
        entities,
        enums: definitions.enums,
        by_name,
        fingerprint: [0; 32],
        has_rules: false,
    };
    model.has_rules = model.says_who_may();
    model.fingerprint = fingerprint::fingerprint(&model);
    Ok(Parsed { model, warnings: report.finish() })
}

#[cfg(test)]
mod tests;
