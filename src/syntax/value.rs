//! Literals and variables.

use async_graphql::Name;
use async_graphql::indexmap::IndexMap;
use async_graphql_value::{Number, Value};

use super::lexer::Kind;
use super::parser::{Bracket, Parser};
use super::{SyntaxError, string};

const ITEM: Bracket = Bracket { open: b'[', close: b']', element: "a value" };
const MEMBER: Bracket = Bracket { open: b'{', close: b'}', element: "a member such as `name: value`" };

impl Parser<'_> {
    /// A value; a constant one has no variables.
    pub(super) fn value(&mut self, constant: bool) -> Result<Value, SyntaxError> {
        let text = self.text_of(self.token);
        let value = match self.token.kind {
            Kind::Punctuator(b'[') => return self.list(&ITEM, true, |parser| parser.value(constant)).map(Value::List),
            Kind::Punctuator(b'{') => return self.object(constant),
            Kind::Punctuator(b'$') if constant => {
                let not_a_value = self.expected("a value");
                let dollar = self.advance()?;
                let name = self.name("").map_err(|_| not_a_value)?;
                let message = format!("`${}` is a variable, and only constants may stand here", name.node);
                return Err(SyntaxError::new(dollar.pos, dollar.start..dollar.end, message));
            }
            Kind::Punctuator(b'$') => {
                self.advance()?;
                return Ok(Value::Variable(self.name("the name of a variable")?.node));
            }
            Kind::Name => match text {
                "true" => Value::Boolean(true),
                "false" => Value::Boolean(false),
                "null" => Value::Null,
                name => Value::Enum(Name::new(name)),
            },
            Kind::Int => int(text),
            Kind::Float => float(text),
            Kind::String | Kind::BlockString => Value::String(string::value(text)),
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

/// An integer. `-0` is 0, for integers have no other.
fn int(text: &str) -> Value {
    match (text.parse::<i64>(), text.parse::<u64>()) {
        (Ok(int), _) => Value::Number(int.into()),
        (_, Ok(int)) => Value::Number(int.into()),
        _ => long(text),
    }
}

fn float(text: &str) -> Value {
    match text.parse().ok().and_then(Number::from_f64) {
        Some(number) => Value::Number(number),
        None => long(text),
    }
}

/// A number that the tree's numbers cannot hold is kept as it is written, in the variant that no text has a use for.
fn long(text: &str) -> Value {
    Value::Binary(text.to_owned().into())
}

/// A number literal that is too long for the tree's numbers, as it was written: what a literal of the variant `Binary` is.
pub fn long_number(kept: &[u8]) -> &str {
    std::str::from_utf8(kept).unwrap_or_default()
}

/// The same where it is an integer, which an `ID` may be, however long.
pub fn long_integer(kept: &[u8]) -> Option<&str> {
    let text = long_number(kept);
    text.bytes().all(|byte| byte == b'-' || byte.is_ascii_digit()).then_some(text)
}
