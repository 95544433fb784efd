//! `[auth]` or `[[auth]]` in `freshql.toml`.

use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::reader::Reader;
use crate::config::auth::{Issuer, KEYS, KeySource, LEEWAY_SECONDS, ROLES};

/// All valid issuers.
pub(in crate::config) fn read(
    reader: &mut Reader<'_>,
    value: &Spanned<DeValue<'_>>,
) -> Option<Vec<Issuer>> {
    let tables: Vec<_> = match value.get_ref() {
        DeValue::Table(table) => vec![(value.span(), table)],
        DeValue::Array(items)
            if items.iter().all(|item| matches!(item.get_ref(), DeValue::Table(_))) =>
        {
            let table = |item: &Spanned<DeValue<'_>>| item.span();
            let tables = items.iter().filter_map(|item| match item.get_ref() {
                DeValue::Table(content) => Some((table(item), content)),
                _ => None,
            });
            tables.collect()
        }
        other => {
            reader.wrong_type(value.span(), "a table `[auth]`, or several `[[auth]]`", other);
            return None;
        }
    };
    let mut issuers: Vec<Issuer> = Vec::new();
    for (span, table) in tables {
        let Some(issuer) = issuer(reader, span, table) else { continue };
        if issuers.iter().any(|other| other.issuer == issuer.issuer) {
            let span = table.get("issuer").map(Spanned::span).unwrap_or_default();
            let help = "one issuer may have several audiences: list them in its `audience`";
            reader.mistake(
                span,
                "two `[[auth]]` have this issuer".to_owned(),
                Some(help.to_owned()),
            );
        }
        issuers.push(issuer);
    }
    Some(issuers)
}

/// The contents of one table.
#[derive(Default)]
struct Said {
    issuer: Option<(Range<usize>, String)>,
    audience: Option<Vec<String>>,
    jwks: Option<(Range<usize>, KeySource)>,
    secret_env: Option<(Range<usize>, String)>,
    roles: Option<String>,
    cookie: Option<String>,
    leeway: Option<u64>,
}

fn issuer(reader: &mut Reader<'_>, span: Range<usize>, table: &DeTable<'_>) -> Option<Issuer> {
    let mut said = Said::default();
    // A key with a wrong value is reported once, not also as missing.
    let has = |key: &str| table.contains_key(key);
    for (key, value) in table {
        match key.get_ref().as_ref() {
            "issuer" => {
                said.issuer = text(reader, value).map(|text| (value.span(), text.to_owned()))
            }
            "audience" => said.audience = audience(reader, value),
            "jwks" => said.jwks = jwks(reader, value).map(|source| (key.span(), source)),
            "secret_env" => {
                said.secret_env = variable(reader, value).map(|name| (key.span(), name))
            }
            "roles" => said.roles = pointer(reader, value),
            "cookie" => said.cookie = cookie(reader, value),
            "leeway_seconds" => said.leeway = reader.number(value, &LEEWAY_SECONDS),
            "secret" => {
                let help = "put it into the environment, and name the variable: secret_env = \"FRESHQL_JWT_SECRET\"";
                let message = "the secret must not be kept in a file that is shared".to_owned();
                reader.mistake(key.span(), message, Some(help.to_owned()));
            }
            unknown => reader.unknown_key(key.span(), unknown, &KEYS.map(|(key, ..)| key)),
        }
    }
    for (key, example) in [
        ("issuer", "the `iss` of its tokens: issuer = \"https://login.example.com/\""),
        ("audience", "what its tokens name as `aud`: audience = [\"https://api.example.com\"]"),
    ] {
        if !has(key) {
            reader.mistake(
                span.clone(),
                format!("`[auth]` has no `{key}`"),
                Some(format!("write {example}")),
            );
        }
    }
    if has("jwks") && has("secret_env") {
        let span = table.get_key_value("secret_env").map(|(key, _)| key.span()).unwrap_or_default();
        let message = "an issuer has either `jwks` or `secret_env`, never both".to_owned();
        let help = "whoever knows a secret can sign with it, so keys of one kind must not pass for the other: leave one \
                    out, or write another `[[auth]]`";
        reader.mistake(span, message, Some(help.to_owned()));
        return None;
    }
    let (place, issuer) = said.issuer?;
    let keys = match (said.jwks, said.secret_env) {
        (Some((_, source)), _) => source,
        (None, Some((_, variable))) => KeySource::Secret { variable, secret: None },
        (None, None) if has("jwks") || has("secret_env") => return None,
        (None, None) if is_url(&issuer) => KeySource::Discovery,
        (None, None) => {
            let message =
                "this issuer is not a URL, so its keys cannot be looked up there".to_owned();
            let help = "say where its keys are with `jwks`, or name the variable of a secret with `secret_env`";
            reader.mistake(place, message, Some(help.to_owned()));
            return None;
        }
    };
    Some(Issuer {
        issuer,
        audience: said.audience?,
        keys,
        roles: said.roles.unwrap_or_else(|| ROLES.to_owned()),
        cookie: said.cookie,
        leeway: said.leeway.map_or(Issuer::LEEWAY, Duration::from_secs),
    })
}

/// A non-empty string.
fn text<'v>(reader: &mut Reader<'_>, value: &'v Spanned<DeValue<'_>>) -> Option<&'v str> {
    let text = reader.text(value)?;
    if text.trim().is_empty() {
        reader.mistake(value.span(), "expected a string that is not empty".to_owned(), None);
        return None;
    }
    Some(text)
}

fn audience(reader: &mut Reader<'_>, value: &Spanned<DeValue<'_>>) -> Option<Vec<String>> {
    match value.get_ref() {
        DeValue::Array(items) if items.is_empty() => {
            let help = "name what the tokens for this server have as `aud`, such as [\"https://api.example.com\"]";
            reader.mistake(
                value.span(),
                "the list is empty, so no token would do".to_owned(),
                Some(help.to_owned()),
            );
            None
        }
        DeValue::Array(items) => items
            .iter()
            .map(|item| text(reader, item).map(str::to_owned))
            .collect::<Vec<_>>()
            .into_iter()
            .collect(),
        DeValue::String(_) => Some(vec![text(reader, value)?.to_owned()]),
        other => {
            reader.wrong_type(value.span(), "a list of strings", other);
            None
        }
    }
}

fn jwks(reader: &mut Reader<'_>, value: &Spanned<DeValue<'_>>) -> Option<KeySource> {
    let text = text(reader, value)?;
    if is_url(text) {
        return Some(KeySource::Url(text.to_owned()));
    }
    // As with `sqlite:`, everything after the scheme is the path.
    let path = text.strip_prefix("file:").map(|rest| rest.strip_prefix("//").unwrap_or(rest));
    match path {
        Some(path) if !path.is_empty() => Some(KeySource::File(PathBuf::from(path))),
        _ => {
            let help =
                "write a URL such as `https://login.example.com/jwks.json`, or `file:jwks.json`";
            reader.mistake(
                value.span(),
                "this names no set of keys".to_owned(),
                Some(help.to_owned()),
            );
            None
        }
    }
}

fn is_url(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'))
        && text.parse::<http::Uri>().is_ok()
}

/// The name of an environment variable. Somebody may have written the secret itself here, so the
/// message does not repeat it.
fn variable(reader: &mut Reader<'_>, value: &Spanned<DeValue<'_>>) -> Option<String> {
    let name = text(reader, value)?;
    let is_name = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && !name.as_bytes()[0].is_ascii_digit();
    if !is_name {
        let message = "this is not the name of a variable of the environment".to_owned();
        let help = "the secret itself stays out of this file: secret_env = \"FRESHQL_JWT_SECRET\"";
        reader.mistake(value.span(), message, Some(help.to_owned()));
        return None;
    }
    Some(name.to_owned())
}

/// A JSON pointer (RFC 6901).
fn pointer(reader: &mut Reader<'_>, value: &Spanned<DeValue<'_>>) -> Option<String> {
    let text = text(reader, value)?;
    let is_escaped = text.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
    if !text.starts_with('/') || !is_escaped {
        let help = "write each step behind a `/`, such as `/realm_access/roles`; `~1` stands for a `/` in a name";
        reader.mistake(
            value.span(),
            "this is not a JSON pointer".to_owned(),
            Some(help.to_owned()),
        );
        return None;
    }
    Some(text.to_owned())
}

/// The prefix makes browsers accept the cookie only from this very host, over TLS (RFC 6265bis
/// §4.1.3.2). Without it, any other host of the domain could plant one.
fn cookie(reader: &mut Reader<'_>, value: &Spanned<DeValue<'_>>) -> Option<String> {
    let name = text(reader, value)?;
    let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    let rest = name.strip_prefix("__Host-");
    if !rest.is_some_and(|rest| !rest.is_empty() && rest.bytes().all(is_token)) {
        let message = "the name of this cookie does not begin with `__Host-`, or has other characters than cookies may";
        let help = "write for instance `__Host-session`: browsers take such a cookie from this host alone, over TLS";
        reader.mistake(value.span(), message.to_owned(), Some(help.to_owned()));
        return None;
    }
    Some(name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::PartialConfig;
    use super::*;

    fn issuers(text: &str) -> Vec<Issuer> {
        PartialConfig::from_toml("freshql.toml", text)
            .unwrap_or_else(|mistakes| panic!("{mistakes:?}"))
            .auth
            .unwrap()
    }

    /// Each mistake as `line: message; help`.
    fn mistakes(text: &str) -> Vec<String> {
        let line = |d: &crate::model::Diagnostic| d.line_and_column(text).0;
        let mistakes = PartialConfig::from_toml("freshql.toml", text).unwrap_err();
        let told = mistakes.iter().map(|d| {
            format!(
                "{}: {}{}",
                line(d),
                d.message,
                d.help.as_ref().map(|help| format!("; {help}")).unwrap_or_default()
            )
        });
        told.collect()
    }

    #[test]
    fn one_issuer_needs_two_lines() {
        let text = "[auth]\nissuer = \"https://login.example.com/\"\naudience = [\"https://api.example.com\"]\n";
        let expected = Issuer {
            issuer: "https://login.example.com/".to_owned(),
            audience: vec!["https://api.example.com".to_owned()],
            keys: KeySource::Discovery,
            roles: "/roles".to_owned(),
            cookie: None,
            leeway: Duration::from_secs(30),
        };
        assert_eq!(issuers(text), [expected]);
    }

    #[test]
    fn several_issuers_each_have_their_own_keys() {
        let text = r#"
            [[auth]]
            issuer = "https://a.example"
            audience = "api"
            jwks = "https://keys.example/a.json"
            roles = "/realm_access/roles"
            cookie = "__Host-session"
            leeway_seconds = 0
            [[auth]]
            issuer = "ours"
            audience = ["api", "other"]
            secret_env = "FRESHQL_JWT_SECRET"
            [[auth]]
            issuer = "https://c.example"
            audience = ["api"]
            jwks = "file:keys/c.json"
        "#;
        let issuers = issuers(text);
        let keys: Vec<_> = issuers.iter().map(|issuer| issuer.keys.clone()).collect();
        assert_eq!(
            keys,
            [
                KeySource::Url("https://keys.example/a.json".to_owned()),
                KeySource::Secret { variable: "FRESHQL_JWT_SECRET".to_owned(), secret: None },
                KeySource::File("keys/c.json".into()),
            ]
        );
        assert_eq!(
            (issuers[0].roles.as_str(), issuers[0].cookie.as_deref()),
            ("/realm_access/roles", Some("__Host-session"))
        );
        assert_eq!((issuers[0].leeway, issuers[1].audience.len()), (Duration::ZERO, 2));
    }

    #[test]
    fn each_error_has_its_line_and_a_suggestion() {
        let text = r#"
[[auth]]
issuer = "https://a.example"
jwks = "keys.json"
roles = "realm_access.roles"
cookie = "session"
leeway_seconds = 301
secret = "hunter2"
jwsk = "x"
[[auth]]
issuer = "ours"
audience = []
[[auth]]
issuer = "https://b.example"
audience = ["api"]
jwks = "https://b.example/keys"
secret_env = "SECRET"
[[auth]]
issuer = "https://c.example"
audience = "api"
secret_env = "correct horse battery staple"
[[auth]]
issuer = "https://c.example"
audience = "api"
[[auth]]
issuer = "https://c.example"
audience = "api"
"#;
        assert_eq!(
            mistakes(text),
            [
                "2: `[auth]` has no `audience`; write what its tokens name as `aud`: audience = [\"https://api.example.com\"]",
                "4: this names no set of keys; write a URL such as `https://login.example.com/jwks.json`, or `file:jwks.json`",
                "5: this is not a JSON pointer; write each step behind a `/`, such as `/realm_access/roles`; `~1` stands for a `/` in a name",
                "6: the name of this cookie does not begin with `__Host-`, or has other characters than cookies may; \
                 write for instance `__Host-session`: browsers take such a cookie from this host alone, over TLS",
                "7: expected a number from 0 to 300",
                "8: the secret must not be kept in a file that is shared; put it into the environment, and name the variable: \
                 secret_env = \"FRESHQL_JWT_SECRET\"",
                "9: unknown setting `jwsk`; did you mean `jwks`?",
                "11: this issuer is not a URL, so its keys cannot be looked up there; say where its keys are with `jwks`, or \
                 name the variable of a secret with `secret_env`",
                "12: the list is empty, so no token would do; name what the tokens for this server have as `aud`, such as \
                 [\"https://api.example.com\"]",
                "17: an issuer has either `jwks` or `secret_env`, never both; whoever knows a secret can sign with it, so \
                 keys of one kind must not pass for the other: leave one out, or write another `[[auth]]`",
                "21: this is not the name of a variable of the environment; the secret itself stays out of this file: \
                 secret_env = \"FRESHQL_JWT_SECRET\"",
                "26: two `[[auth]]` have this issuer; one issuer may have several audiences: list them in its `audience`",
            ]
        );
        assert_eq!(
            mistakes("auth = true"),
            ["1: expected a table `[auth]`, or several `[[auth]]`, found a boolean"]
        );
    }
}
