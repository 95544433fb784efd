//! `@default`: a value, a function, or a claim.

use crate::model::DefaultValue;
use crate::model::parse::definitions::{Definitions, FieldDraft, Shape};
use crate::model::parse::directives::Use;
use crate::model::parse::report::{Report, Span};
use crate::model::scalar::{Scalar, Source};

/// The default of a field with `@default`.
pub(super) fn default(
    report: &mut Report<'_>,
    definitions: &Definitions<'_>,
    field: &FieldDraft<'_>,
    scalar: Scalar,
    is_key: bool,
) -> Option<DefaultValue> {
    let default = field.directives.get("default")?;
    if let Some((claim, span)) = default.string("claim") {
        return preset(report, field, default, scalar, claim, span);
    }
    match (default.literal("value"), default.choice("fn")) {
        (Some(_), Some((_, span))) => {
            report.wrong(span, "`@default` has a value and a function", "keep one of them");
            None
        }
        (Some((_, span)), None) if is_key => {
            report.wrong(
                span,
                "a key has no default value: no two rows share one",
                "use `fn: UUID_V7` or `fn: AUTOINCREMENT`",
            );
            None
        }
        (Some((async_graphql::Value::Null, span)), None) => {
            let help = if field.nullable {
                "remove it; NULL is the default"
            } else {
                "the field is not null"
            };
            report.wrong(span, "null is not a default value", help);
            None
        }
        (Some((literal, span)), None) => {
            match scalar.coerce_with(&definitions.enums, literal, Source::Literal) {
                Ok(value) => Some(DefaultValue::Value(value)),
                Err(message) => {
                    report.error(
                        span,
                        format!("the default of `{}` does not fit: {message}", field.name),
                    );
                    None
                }
            }
        }
        (None, Some((function, span))) => {
            default_function(report, field, scalar, is_key, function, span)
        }
        (None, None) => {
            // A wrong argument has been reported already.
            if !report.has_errors_in(&default.span) {
                report.wrong(
                    default.span.clone(),
                    "`@default` has no argument",
                    "write `@default(value: …)`, `@default(fn: …)` or `@default(claim: …)`",
                );
            }
            None
        }
    }
}

/// `@default(claim:)`.
fn preset(
    report: &mut Report<'_>,
    field: &FieldDraft<'_>,
    default: &Use<'_>,
    scalar: Scalar,
    claim: &str,
    span: Span,
) -> Option<DefaultValue> {
    if default.literal("value").is_some() || default.literal("fn").is_some() {
        report.wrong(span, "`@default` has a claim and something else", "keep one of them");
        return None;
    }
    if claim.is_empty() || claim.starts_with('$') {
        let help = format!(
            "write the claim's name, such as `claim: \"{}\"`",
            claim.trim_start_matches('$')
        );
        report.wrong(span, format!("`{claim}` is not the name of a claim"), help);
        return None;
    }
    if scalar == Scalar::Json {
        report.wrong(
            span,
            format!("`{}` is JSON, and a claim is a plain value", field.name),
            "use another type",
        );
        return None;
    }
    Some(DefaultValue::Claim(claim.to_owned()))
}

/// `@default(fn:)`.
fn default_function(
    report: &mut Report<'_>,
    field: &FieldDraft<'_>,
    scalar: Scalar,
    is_key: bool,
    function: &str,
    span: Span,
) -> Option<DefaultValue> {
    let written = report.text(&field.type_span);
    let plain_relation = matches!(field.shape, Shape::ToOne(_));
    match function {
        "UUID_V7" if is_key || (scalar == Scalar::Uuid && !plain_relation) => {
            Some(DefaultValue::UuidV7)
        }
        "AUTOINCREMENT" if is_key => Some(DefaultValue::Autoincrement),
        "NOW" if matches!(scalar, Scalar::DateTime | Scalar::Date) => Some(DefaultValue::Now),
        "UUID_V7" => {
            report.wrong(
                span,
                format!("`UUID_V7` makes a UUID, and `{}` is `{written}`", field.name),
                "write `UUID`, or `ID! @id`",
            );
            None
        }
        "AUTOINCREMENT" => {
            report.wrong(
                span,
                "`AUTOINCREMENT` counts keys only",
                format!("`{}` has no `@id`", field.name),
            );
            None
        }
        _ => {
            let message =
                format!("`NOW` makes a DateTime or a Date, and `{}` is `{written}`", field.name);
            report.wrong(span, message, "write `DateTime`, or another default");
            None
        }
    }
}
