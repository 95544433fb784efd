//! Literals and variables.

use async_graphql::Name;
use async_graphql::indexmap::IndexMap;
use async_graphql_value::{ConstValue, Number, Value};

use super::lexer::TokenKind;
use super::parser::{Bracket, Parser};
use super::string;
use super::tree::SyntaxError;

const ITEM: Bracket = Bracket { open: b'[', close: b']', element: "a value" };
const MEMBER: Bracket =
    Bracket { open: b'{', close: b'}', element: "a member such as `name: value`" };

impl Parser<'_> {
    /// A value; a constant one contains no variables.
    pub(super) fn value(&mut self, constant: bool) -> Result<Value, SyntaxError> {
        let text = self.text_of(self.token);
        let value = match self.token.kind {
            TokenKind::Punctuator(b'[') => {
                return self.list(&ITEM, true, |parser| parser.value(constant)).map(Value::List);
            }
            TokenKind::Punctuator(b'{') => return self.object(constant),
            TokenKind::Punctuator(b'$') if constant => {
                let not_a_value = self.expected("a value");
                let dollar = self.advance()?;
                let name = self.name("").map_err(|_| not_a_value)?;
                let message =
                    format!("`${}` is a variable, and only constants are allowed here", name.node);
                return Err(SyntaxError::new(dollar.pos, dollar.start..dollar.end, message));
            }
            TokenKind::Punctuator(b'$') => {
                self.advance()?;
                return Ok(Value::Variable(self.name("the name of a variable")?.node));
            }
            TokenKind::Name => match text {
                "true" => Value::Boolean(true),
                "false" => Value::Boolean(false),
                "null" => Value::Null,
                name => Value::Enum(Name::new(name)),
            },
            TokenKind::Int => int(text),
            TokenKind::Float => float(text),
            TokenKind::String | TokenKind::BlockString => Value::String(string::value(text)),
            _ => return Err(self.expected("a value")),
        };
        self.advance()?;
        Ok(value)
    }

    fn object(&mut self, constant: bool) -> Result<Value, SyntaxError> {
        let mut members = IndexMap::new();
        self.list(&MEMBER, true, |parser| {
            let name = parser.name("a member such as `name: value`")?;
            parser.expect(b':', "`:` and the member's value")?;
            let value = parser.value(constant)?;
            if members.contains_key(&name.node) {
                parser.repeated_members.push(name);
            } else {
                members.insert(name.node, value);
            }
            Ok(())
        })?;
        Ok(Value::Object(members))
    }
}

/// An integer. `-0` is 0, because integers have only one zero.
fn int(text: &str) -> Value {
    match (text.parse::<i64>(), text.parse::<u64>()) {
        (Ok(int), _) => Value::Number(int.into()),
        (_, Ok(int)) => Value::Number(int.into()),
        _ => long(text),
    }
}

fn float(text: &str) -> Value {
    exact_float(text).map_or_else(|| long(text), Value::Number)
}

/// The float with exactly this decimal value; None if a float would round it.
pub fn exact_float(text: &str) -> Option<Number> {
    let float: f64 = text.parse().ok()?;
    let is_exact = digits(text)? == digits(&format!("{float:e}"))?;
    Number::from_f64(float).filter(|_| is_exact)
}

/// The digits of a number without zeros at either end, and the power of ten that follows them.
fn digits(text: &str) -> Option<(String, i64)> {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) =
        mantissa.trim_start_matches('-').split_once('.').unwrap_or((mantissa, ""));
    let all = format!("{}{fraction}", whole.trim_start_matches('-'));
    let digits = all.trim_end_matches('0');
    let exponent: i64 = exponent.parse().ok()?;
    let behind = (all.len() - digits.len()) as i64 - fraction.len() as i64;
    match digits.trim_start_matches('0') {
        "" => Some((String::new(), 0)),
        digits => Some((digits.to_owned(), exponent.checked_add(behind)?)),
    }
}

/// A request's JSON as a value. A number that the tree cannot represent exactly is kept as it was
/// written.
pub fn from_json(json: &serde_json::Value) -> ConstValue {
    match json {
        serde_json::Value::Null => ConstValue::Null,
        serde_json::Value::Bool(boolean) => ConstValue::Boolean(*boolean),
        serde_json::Value::Number(number) => {
            let text = number.to_string();
            match (text.parse::<i64>(), text.parse::<u64>()) {
                (Ok(int), _) if text != "-0" => ConstValue::Number(int.into()),
                (_, Ok(int)) => ConstValue::Number(int.into()),
                _ => {
                    let is_float = text == "-0" || text.contains(['.', 'e', 'E']);
                    let float = exact_float(&text).filter(|_| is_float);
                    float.map_or_else(|| ConstValue::Binary(text.into()), ConstValue::Number)
                }
            }
        }
        serde_json::Value::String(text) => ConstValue::String(text.clone()),
        serde_json::Value::Array(items) => ConstValue::List(items.iter().map(from_json).collect()),
        serde_json::Value::Object(members) => ConstValue::Object(
            members.iter().map(|(name, value)| (Name::new(name), from_json(value))).collect(),
        ),
    }
}

/// A number that the tree cannot represent is kept as it is written, in the variant that no text
/// produces otherwise.
fn long(text: &str) -> Value {
    Value::Binary(text.to_owned().into())
}

/// A number literal that the tree cannot represent, as it was written: the meaning of the variant
/// `Binary`.
pub fn long_number(kept: &[u8]) -> &str {
    std::str::from_utf8(kept).unwrap_or_default()
}

/// The same if it is an integer, which an `ID` may be, however long.
pub fn long_integer(kept: &[u8]) -> Option<&str> {
    let text = long_number(kept);
    text.bytes().all(|byte| byte == b'-' || byte.is_ascii_digit()).then_some(text)
}
