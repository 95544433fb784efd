//! Parses JSON from clients without losing anything: numbers keep their digits, and an object with
//! a duplicate key is refused, because nobody knows which value was meant.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// The key under which serde_json passes on a number that fits no integer type. An object from a
/// client may contain it, too.
const NUMBER: &str = "$serde_json::private::Number";

/// For `#[serde(deserialize_with)]`: an object, or null.
///
/// # Errors
/// It is something else, or has a duplicate key.
pub(crate) fn object<'de, D: Deserializer<'de>>(
    json: D,
) -> Result<Option<Map<String, Value>>, D::Error> {
    match Exact.deserialize(json)? {
        Value::Null => Ok(None),
        Value::Object(object) => Ok(Some(object)),
        other => {
            let kind = match other {
                Value::Array(_) => "a list",
                Value::String(_) => "a string",
                Value::Bool(_) => "a boolean",
                _ => "a number",
            };
            Err(D::Error::custom(format!("expected an object, found {kind}")))
        }
    }
}

/// Parses any JSON. serde_json's own conversion to [`Value`] keeps the last of several values with
/// one key, and mistakes objects with its private keys for something else.
struct Exact;

impl<'de> DeserializeSeed<'de> for Exact {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Value, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Exact {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(Exact)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = members.next_key::<String>()? {
            if key == NUMBER {
                return members.next_value_seed(Digits).map(Value::Number);
            }
            let value = members.next_value_seed(Exact)?;
            if object.contains_key(&key) {
                return Err(A::Error::custom(format!("the key {key:?} is duplicated")));
            }
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}

/// The value of [`NUMBER`]. serde_json passes its own as an owned string, a client's as a borrowed
/// one.
struct Digits;

impl<'de> DeserializeSeed<'de> for Digits {
    type Value = Number;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Number, D::Error> {
        json.deserialize_any(self)
    }
}

impl Visitor<'_> for Digits {
    type Value = Number;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no key {NUMBER:?}")
    }

    fn visit_string<E: Error>(self, digits: String) -> Result<Number, E> {
        digits.parse().map_err(E::custom)
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Number, E> {
        Err(E::custom(format!("the key {NUMBER:?} is not supported")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Option<Map<String, Value>>, String> {
        let mut json = serde_json::Deserializer::from_slice(text.as_bytes());
        let object = object(&mut json).map_err(|error| error.to_string())?;
        json.end().map_err(|error| error.to_string())?;
        Ok(object)
    }

    #[test]
    fn numbers_keep_their_digits() {
        for number in [
            "12345678901234567890123",
            "18446744073709551616",
            "-0",
            "-0.0",
            "1.50",
            "0.1000000000000000055",
            "1e-7",
        ] {
            let object = read(&format!("{{\"a\": [{number}]}}")).unwrap().unwrap();
            assert_eq!(object["a"].to_string(), format!("[{number}]"));
        }
    }

    #[test]
    fn objects_are_kept_whole_or_refused() {
        assert_eq!(read("null").unwrap(), None);
        let text = r#"{"b":{"a":null,"c":[true,"x\"",{}]},"$serde_json::private::RawValue":"[1]"}"#;
        assert_eq!(
            Value::Object(read(text).unwrap().unwrap()),
            serde_json::json!({
                "b": {"a": null, "c": [true, "x\"", {}]}, "$serde_json::private::RawValue": "[1]"
            })
        );
        for (text, message) in [
            (r#"{"a":{"b":1,"c":2,"b":1}}"#, r#"the key "b" is duplicated"#),
            (r#"{"a":1,"\u0061":1}"#, r#"the key "a" is duplicated"#),
            (r#"{"a":{"$serde_json::private::Number":"12"}}"#, "is not supported"),
            (r#"{"a":{"\u0024serde_json::private::Number":"1\u0032"}}"#, "is not supported"),
            (r#"{"a":{"$serde_json::private::Number":12}}"#, "invalid type"),
            ("[]", "expected an object, found a list"),
            ("1.5", "expected an object, found a number"),
            (r#"{"a":01}"#, "invalid number"),
        ] {
            let refused = read(text).unwrap_err();
            assert!(refused.contains(message), "{text}: {refused}");
        }
        assert!(
            read(&format!("{{\"a\":{}1{}}}", "[".repeat(200), "]".repeat(200)))
                .unwrap_err()
                .contains("recursion")
        );
    }
}
