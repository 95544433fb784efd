//! Text to syntax tree. The parser stops at its first mistake; what it expected is said in the words of people.

use async_graphql::parser::types::ServiceDocument;
use async_graphql::parser::{Error, parse_schema};

use super::report::Report;

/// Brackets deeper than this are no model; the parser recurses, and must not run out of stack.
const MAX_DEPTH: usize = 64;

/// The text with line feeds for lone carriage returns, which end a line for GraphQL, but not in the parser's count of
/// lines. Bytes stay where they are.
pub(super) fn unify_line_ends(text: &str) -> String {
    let lines: Vec<String> = text.split("\r\n").map(|part| part.replace('\r', "\n")).collect();
    lines.join("\r\n")
}

/// The syntax tree, or the reason why there is none.
pub(super) fn read(report: &mut Report<'_>, text: &str) -> Option<ServiceDocument> {
    if report.tokens(0).next().is_none() {
        report.wrong(0..0, "the model is empty", "declare a type with `@entity`");
        return None;
    }
    let mut depth = 0usize;
    for token in report.tokens(0) {
        match report.text(&token) {
            "[" | "{" | "(" => depth += 1,
            "]" | "}" | ")" => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DEPTH {
            report.error(token, format!("brackets are nested more than {MAX_DEPTH} levels deep"));
            return None;
        }
    }
    match parse_schema(text) {
        Ok(document) => Some(document),
        Err(error) => {
            explain(report, &error);
            None
        }
    }
}

fn explain(report: &mut Report<'_>, error: &Error) {
    let place = error.positions().next().map_or(0..0, |pos| {
        let offset = report.offset(pos);
        report.tokens(offset).next().filter(|token| token.start == offset).unwrap_or(offset..offset)
    });
    let found = match report.text(&place) {
        "" => "the end of the file".to_owned(),
        text => format!("`{text}`"),
    };
    let Error::Syntax { message, .. } = error else {
        return report.error(place, error.to_string());
    };
    let expected = message.lines().rev().find_map(|line| line.trim().strip_prefix("= expected "));
    match expected {
        Some(expected) => {
            report.unknown(place, format!("expected {}, found {found}", in_words(expected)), help(&found));
        }
        // "invalid number: …" has no excerpt to cut off.
        None => report.error(place, message.lines().last().unwrap_or("syntax error").trim().to_owned()),
    }
}

/// Advice for the mistakes that people make.
fn help(found: &str) -> Option<String> {
    match found {
        "`}`" => Some("a type needs at least one field, an enum at least one value".to_owned()),
        "`query`" | "`mutation`" | "`subscription`" | "`fragment`" => {
            Some("operations belong into files under `queries/`".to_owned())
        }
        "the end of the file" => Some("is a closing `}` missing?".to_owned()),
        _ if found.starts_with("`\"") && !found.ends_with("\"`") => Some("the string has no closing quote".to_owned()),
        _ => None,
    }
}

/// `const_directives, implements_interfaces, or fields_definition` → "a directive, `implements` or `{`".
fn in_words(expected: &str) -> String {
    let mut words: Vec<&str> = Vec::new();
    for rule in expected.split([',', ' ']).filter(|word| !word.is_empty() && *word != "or") {
        let word = match rule {
            "EOI" => "the end of the file",
            "type_system_definition" => "a definition such as `type Name @entity { … }`",
            "const_directive" | "const_directives" => "a directive",
            "const_arguments" => "`(`",
            "const_argument" => "an argument such as `name: value`",
            "const_value" => "a value",
            "const_object_field" => "a member such as `name: value`",
            "fields_definition" | "enum_values" | "input_fields_definition" => "`{`",
            "field_definition" => "a field such as `name: String!`",
            "enum_value_definition" | "enum_value" => "a value of the enum",
            "arguments_definition" => "`:` and a type",
            "implements_interfaces" => "`implements`",
            "union_member_types" => "`=`",
            "type_" => "a type",
            "name" | "name_start" => "a name",
            "string" | "string_content" | "string_character" | "block_string_content" => "a string",
            "number" | "int" | "float" | "fractional" | "exponent" => "a number",
            other => other,
        };
        if !words.contains(&word) {
            words.push(word);
        }
    }
    match words.as_slice() {
        [rest @ .., last] if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        other => other.concat(),
    }
}
