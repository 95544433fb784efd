//! Coerces the values of variables by their declared types, however deep (specification §6.1.2),
//! into one canonical form for all values that mean the same: `5.0` becomes `5`, a UUID lower case,
//! a single value a list of one, and in a query a `null` inside an input object is dropped. So
//! equal questions have one canonical URL and one ETag.

use async_graphql::dynamic::TypeRef;
use async_graphql::indexmap::IndexMap;
use async_graphql::{Name, Number};
use async_graphql_value::ConstValue;

use super::definition::{Definitions, InputDef, TypeKind};
use crate::model::diagnostic::suggest;
use crate::model::scalar::{Source, is_uuid};
use crate::model::{EnumId, Model, Scalar, Value};

/// What the variables of one operation are coerced against.
pub(super) struct Types<'a> {
    pub(super) model: &'a Model,
    pub(super) definitions: &'a Definitions,
    /// Whether `null` in an input object is a value, as in a mutation. In a query it is ignored.
    pub(super) null_is_a_value: bool,
}

/// The maximum nesting of lists and input objects. Conditions have a much lower limit.
const MAX_DEPTH: usize = 64;

/// The path within a variable, and what is wrong there: `.where.sku` and `is required`.
pub(super) type Wrong = (String, String);

impl Types<'_> {
    /// The canonical form of a value.
    ///
    /// # Errors
    /// The first part of it that does not fit.
    pub(super) fn coerce(&self, ty: &TypeRef, value: ConstValue) -> Result<ConstValue, Wrong> {
        self.at_depth(0, ty, value)
    }

    fn at_depth(&self, depth: usize, ty: &TypeRef, value: ConstValue) -> Result<ConstValue, Wrong> {
        if depth > MAX_DEPTH {
            return here(format!("does not coerce: it nests deeper than {MAX_DEPTH} levels"));
        }
        match (ty, value) {
            (TypeRef::NonNull(_), ConstValue::Null) => {
                here(format!("of type {ty} may not be null"))
            }
            (TypeRef::NonNull(inner), value) => self.at_depth(depth, inner, value),
            (_, ConstValue::Null) => Ok(ConstValue::Null),
            (TypeRef::List(inner), ConstValue::List(items)) => {
                let items = items.into_iter().enumerate();
                let items = items.map(|(i, item)| {
                    self.at_depth(depth + 1, inner, item)
                        .map_err(|wrong| within(&i.to_string(), wrong))
                });
                items.collect::<Result<_, _>>().map(ConstValue::List)
            }
            (TypeRef::List(inner), single) => {
                Ok(ConstValue::List(vec![self.at_depth(depth, inner, single)?]))
            }
            (TypeRef::Named(name), value) => {
                match self.definitions.get(name).map(|definition| &definition.kind) {
                    Some(TypeKind::Input { fields, one_of }) => {
                        self.object(depth, name, fields, *one_of, value)
                    }
                    _ => self
                        .leaf(name, value)
                        .or_else(|why| here(format!("does not coerce: {why}"))),
                }
            }
        }
    }

    fn object(
        &self,
        depth: usize,
        name: &str,
        fields: &[InputDef],
        one_of: bool,
        value: ConstValue,
    ) -> Result<ConstValue, Wrong> {
        let ConstValue::Object(members) = value else {
            return here(format!("does not coerce: expected an object of type {name}"));
        };
        if one_of
            && (members.len() != 1 || members.values().any(|value| *value == ConstValue::Null))
        {
            return here(format!(
                "does not coerce: exactly one field of {name} must be given, and not be null"
            ));
        }
        let is_missing =
            |field: &&InputDef| field.is_required() && !members.contains_key(field.name.as_str());
        if let Some(field) = fields.iter().find(is_missing) {
            return Err((format!(".{}", field.name), "is required".to_owned()));
        }
        let mut coerced = IndexMap::with_capacity(members.len());
        for (key, value) in members {
            let Some(field) = fields.iter().find(|field| field.name == key.as_str()) else {
                let help = suggest(&key, fields.iter().map(|field| field.name.as_str()));
                let help = help.map(|help| format!("; {help}")).unwrap_or_default();
                return here(format!(
                    "does not coerce: {name} has no field `{}`{help}",
                    shortened(&key)
                ));
            };
            if value == ConstValue::Null
                && field.default.is_some()
                && matches!(field.ty, TypeRef::NonNull(_))
            {
                return Err((
                    format!(".{}", field.name),
                    "may not be null; leave it out to get its default".to_owned(),
                ));
            }
            let value =
                self.at_depth(depth + 1, &field.ty, value).map_err(|wrong| within(&key, wrong))?;
            // Leaving a column alone and setting it to NULL are different; a null condition is no
            // condition.
            if value != ConstValue::Null || self.null_is_a_value {
                coerced.insert(key, value);
            }
        }
        Ok(ConstValue::Object(coerced))
    }

    fn leaf(&self, name: &str, value: ConstValue) -> Result<ConstValue, String> {
        let scalar = match name {
            "Int" => Scalar::Int,
            "Float" => Scalar::Float,
            "String" => Scalar::String,
            "Boolean" => Scalar::Boolean,
            "ID" => Scalar::IdText,
            "BigInt" => Scalar::BigInt,
            "DateTime" => Scalar::DateTime,
            "Date" => Scalar::Date,
            "UUID" => Scalar::Uuid,
            name => match self.model.enums.iter().position(|e| e.name == name) {
                Some(index) => Scalar::Enum(EnumId(index as u16)),
                None => return self.unknown_leaf(name, value),
            },
        };
        let kept = scalar.coerce(self.model, &value, Source::Variable)?;
        Ok(match (scalar, kept) {
            (Scalar::Int, Value::Int(int)) => ConstValue::Number(int.into()),
            (Scalar::BigInt, Value::Int(int)) => ConstValue::String(int.to_string()),
            (Scalar::Float, Value::Real(real)) => {
                Number::from_f64(real).map_or(value, ConstValue::Number)
            }
            (Scalar::IdText, Value::Text(id)) => ConstValue::String(self.id(&id)),
            (Scalar::DateTime | Scalar::Date | Scalar::Uuid, Value::Text(text)) => {
                ConstValue::String(text.to_string())
            }
            _ => value,
        })
    }

    /// Leaves that are coerced where they are used: Decimals, whose digits depend on the column,
    /// and JSON; and the API's own enums.
    fn unknown_leaf(&self, name: &str, value: ConstValue) -> Result<ConstValue, String> {
        match (self.definitions.get(name).map(|definition| &definition.kind), &value) {
            (Some(TypeKind::Enum(values)), ConstValue::String(word)) => {
                check_word(name, word, values.iter().map(|known| known.name.as_str()))?;
            }
            (Some(TypeKind::Enum(values)), ConstValue::Enum(word)) => {
                check_word(name, word, values.iter().map(|known| known.name.as_str()))?;
            }
            (Some(TypeKind::Enum(_)), _) => {
                return Err(format!("expected a value of the enum {name}"));
            }
            _ => {}
        }
        Ok(value)
    }

    /// A UUID has two spellings, and a key that is a string may be either. If no key is a string,
    /// both are the same.
    fn id(&self, id: &str) -> String {
        let lower = id.to_ascii_lowercase();
        let has_text_keys = || {
            self.model.entities.iter().any(|e| e.columns.iter().any(|c| c.scalar == Scalar::IdText))
        };
        if is_uuid(&lower) && lower != id && !has_text_keys() { lower } else { id.to_owned() }
    }
}

fn check_word<'n>(
    name: &str,
    word: &str,
    known: impl Iterator<Item = &'n str> + Clone,
) -> Result<(), String> {
    if known.clone().any(|known| known == word) {
        return Ok(());
    }
    let help = suggest(word, known).map(|help| format!("; {help}")).unwrap_or_default();
    Err(format!("{name} has no value `{}`{help}", shortened(word)))
}

fn here<T>(what: String) -> Result<T, Wrong> {
    Err((String::new(), what))
}

fn within(name: &str, (place, what): Wrong) -> Wrong {
    (format!(".{}{place}", shortened(name)), what)
}

/// Clients choose these names, so they may be long.
fn shortened(name: &str) -> String {
    let mut short: String = name.chars().take(80).collect();
    if short.len() < name.len() {
        short.push('…');
    }
    short
}

/// The type that a document declares, in the form used by the definitions.
pub(super) fn type_ref(ty: &async_graphql::parser::types::Type) -> TypeRef {
    use async_graphql::parser::types::BaseType;
    let base = match &ty.base {
        BaseType::Named(name) => TypeRef::named(Name::as_str(name)),
        BaseType::List(item) => TypeRef::List(Box::new(type_ref(item))),
    };
    if ty.nullable { base } else { TypeRef::NonNull(Box::new(base)) }
}
