//! The table of the model's directives, and the check of every use against it: whether the
//! directive exists, belongs there, and has these arguments with the right types. The meaning of a
//! directive is up to the caller that asks for it.

use async_graphql::Value as Literal;
use async_graphql::parser::Positioned;
use async_graphql::parser::types::ConstDirective;

use super::report::{Report, Span};
use crate::model::OnDelete;
use crate::model::diagnostic::{did_you_mean, one_of, suggest};

/// Where a directive is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Type,
    Field,
    /// Enums, their values, scalars: no directive is allowed there.
    Elsewhere,
}

struct Rule {
    name: &'static str,
    places: &'static [Place],
    repeatable: bool,
    arguments: &'static [Argument],
}

struct Argument {
    name: &'static str,
    ty: ArgumentType,
    required: bool,
}

#[derive(Clone, Copy)]
enum ArgumentType {
    String,
    Int,
    Boolean,
    Strings,
    Choice(&'static [&'static str]),
    /// One or more of these names.
    Choices(&'static [&'static str]),
    /// Any literal; the caller checks it.
    Literal,
}

const fn optional(name: &'static str, ty: ArgumentType) -> Argument {
    Argument { name, ty, required: false }
}

const fn required(name: &'static str, ty: ArgumentType) -> Argument {
    Argument { name, ty, required: true }
}

const TYPE: &[Place] = &[Place::Type];
const FIELD: &[Place] = &[Place::Field];
const BOTH: &[Place] = &[Place::Type, Place::Field];

/// The model's directives.
const RULES: [Rule; 14] = [
    Rule {
        name: "entity",
        places: TYPE,
        repeatable: false,
        arguments: &[
            optional("table", ArgumentType::String),
            optional("plural", ArgumentType::String),
            optional("orderBy", ArgumentType::Literal),
            optional("maxPageSize", ArgumentType::Int),
            optional("requireEtag", ArgumentType::Boolean),
            optional("managed", ArgumentType::Boolean),
        ],
    },
    Rule { name: "id", places: FIELD, repeatable: false, arguments: &[] },
    Rule {
        name: "column",
        places: FIELD,
        repeatable: false,
        arguments: &[
            optional("name", ArgumentType::String),
            optional("type", ArgumentType::String),
            optional("precision", ArgumentType::Int),
            optional("scale", ArgumentType::Int),
        ],
    },
    Rule {
        name: "default",
        places: FIELD,
        repeatable: false,
        arguments: &[
            optional("value", ArgumentType::Literal),
            optional("fn", ArgumentType::Choice(&["UUID_V7", "AUTOINCREMENT", "NOW"])),
            optional("claim", ArgumentType::String),
        ],
    },
    Rule {
        name: "allow",
        places: BOTH,
        repeatable: true,
        arguments: &[
            optional("to", ArgumentType::Choices(&["CREATE", "READ", "UPDATE", "DELETE"])),
            optional("role", ArgumentType::String),
            optional("authenticated", ArgumentType::Boolean),
            optional("where", ArgumentType::Literal),
            optional("check", ArgumentType::Literal),
        ],
    },
    Rule {
        name: "unique",
        places: BOTH,
        repeatable: true,
        arguments: &[optional("fields", ArgumentType::Strings)],
    },
    Rule {
        name: "index",
        places: BOTH,
        repeatable: true,
        arguments: &[optional("fields", ArgumentType::Strings)],
    },
    Rule {
        name: "relation",
        places: FIELD,
        repeatable: false,
        arguments: &[
            optional("column", ArgumentType::String),
            optional("onDelete", ArgumentType::Choice(&OnDelete::NAMES)),
        ],
    },
    Rule {
        name: "derivedFrom",
        places: FIELD,
        repeatable: false,
        arguments: &[required("field", ArgumentType::String)],
    },
    Rule {
        name: "renamedFrom",
        places: FIELD,
        repeatable: false,
        arguments: &[required("name", ArgumentType::String)],
    },
    Rule { name: "readonly", places: FIELD, repeatable: false, arguments: &[] },
    Rule { name: "updatedAt", places: FIELD, repeatable: false, arguments: &[] },
    Rule { name: "hidden", places: FIELD, repeatable: false, arguments: &[] },
    Rule {
        name: "cacheControl",
        places: BOTH,
        repeatable: false,
        arguments: &[
            optional("maxAge", ArgumentType::Int),
            optional("sharedMaxAge", ArgumentType::Int),
            optional("staleWhileRevalidate", ArgumentType::Int),
            optional("scope", ArgumentType::Choice(&["PUBLIC", "PRIVATE"])),
            optional("inheritMaxAge", ArgumentType::Boolean),
        ],
    },
];

/// Reserved directives that are not implemented: refused rather than ignored.
const NOT_YET: [&str; 1] = ["sql"];

/// Whether it is one of the model's own directives. (People paste their definitions into a model
/// for their editor.)
pub(super) fn is_known(name: &str) -> bool {
    RULES.iter().any(|rule| rule.name == name) || NOT_YET.contains(&name)
}

/// The directive that a misspelt name was probably meant to be.
pub(super) fn meant(name: &str) -> Option<&'static str> {
    did_you_mean(name, RULES.iter().map(|rule| rule.name))
}

/// The directives of one definition that passed the check.
#[derive(Debug, Default)]
pub(super) struct Directives<'a>(Vec<Use<'a>>);

#[derive(Debug)]
pub(super) struct Use<'a> {
    name: &'static str,
    /// Its `@` and name.
    pub(super) span: Span,
    arguments: Vec<(&'static str, &'a Literal, Span)>,
}

impl<'a> Directives<'a> {
    /// The use of a directive that may occur only once.
    pub(super) fn get(&self, name: &str) -> Option<&Use<'a>> {
        self.0.iter().find(|used| used.name == name)
    }

    pub(super) fn all<'s>(&'s self, name: &'s str) -> impl Iterator<Item = &'s Use<'a>> {
        self.0.iter().filter(move |used| used.name == name)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }
}

impl<'a> Use<'a> {
    /// An argument's value and position.
    pub(super) fn literal(&self, name: &str) -> Option<(&'a Literal, Span)> {
        self.arguments
            .iter()
            .find(|(argument, ..)| *argument == name)
            .map(|(_, value, span)| (*value, span.clone()))
    }

    pub(super) fn string(&self, name: &str) -> Option<(&'a str, Span)> {
        match self.literal(name)? {
            (Literal::String(text), span) => Some((text, span)),
            _ => None,
        }
    }

    pub(super) fn int(&self, name: &str) -> Option<(i64, Span)> {
        match self.literal(name)? {
            (Literal::Number(number), span) => Some((number.as_i64()?, span)),
            _ => None,
        }
    }

    pub(super) fn boolean(&self, name: &str) -> Option<(bool, Span)> {
        match self.literal(name)? {
            (Literal::Boolean(value), span) => Some((*value, span)),
            _ => None,
        }
    }

    pub(super) fn choice(&self, name: &str) -> Option<(&'a str, Span)> {
        match self.literal(name)? {
            (Literal::Enum(word), span) => Some((word, span)),
            _ => None,
        }
    }

    /// One or more enum values.
    pub(super) fn choices(&self, name: &str) -> Option<(Vec<&'a str>, Span)> {
        match self.literal(name)? {
            (Literal::Enum(word), span) => Some((vec![word], span)),
            (Literal::List(items), span) => {
                let word = |item: &'a Literal| {
                    if let Literal::Enum(word) = item { Some(word.as_str()) } else { None }
                };
                Some((items.iter().filter_map(word).collect(), span))
            }
            _ => None,
        }
    }

    pub(super) fn strings(&self, name: &str) -> Option<(Vec<&'a str>, Span)> {
        match self.literal(name)? {
            (Literal::List(items), span) => Some((
                items
                    .iter()
                    .filter_map(|item| {
                        if let Literal::String(text) = item { Some(text.as_str()) } else { None }
                    })
                    .collect(),
                span,
            )),
            _ => None,
        }
    }
}

/// Checks the directives of one definition and returns the valid ones.
pub(super) fn read<'a>(
    report: &mut Report<'_>,
    directives: &'a [Positioned<ConstDirective>],
    place: Place,
) -> Directives<'a> {
    let mut uses: Vec<Use<'a>> = Vec::new();
    for directive in directives {
        let span = report.directive(directive.pos);
        let name = directive.node.name.node.as_str();
        let Some(rule) = RULES.iter().find(|rule| rule.name == name) else {
            unknown(report, span, name);
            continue;
        };
        if !rule.places.contains(&place) {
            let belongs =
                if rule.places == TYPE { "it belongs on a type" } else { "it belongs on a field" };
            let belongs =
                if rule.places == BOTH { "it belongs on a type or a field" } else { belongs };
            let belongs = if (rule.name, place) == ("renamedFrom", Place::Type) {
                "to rename a type, keep its table with `@entity(table: \"…\")`"
            } else {
                belongs
            };
            let here = match place {
                Place::Type => "on a type",
                Place::Field => "on a field",
                Place::Elsewhere => "here",
            };
            report.wrong(span, format!("`@{name}` does not belong {here}"), belongs);
            continue;
        }
        if !rule.repeatable && uses.iter().any(|used| used.name == rule.name) {
            report.wrong(span, format!("`@{name}` appears here twice"), "keep one of them");
            continue;
        }
        let arguments = read_arguments(report, rule, &directive.node, &span);
        uses.push(Use { name: rule.name, span, arguments });
    }
    Directives(uses)
}

fn unknown(report: &mut Report<'_>, span: Span, name: &str) {
    if NOT_YET.contains(&name) {
        return report.wrong(
            span,
            format!("`@{name}` is not supported yet"),
            "remove it; it would have no effect",
        );
    }
    let help = match name {
        "auth" | "authorize" | "authenticated" | "requiresScopes" => {
            Some("write who may do what with `@allow`".to_owned())
        }
        "deprecated" | "specifiedBy" | "oneOf" => {
            Some(format!("the model does not take `@{name}`"))
        }
        _ => meant(name).map(|meant| format!("did you mean `@{meant}`?")),
    };
    let all = || {
        let names: Vec<String> = RULES.iter().map(|rule| format!("@{}", rule.name)).collect();
        format!("there is {}", one_of(&names.iter().map(String::as_str).collect::<Vec<_>>()))
    };
    report.wrong(span, format!("unknown directive `@{name}`"), help.unwrap_or_else(all));
}

fn read_arguments<'a>(
    report: &mut Report<'_>,
    rule: &'static Rule,
    directive: &'a ConstDirective,
    span: &Span,
) -> Vec<(&'static str, &'a Literal, Span)> {
    let mut read: Vec<(&'static str, &'a Literal, Span)> = Vec::new();
    let mut seen: Vec<&str> = Vec::new();
    for (name, value) in &directive.arguments {
        let name_span = report.token(name.pos);
        let Some(argument) =
            rule.arguments.iter().find(|argument| argument.name == name.node.as_str())
        else {
            let message = format!("`@{}` has no argument `{}`", rule.name, name.node);
            let help = suggest(&name.node, rule.arguments.iter().map(|argument| argument.name));
            report.unknown(
                name_span,
                message,
                help.or_else(|| Some("it takes no arguments".to_owned())),
            );
            continue;
        };
        if seen.contains(&argument.name) {
            report.wrong(
                name_span,
                format!("argument `{}` is given twice", argument.name),
                "keep one of them",
            );
            continue;
        }
        seen.push(argument.name);
        let span = report.value(value.pos);
        // An explicit null is the same as an absent argument, unless the argument is a literal
        // value.
        if value.node == Literal::Null
            && !argument.required
            && !matches!(argument.ty, ArgumentType::Literal)
        {
            continue;
        }
        match argument.ty.refuse(&value.node) {
            None => read.push((argument.name, &value.node, span)),
            Some((expected, help)) => {
                let found = report.text(&span);
                let message = format!(
                    "`@{}({}:)` takes {expected}, found `{found}`",
                    rule.name, argument.name
                );
                report.unknown(span, message, help);
            }
        }
    }
    for argument in
        rule.arguments.iter().filter(|argument| argument.required && !seen.contains(&argument.name))
    {
        let message = format!("`@{}` needs the argument `{}`", rule.name, argument.name);
        report.wrong(
            span.clone(),
            message,
            format!("write `@{}({}: …)`", rule.name, argument.name),
        );
    }
    read
}

impl ArgumentType {
    /// What was expected and a hint, if the literal is not of this type.
    fn refuse(self, literal: &Literal) -> Option<(String, Option<String>)> {
        let fits = match (self, literal) {
            (Self::String, Literal::String(_))
            | (Self::Boolean, Literal::Boolean(_))
            | (Self::Literal, _) => true,
            (Self::Int, Literal::Number(number)) => {
                number.as_i64().is_some_and(|int| i32::try_from(int).is_ok())
            }
            (Self::Strings, Literal::List(items)) => {
                items.iter().all(|item| matches!(item, Literal::String(_)))
            }
            (Self::Choice(words) | Self::Choices(words), Literal::Enum(word)) => {
                words.contains(&word.as_str())
            }
            (Self::Choices(_), Literal::List(items)) => {
                return items.iter().find_map(|item| match item {
                    Literal::List(_) => Some(("a list of words".to_owned(), None)),
                    item => self.refuse(item),
                });
            }
            _ => false,
        };
        if fits {
            return None;
        }
        Some(match (self, literal) {
            (Self::String, Literal::Enum(word)) => {
                ("a string".to_owned(), Some(format!("write `\"{word}\"`")))
            }
            (Self::Strings, Literal::String(text)) => {
                ("a list of strings".to_owned(), Some(format!("write `[\"{text}\"]`")))
            }
            (Self::Choice(words) | Self::Choices(words), Literal::Enum(word)) => {
                let meant = did_you_mean(word, words.iter().copied())
                    .map(|meant| format!("did you mean `{meant}`?"));
                (one_of(words), meant)
            }
            (Self::Choice(words) | Self::Choices(words), Literal::String(_)) => {
                (one_of(words), Some("write it without quotes".to_owned()))
            }
            (Self::Choice(words) | Self::Choices(words), _) => (one_of(words), None),
            (Self::Int, Literal::String(text)) if text.parse::<i32>().is_ok() => {
                ("an Int".to_owned(), Some(format!("write `{text}`")))
            }
            (Self::String, _) => ("a string".to_owned(), None),
            (Self::Int, _) => ("an Int".to_owned(), None),
            (Self::Boolean, _) => ("`true` or `false`".to_owned(), None),
            (Self::Strings, _) => ("a list of strings".to_owned(), None),
            (Self::Literal, _) => ("a literal".to_owned(), None),
        })
    }
}
