//! Parses text into a syntax tree. The parser stops at the first mistake; this file adds advice for
//! common ones.

use async_graphql::parser::types::ServiceDocument;

use super::report::Report;
use crate::syntax::{self, Definition, Purpose};

/// The syntax tree; None if there is a mistake, which is reported.
pub(super) fn read(report: &mut Report<'_>, text: &str) -> Option<ServiceDocument> {
    let is_empty = syntax::Lexer::new(text)
        .next_token()
        .is_ok_and(|token| token.kind == syntax::TokenKind::End);
    if is_empty {
        report.wrong(0..0, "the model is empty", "declare a type with `@entity`");
        return None;
    }
    let document = match syntax::parse(text, Purpose::Types) {
        Ok(document) => document,
        Err(error) => {
            let found = report.text(&error.span);
            let help = unnamed_argument(&text[..error.span.start], found).or_else(|| help(found));
            report.unknown(error.span, error.message, help);
            return None;
        }
    };
    for name in document.repeated_members {
        let span = report.token(name.pos);
        report.wrong(span, format!("`{}` is given twice", name.node), "keep one of them");
    }
    let definitions = document.definitions.into_iter().filter_map(|definition| match definition {
        Definition::Types(definition, _) => Some(*definition),
        Definition::Operation(..) | Definition::Fragment(..) => None,
    });
    Some(ServiceDocument { definitions: definitions.collect() })
}

/// Advice for a directive's argument without a name, as in `@default(0)`.
fn unnamed_argument(before: &str, found: &str) -> Option<String> {
    let directive = before.trim_end().strip_suffix('(')?.trim_end();
    let (_, name) = directive.rsplit_once('@')?;
    let (argument, rest) = match name {
        "default" => ("value", ""),
        "column" | "renamedFrom" => ("name", ""),
        "unique" | "index" => ("fields", if found == "[" { "…]" } else { "" }),
        "derivedFrom" => ("field", ""),
        "relation" => ("column", ""),
        "entity" => ("table", ""),
        _ => return None,
    };
    Some(format!("arguments have names: write `@{name}({argument}: {found}{rest})`"))
}

/// Advice for common mistakes.
fn help(found: &str) -> Option<String> {
    match found {
        "}" => Some("a type needs at least one field, an enum at least one value".to_owned()),
        "query" | "mutation" | "subscription" | "fragment" => {
            Some("operations belong into files under `queries/`".to_owned())
        }
        "" => Some("is a closing `}` missing?".to_owned()),
        _ => None,
    }
}
