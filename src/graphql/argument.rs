//! The value of an argument, from the raw document and the request's variables (October 2021
//! specification, §6.4.1 and §3). An omitted variable inside an input object is absent, `null` is
//! accepted only where it has a meaning, and a value never passes for one of another type.

use async_graphql_value::{ConstValue, Value as Ast};
use serde_json::value::RawValue;

use super::error::{Code, GraphqlError, cut};
use crate::model::global_id::{self, NotAnId};
use crate::model::naming::with_article;
use crate::model::scalar::Source;
use crate::model::{Column, Model, Scalar, Value};

/// The variables of one request, coerced.
#[derive(Debug, Clone, Default)]
pub struct Variables {
    /// Sorted by name; omitted ones are absent.
    pub(super) values: std::collections::BTreeMap<String, ConstValue>,
    /// As canonical JSON.
    pub(super) canonical: String,
}

impl Variables {
    /// Canonical JSON: sorted keys, no white space, defaults filled in. `{}` if there are no
    /// variables.
    pub fn canonical(&self) -> &str {
        &self.canonical
    }
}

/// Why an argument does not coerce: where in it, and a message for the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// From the argument inwards: `["where", "price", "gt"]`.
    pub path: Vec<String>,
    /// A message in lower case, without a full stop.
    pub message: String,
    /// `BAD_USER_INPUT`, or the code of an access that is denied.
    pub code: Code,
}

impl From<GraphqlError> for Mistake {
    fn from(error: GraphqlError) -> Self {
        Self { path: Vec::new(), message: error.message, code: error.code }
    }
}

impl Mistake {
    /// A mistake in the value itself.
    pub fn new(message: impl Into<String>) -> Self {
        Self { path: Vec::new(), message: message.into(), code: Code::BadUserInput }
    }

    /// The same mistake, with this name prepended to its path.
    #[must_use]
    pub fn within(mut self, name: &str) -> Self {
        self.path.insert(0, name.to_owned());
        self
    }

    /// The error that the client gets.
    pub fn into_error(self, position: (usize, usize)) -> GraphqlError {
        let mut place = self.path.join(".");
        cut(&mut place);
        let raw: Box<RawValue> = serde_json::value::to_raw_value(&place).expect("a string is JSON");
        let mut error = GraphqlError::new(self.code, format!("{place}: {}", self.message))
            .at(position.0, position.1);
        error.extensions.push(("argument", raw));
        error
    }
}

/// The value of an argument: from the document or from a variable.
#[derive(Debug, Clone, Copy)]
pub enum Input<'a> {
    /// A literal in the document; may contain variables.
    Literal(&'a Ast, &'a Variables),
    /// The value of a variable.
    Variable(&'a ConstValue),
}

impl<'a> Input<'a> {
    /// The value of an argument or input field in the document; None if it is a variable that was
    /// omitted.
    pub fn of(ast: &'a Ast, variables: &'a Variables) -> Option<Self> {
        match ast {
            Ast::Variable(name) => variables.values.get(name.as_str()).map(Self::Variable),
            other => Some(Self::Literal(other, variables)),
        }
    }

    /// Whether it is `null`.
    pub fn is_null(self) -> bool {
        matches!(self, Self::Literal(Ast::Null, _) | Self::Variable(ConstValue::Null))
    }

    /// The members of an object that are present, in order.
    pub fn object(self) -> Result<Vec<(&'a str, Self)>, Mistake> {
        match self {
            Self::Literal(Ast::Object(members), variables) => {
                let present =
                    members.iter().filter_map(|(k, v)| Some((k.as_str(), Self::of(v, variables)?)));
                Ok(present.collect())
            }
            Self::Variable(ConstValue::Object(members)) => {
                Ok(members.iter().map(|(k, v)| (k.as_str(), Self::Variable(v))).collect())
            }
            other => Err(Mistake::new(format!("expected an input object, found {}", other.kind()))),
        }
    }

    /// The items of a list. A single value coerces to a list of one, as the specification requires.
    pub fn list(self) -> Vec<Self> {
        const NULL: &ConstValue = &ConstValue::Null;
        match self {
            Self::Literal(Ast::List(items), variables) => items
                .iter()
                .map(|item| Self::of(item, variables).unwrap_or(Self::Variable(NULL)))
                .collect(),
            Self::Variable(ConstValue::List(items)) => items.iter().map(Self::Variable).collect(),
            single => vec![single],
        }
    }

    /// A value of a scalar type; not null.
    pub fn scalar(self, model: &Model, scalar: Scalar) -> Result<Value, Mistake> {
        if self.is_null() {
            return Err(Mistake::new(format!(
                "expected {}, found null",
                scalar.graphql_name(model)
            )));
        }
        let coerced = match self {
            Self::Variable(value) => scalar.coerce(model, value, Source::Variable),
            Self::Literal(ast, variables) => {
                let constant = ast
                    .clone()
                    .into_const_with(|name| {
                        Ok::<_, std::convert::Infallible>(
                            variables
                                .values
                                .get(name.as_str())
                                .cloned()
                                .unwrap_or(ConstValue::Null),
                        )
                    })
                    .expect("nothing here fails");
                scalar.coerce(model, &constant, Source::Literal)
            }
        };
        coerced.map_err(Mistake::new)
    }

    /// A value of a column; not null. If clients see global ids, it must be one of a row of the
    /// right type.
    pub fn of_column(self, model: &Model, column: &Column) -> Result<Value, Mistake> {
        let Some(target) = column.global else { return self.scalar(model, column.scalar) };
        let entity = model.entity(target);
        let expected = |found: &dyn std::fmt::Display| {
            Mistake::new(format!(
                "expected the id of {}, found {found}",
                with_article(&entity.name)
            ))
        };
        let (Self::Literal(Ast::String(id), _) | Self::Variable(ConstValue::String(id))) = self
        else {
            return Err(expected(&self.kind()));
        };
        let key = global_id::decode_of(entity, id).map_err(|why| expected(&why))?;
        // The API gives out only ids whose keys have the column's form.
        let coerced = column.scalar.coerce(model, &ConstValue::String(key), Source::Variable);
        coerced.map_err(|_| expected(&NotAnId::Malformed))
    }

    /// A boolean.
    pub fn boolean(self) -> Result<bool, Mistake> {
        match self {
            Self::Literal(Ast::Boolean(value), _) | Self::Variable(ConstValue::Boolean(value)) => {
                Ok(*value)
            }
            other => Err(Mistake::new(format!("expected Boolean, found {}", other.kind()))),
        }
    }

    /// A string.
    pub fn string(self) -> Result<&'a str, Mistake> {
        match self {
            Self::Literal(Ast::String(value), _) | Self::Variable(ConstValue::String(value)) => {
                Ok(value)
            }
            other => Err(Mistake::new(format!("expected String, found {}", other.kind()))),
        }
    }

    /// The name of an enum's value.
    pub fn name(self) -> Result<&'a str, Mistake> {
        match self {
            Self::Literal(Ast::Enum(name), _) | Self::Variable(ConstValue::Enum(name)) => {
                Ok(name.as_str())
            }
            Self::Variable(ConstValue::String(name)) => Ok(name),
            other => Err(Mistake::new(format!("expected an enum value, found {}", other.kind()))),
        }
    }

    /// A number of rows.
    pub fn count(self, model: &Model, largest: u32) -> Result<u32, Mistake> {
        match self.scalar(model, Scalar::Int)? {
            Value::Int(count) if (0..=i64::from(largest)).contains(&count) => Ok(count as u32),
            Value::Int(count) => {
                Err(Mistake::new(format!("must be between 0 and {largest}, found {count}")))
            }
            _ => Err(Mistake::new(format!("expected Int, found {}", self.kind()))),
        }
    }

    /// The kind of the value, for messages.
    pub(super) fn kind(self) -> &'static str {
        let constant = match self {
            Self::Variable(value) => value,
            Self::Literal(ast, _) => match ast {
                Ast::Variable(_) => return "a variable",
                Ast::Null => return "null",
                Ast::Number(_) | Ast::Binary(_) => return "a number",
                Ast::String(_) => return "a string",
                Ast::Boolean(_) => return "a boolean",
                Ast::Enum(_) => return "an enum value",
                Ast::List(_) => return "a list",
                Ast::Object(_) => return "an object",
            },
        };
        match constant {
            ConstValue::Null => "null",
            ConstValue::Number(_) | ConstValue::Binary(_) => "a number",
            ConstValue::String(_) => "a string",
            ConstValue::Boolean(_) => "a boolean",
            ConstValue::Enum(_) => "an enum value",
            ConstValue::List(_) => "a list",
            ConstValue::Object(_) => "an object",
        }
    }
}
