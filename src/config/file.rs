//! Parses `freshql.toml`. All mistakes are found in one run, each with its position, so this walks
//! the parsed tables itself: serde would stop at the first.

pub(super) mod auth;
pub(super) mod reader;

use std::ops::Range;

use toml::de::{DeTable, DeValue};

use self::reader::Reader;
use super::settings::{PartialConfig, Place, SETTINGS, Setting};
use crate::model::Diagnostic;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Section {
    Top,
    /// `[limits]`
    Limits,
}

impl Section {
    /// None if the setting cannot be given in the file.
    fn of(setting: &Setting) -> Option<Self> {
        match setting.place {
            Place::Directory | Place::Environment => None,
            Place::Project | Place::Serve | Place::File => Some(Self::Top),
            Place::Limits => Some(Self::Limits),
        }
    }

    fn keys(self) -> Vec<&'static str> {
        let settings = SETTINGS.iter().filter(|setting| Self::of(setting) == Some(self));
        let tables = (self == Self::Top).then_some("limits");
        settings.map(|setting| setting.name).chain(tables).collect()
    }
}

impl PartialConfig {
    /// Parses the text of a file; `name` is the user's name for it.
    ///
    /// # Errors
    /// All mistakes, in document order.
    pub fn from_toml(name: &str, text: &str) -> Result<Self, Vec<Diagnostic>> {
        let mut reader = Reader { name, mistakes: Vec::new() };
        let mut config = Self::default();
        let (table, errors) = DeTable::parse_recoverable(text);
        for error in errors {
            reader.mistake(error.span().unwrap_or_default(), error.message().to_owned(), None);
        }
        // Where the parser recovered from an error, values are missing, which would be reported
        // again as wrong values.
        if reader.mistakes.is_empty() {
            config.read(&mut reader, Section::Top, table.get_ref());
        }
        reader.mistakes.sort_by_key(|mistake| mistake.span.start);
        if reader.mistakes.is_empty() { Ok(config) } else { Err(reader.mistakes) }
    }

    fn read(&mut self, reader: &mut Reader<'_>, section: Section, table: &DeTable<'_>) {
        for (key, value) in table {
            match (key.get_ref().as_ref(), Setting::named(key.get_ref())) {
                (_, Some(setting)) if Section::of(setting) == Some(section) => {
                    (setting.read)(self, reader, value);
                }
                (_, Some(setting)) => misplaced(reader, key.span(), setting),
                ("limits", None) if section == Section::Top => match value.get_ref() {
                    DeValue::Table(limits) => self.read(reader, Section::Limits, limits),
                    other => reader.wrong_type(value.span(), "a table `[limits]`", other),
                },
                (unknown, None) => reader.unknown_key(key.span(), unknown, &section.keys()),
            }
        }
    }
}

/// Reports a setting in the wrong section, or one that cannot be given in the file.
fn misplaced(reader: &mut Reader<'_>, span: Range<usize>, setting: &Setting) {
    let name = setting.name;
    let (message, help) = match setting.place {
        Place::Environment => (
            format!("the {} must not be kept in a file that is shared", name.replace('_', " ")),
            format!("set it in the environment, as {}", setting.variable().unwrap_or_default()),
        ),
        Place::Directory => (
            "the directory is where this file is found, so this file cannot name it".to_owned(),
            "pass `--dir` or set FRESHQL_DIR instead".to_owned(),
        ),
        Place::Limits => (
            format!("`{name}` is one of the limits"),
            format!("write it below `[limits]`, or as `limits.{name}`"),
        ),
        Place::Project | Place::Serve | Place::File => {
            (format!("`{name}` is not a limit"), "move it above the first `[table]`".to_owned())
        }
    };
    reader.mistake(span, message, Some(help));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::CorsOrigins;
    use crate::model::Severity;

    /// Each mistake as `excerpt: message; help`.
    fn mistakes(text: &str) -> Vec<String> {
        let diagnostics = PartialConfig::from_toml("shop/freshql.toml", text).unwrap_err();
        diagnostics
            .into_iter()
            .map(|d| {
                assert_eq!((d.file.as_str(), d.severity), ("shop/freshql.toml", Severity::Error));
                let help = d.help.map(|help| format!("; {help}")).unwrap_or_default();
                format!("{}: {}{help}", &text[d.span], d.message)
            })
            .collect()
    }

    #[test]
    fn all_errors_are_reported_at_once_and_in_order() {
        let text = r#"
mdoe = "open"
migrate = "yes"
listen = 8080
mode = "prod"
cors_origins = ["https://a.example", "b.example"]
max_body_bytes = 1
[limits]
timeout_seconds = 0
max_url_bytes = 99999999999999999999
max_body_bytes = 1.5
max_url_length = 5
readers = 2
[zones]
"#;
        assert_eq!(
            mistakes(text),
            [
                "mdoe: unknown setting `mdoe`; did you mean `mode`?",
                "\"yes\": expected `true` or `false`, found a string",
                "8080: expected a quoted string, found an integer",
                "\"prod\": there is no mode `prod`; use `trusted`, `apq` or `open`",
                "\"b.example\": `b.example` is not an origin: it must start with `https://` or `http://`; \
                 write it as browsers do, such as `https://shop.example`",
                "max_body_bytes: `max_body_bytes` is one of the limits; \
                 write it below `[limits]`, or as `limits.max_body_bytes`",
                "0: expected a number from 1 to 3600",
                "99999999999999999999: expected a number from 256 to 65534",
                "1.5: expected an integer, found a number",
                "max_url_length: unknown setting `max_url_length`; did you mean `max_url_bytes`?",
                "readers: `readers` is not a limit; move it above the first `[table]`",
                "zones: unknown setting `zones`; \
                 the settings are database, log, log_format, listen, mode, migrate, readers, cache_size, consistency, change_log_max_seconds, change_log_max_records, document_retention, idempotency_retention, hosts, ids, typename, introspection, cors_origins, cors_credentials, auth, limits",
            ]
        );
    }

    #[test]
    fn misplaced_keys_are_refused_with_their_right_location() {
        assert_eq!(
            mistakes("admin_token = \"x\"\ndir = \".\"\nlimits = 3"),
            [
                "admin_token: the admin token must not be kept in a file that is shared; \
                 set it in the environment, as FRESHQL_ADMIN_TOKEN",
                "dir: the directory is where this file is found, so this file cannot name it; \
                 pass `--dir` or set FRESHQL_DIR instead",
                "3: expected a table `[limits]`, found an integer",
            ]
        );
    }

    #[test]
    fn syntax_errors_have_a_location() {
        let found = mistakes("mode = \"open\nmigrate = tru\nmode = \"apq\"\n");
        assert!(found.len() >= 2, "{found:?}");
        assert!(found.iter().all(|mistake| !mistake.contains("unknown setting")), "{found:?}");
    }

    #[test]
    fn origins_are_one_or_a_list_or_a_star() {
        let origins = |text: &str| {
            PartialConfig::from_toml("freshql.toml", text)
                .map(|config| config.cors_origins)
                .ok()
                .flatten()
        };
        assert_eq!(origins("cors_origins = \"*\""), Some(CorsOrigins::Any));
        assert_eq!(origins("cors_origins = [\"*\"]"), Some(CorsOrigins::Any));
        assert_eq!(origins("cors_origins = []"), Some(CorsOrigins::default()));
        assert!(
            origins("cors_origins = \"http://localhost:1\"").unwrap().allow("http://localhost:1")
        );
        assert!(origins("cors_origins = [\"*\", \"http://localhost:1\"]").is_none());
        assert_eq!(
            mistakes("cors_origins = [\"http://localhost:1\", 3]"),
            ["3: expected a quoted string, found an integer"]
        );
    }
}
