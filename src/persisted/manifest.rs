//! Manifests of persisted documents, as client tools read and write them: Apollo's list of
//! operations, and the maps from names to texts of Relay and of GraphQL code generator.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// The `format` of Apollo's manifests.
const APOLLO: &str = "apollo-persisted-query-manifest";

/// A document of a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The client's name for it.
    pub alias: String,
    /// Its text.
    pub text: Arc<str>,
}

/// The tool that a manifest is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `@apollo/persisted-query-lists`
    Apollo,
    /// relay-compiler's `persistConfig.file`
    Relay,
    /// The client preset's `persisted-documents.json`
    Codegen,
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "apollo" => Ok(Self::Apollo),
            "relay" => Ok(Self::Relay),
            "codegen" => Ok(Self::Codegen),
            _ => Err(format!("expected apollo, relay or codegen, found `{text}`")),
        }
    }
}

/// An operation in Apollo's manifest.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Operation {
    /// The id that the client sends.
    pub id: String,
    /// The operation's name.
    pub name: String,
    /// `query` or `mutation`
    #[serde(rename = "type")]
    pub kind: String,
    /// The document.
    pub body: String,
}

/// Parses a manifest of any of these tools.
///
/// # Errors
/// It is not a manifest; the message says why.
pub fn parse(json: &str) -> Result<Vec<Entry>, String> {
    let Members(members) = serde_json::from_str(json).map_err(|error| error.to_string())?;
    if let Some((_, format)) = members.iter().find(|(name, _)| name == "format") {
        return apollo(format, &members);
    }
    let texts = members.into_iter().map(|(alias, text)| match text {
        serde_json::Value::String(text) => Ok(Entry { alias, text: text.into() }),
        _ => Err(format!("`{alias}` has no text; a manifest is {{\"id\": \"document\"}}, or Apollo's with `format`")),
    });
    checked(texts.collect::<Result<_, _>>()?)
}

fn apollo(
    format: &serde_json::Value,
    members: &[(String, serde_json::Value)],
) -> Result<Vec<Entry>, String> {
    let member =
        |name: &str| members.iter().find(|(known, _)| known == name).map(|(_, value)| value);
    if format != APOLLO {
        return Err(format!("the manifest's format is {format}, and not \"{APOLLO}\""));
    }
    if member("version").and_then(serde_json::Value::as_u64) != Some(1) {
        return Err("only version 1 of Apollo's manifests is known".to_owned());
    }
    let operations = member("operations").ok_or("the manifest has no `operations`")?;
    let operations = Vec::<Operation>::deserialize(operations)
        .map_err(|error| format!("`operations`: {error}"))?;
    checked(
        operations
            .into_iter()
            .map(|operation| Entry { alias: operation.id, text: operation.body.into() })
            .collect(),
    )
}

/// Checks that no name stands for two documents.
fn checked(entries: Vec<Entry>) -> Result<Vec<Entry>, String> {
    let mut known: BTreeMap<&str, &str> = BTreeMap::new();
    for Entry { alias, text } in &entries {
        if alias.is_empty() || alias.contains('/') {
            return Err(format!(
                "`{alias}` cannot be the name of a document, because it cannot be part of a URL"
            ));
        }
        if known.insert(alias, text).is_some_and(|other| other != &**text) {
            return Err(format!("`{alias}` stands for two documents"));
        }
    }
    Ok(entries)
}

/// The members of an object in order; a repeated name is an error.
struct Members(Vec<(String, serde_json::Value)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a manifest, which is an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members: Vec<(String, serde_json::Value)> = Vec::new();
                let mut known = std::collections::HashSet::new();
                while let Some((name, value)) = map.next_entry::<String, _>()? {
                    if !known.insert(name.clone()) {
                        return Err(A::Error::custom(format!("`{name}` is duplicated")));
                    }
                    members.push((name, value));
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Object)
    }
}

/// Apollo's manifest of these operations.
pub fn apollo_manifest(operations: &[Operation]) -> String {
    #[derive(Serialize)]
    struct Manifest<'a> {
        format: &'static str,
        version: u32,
        operations: &'a [Operation],
    }
    pretty(&Manifest { format: APOLLO, version: 1, operations })
}

/// The manifest of Relay and the code generator: texts by name.
pub fn map(texts: &BTreeMap<String, Arc<str>>) -> String {
    pretty(&texts.iter().map(|(name, text)| (name, &**text)).collect::<BTreeMap<_, _>>())
}

fn pretty(value: &impl Serialize) -> String {
    serde_json::to_string_pretty(value).expect("strings and numbers always serialise") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(alias: &str, text: &str) -> Entry {
        Entry { alias: alias.to_owned(), text: text.into() }
    }

    #[test]
    fn manifests_of_all_tools_are_read() {
        let apollo = r#"{"format":"apollo-persisted-query-manifest","version":1,
            "operations":[{"id":"a1","name":"A","type":"query","body":"query A { a }"}]}"#;
        assert_eq!(parse(apollo).unwrap(), [entry("a1", "query A { a }")]);
        let relay =
            r#"{"d41d8cd98f00b204e9800998ecf8427e":"query B { b }","sha256:00":"query A { a }"}"#;
        let expected = [
            entry("d41d8cd98f00b204e9800998ecf8427e", "query B { b }"),
            entry("sha256:00", "query A { a }"),
        ];
        assert_eq!(parse(relay).unwrap(), expected);
        assert_eq!(parse("{}").unwrap(), []);
    }

    #[test]
    fn malformed_manifests_are_refused() {
        for (json, why) in [
            ("[]", "a manifest, which is an object"),
            (r#"{"a":1}"#, "`a` has no text"),
            (r#"{"a":"{a}","a":"{b}"}"#, "`a` is duplicated"),
            (r#"{"a/b":"{a}"}"#, "cannot be part of a URL"),
            (r#"{"format":"x"}"#, "the manifest's format is \"x\""),
            (r#"{"format":"apollo-persisted-query-manifest","version":2}"#, "only version 1"),
            (
                r#"{"format":"apollo-persisted-query-manifest","version":1,"operations":[{}]}"#,
                "missing field `id`",
            ),
        ] {
            let error = parse(json).unwrap_err();
            assert!(error.contains(why), "{json}: {error}");
        }
    }

    #[test]
    fn written_manifests_are_read_back() {
        let operation = |name: &str| Operation {
            id: format!("{name}1"),
            name: name.to_owned(),
            kind: "query".to_owned(),
            body: format!("query {name} {{ a }}"),
        };
        let written = apollo_manifest(&[operation("A")]);
        assert_eq!(parse(&written).unwrap(), [entry("A1", "query A { a }")]);
        let texts = BTreeMap::from([("x".to_owned(), Arc::from("{ a }"))]);
        assert_eq!(parse(&map(&texts)).unwrap(), [entry("x", "{ a }")]);
    }
}
