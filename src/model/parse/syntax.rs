//! Text to syntax tree. The parser stops at its first mistake; advice for those that people make is added here.

use async_graphql::parser::types::ServiceDocument;

use super::report::Report;
use crate::syntax::{self, Definition, Purpose};

/// The syntax tree, or the reason why there is none.
pub(super) fn read(report: &mut Report<'_>, text: &str) -> Option<ServiceDocument> {
    let is_empty = syntax::Lexer::new(text).next_token().is_ok_and(|token| token.kind == syntax::Kind::End);
    if is_empty {
        report.wrong(0..0, "the model is empty", "declare a type with `@entity`");
        return None;
    }
    let document = match syntax::parse(text, Purpose::Types) {
        Ok(document) => document,
        Err(error) => {
            let help = help(report.text(&error.span));
            report.unknown(error.span, error.message, help);
            return None;
        }
    };
    for name in document.repeated_members {
        let span = report.token(name.pos);
        report.wrong(span, format!("`{}` is given twice", name.node), "say it once");
    }
    let definitions = document.definitions.into_iter().filter_map(|definition| match definition {
        Definition::Types(definition, _) => Some(*definition),
        Definition::Operation(..) | Definition::Fragment(..) => None,
    });
    Some(ServiceDocument { definitions: definitions.collect() })
}

/// Advice for the mistakes that people make.
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
