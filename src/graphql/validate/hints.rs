//! What was probably meant by a name that async-graphql's rules do not know: they suggest fields of
//! output types only, and arguments only if a letter is wrong, but not if two are exchanged.

use async_graphql::parser::types::{DocumentOperations, ExecutableDocument};

use crate::graphql::definition::{BUILT_IN_SCALARS, Definitions, TypeDef, TypeKind};
use crate::model::diagnostic::did_you_mean;

/// The directives of operations.
const DIRECTIVES: [&str; 2] = ["include", "skip"];

/// The message with a suggestion, if something is close.
pub(super) fn with_hint(
    definitions: &Definitions,
    document: &ExecutableDocument,
    message: String,
) -> String {
    if message.contains("Did you mean") {
        return message;
    }
    // Names are the only thing that these messages quote.
    let quoted: Vec<&str> = message.split('"').skip(1).step_by(2).collect();
    let meant = match &quoted[..] {
        [name, ty] if message.starts_with("Unknown field ") => {
            let fields = definitions.get(ty).map(TypeDef::fields).unwrap_or_default();
            did_you_mean(name, fields.iter().map(|field| field.name.as_str()))
        }
        [name, field, ty] if message.starts_with("Unknown argument ") => {
            let arguments = definitions.field(ty, field).map(|field| &field.args[..]);
            let arguments = arguments.unwrap_or_default();
            did_you_mean(name, arguments.iter().map(|argument| argument.name.as_str()))
        }
        // Both directives have this one.
        [_, _] if message.starts_with("Unknown argument ") => Some("if"),
        [name] if message.starts_with("Unknown type ") => {
            let is_output =
                |ty: &&TypeDef| matches!(ty.kind, TypeKind::Object(_) | TypeKind::Interface(_));
            let types = definitions.types().iter().filter(is_output);
            did_you_mean(name, types.map(|ty| ty.name.as_str()))
        }
        [name] if message.starts_with("Unknown fragment") => {
            did_you_mean(name, document.fragments.keys().map(|name| name.as_str()))
        }
        [name] if message.starts_with("Unknown directive ") => did_you_mean(name, DIRECTIVES),
        [name, rest @ ..] if message.contains(" is not defined") => {
            return with(message.clone(), variable(document, name, rest.first().copied()));
        }
        _ => None,
    };
    let meant = meant.map(str::to_owned);
    with(message, meant)
}

/// The variable of the operation that was probably meant.
fn variable(document: &ExecutableDocument, name: &str, operation: Option<&str>) -> Option<String> {
    let definition = match (&document.operations, operation) {
        (DocumentOperations::Single(only), _) => only,
        (DocumentOperations::Multiple(all), Some(name)) => all.get(name)?,
        (DocumentOperations::Multiple(_), None) => return None,
    };
    let names = definition.node.variable_definitions.iter();
    let names = names.map(|variable| variable.node.name.node.as_str());
    did_you_mean(name.trim_start_matches('$'), names).map(|meant| format!("${meant}"))
}

/// The message for an unknown type of a variable.
pub(super) fn unknown_input_type(definitions: &Definitions, name: &str) -> String {
    let is_input = |ty: &&TypeDef| !matches!(ty.kind, TypeKind::Object(_) | TypeKind::Interface(_));
    let types = definitions.types().iter().filter(is_input).map(|ty| ty.name.as_str());
    let meant = did_you_mean(name, types.chain(BUILT_IN_SCALARS)).map(str::to_owned);
    with(format!("Unknown type \"{name}\""), meant)
}

fn with(message: String, meant: Option<String>) -> String {
    match meant {
        Some(meant) => format!("{}. Did you mean \"{meant}\"?", message.trim_end_matches('.')),
        None => message,
    }
}
