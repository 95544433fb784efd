//! `freshql.toml`. All its mistakes are found in one go, each with its place, so this walks the
//! parsed tables itself: serde stops at the first.

mod auth;
mod reader;

use toml::de::{DeTable, DeValue};

use self::reader::Reader;
use super::auth::Issuer;
use super::{
    ByteSize, Consistency, CorsOrigins, Database, Hosts, IdempotencyRetention, Ids, LOG_RECORDS,
    LOG_SECONDS, Listen, LogFormat, MAX_BODY_BYTES, MAX_CONNECTIONS, MAX_RESPONSE_BYTES, MAX_ROWS,
    MAX_STEPS, MAX_URL_BYTES, Mode, READERS, Retention, TIMEOUT_SECONDS,
};
use crate::model::Diagnostic;

/// What `freshql.toml` says. The fields are those of [`super::Config`]; a relative path is as it
/// was written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are those of `Config`")]
pub struct FileConfig {
    pub database: Option<Database>,
    pub listen: Option<Listen>,
    pub mode: Option<Mode>,
    pub migrate: Option<bool>,
    pub readers: Option<u64>,
    pub cache_size: Option<ByteSize>,
    pub consistency: Option<Consistency>,
    pub change_log_max_seconds: Option<u64>,
    pub change_log_max_records: Option<u64>,
    pub document_retention: Option<Retention>,
    pub idempotency_retention: Option<IdempotencyRetention>,
    pub max_body_bytes: Option<u64>,
    pub max_url_bytes: Option<u64>,
    pub timeout_seconds: Option<u64>,
    pub max_rows: Option<u64>,
    pub max_response_bytes: Option<u64>,
    pub max_steps: Option<u64>,
    pub head_timeout_seconds: Option<u64>,
    pub body_timeout_seconds: Option<u64>,
    pub idle_timeout_seconds: Option<u64>,
    pub write_timeout_seconds: Option<u64>,
    pub max_connections: Option<u64>,
    pub hosts: Option<Hosts>,
    pub ids: Option<Ids>,
    pub typename: Option<bool>,
    pub introspection: Option<bool>,
    pub cors_origins: Option<CorsOrigins>,
    pub cors_credentials: Option<bool>,
    pub log: Option<String>,
    pub log_format: Option<LogFormat>,
    pub auth: Option<Vec<Issuer>>,
}

const KEYS: [&str; 21] = [
    "database",
    "listen",
    "mode",
    "migrate",
    "readers",
    "cache_size",
    "consistency",
    "change_log_max_seconds",
    "change_log_max_records",
    "document_retention",
    "idempotency_retention",
    "hosts",
    "ids",
    "typename",
    "introspection",
    "cors_origins",
    "cors_credentials",
    "log",
    "log_format",
    "limits",
    "auth",
];
const LIMITS_KEYS: [&str; 11] = [
    "max_body_bytes",
    "max_url_bytes",
    "timeout_seconds",
    "head_timeout_seconds",
    "body_timeout_seconds",
    "idle_timeout_seconds",
    "write_timeout_seconds",
    "max_connections",
    "max_rows",
    "max_response_bytes",
    "max_steps",
];

impl FileConfig {
    /// Reads the text of a file; `name` is what the user calls the file.
    ///
    /// # Errors
    /// All mistakes, in the order of the text.
    pub fn parse(name: &str, text: &str) -> Result<Self, Vec<Diagnostic>> {
        let mut reader = Reader { name, mistakes: Vec::new() };
        let mut config = Self::default();
        let (table, errors) = DeTable::parse_recoverable(text);
        for error in errors {
            reader.mistake(error.span().unwrap_or_default(), error.message().to_owned(), None);
        }
        // What the parser recovered from leaves holes, which would be reported a second time as
        // wrong values.
        if reader.mistakes.is_empty() {
            config.read(&mut reader, table.get_ref());
        }
        reader.mistakes.sort_by_key(|mistake| mistake.span.start);
        if reader.mistakes.is_empty() { Ok(config) } else { Err(reader.mistakes) }
    }

    fn read(&mut self, reader: &mut Reader<'_>, table: &DeTable<'_>) {
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "database" => self.database = reader.parsed(value),
                "listen" => self.listen = reader.parsed(value),
                "mode" => self.mode = reader.parsed(value),
                "migrate" => self.migrate = reader.boolean(value),
                "readers" => self.readers = reader.number(value, &READERS),
                "cache_size" => self.cache_size = reader.size(value),
                "consistency" => self.consistency = reader.parsed(value),
                "change_log_max_seconds" => {
                    self.change_log_max_seconds = reader.number(value, &LOG_SECONDS)
                }
                "change_log_max_records" => {
                    self.change_log_max_records = reader.number(value, &LOG_RECORDS)
                }
                "document_retention" => self.document_retention = reader.parsed(value),
                "idempotency_retention" => self.idempotency_retention = reader.parsed(value),
                "hosts" => self.hosts = reader.hosts(value),
                "ids" => self.ids = reader.parsed(value),
                "typename" => self.typename = reader.boolean(value),
                "introspection" => self.introspection = reader.boolean(value),
                "cors_origins" => self.cors_origins = reader.origins(value),
                "cors_credentials" => self.cors_credentials = reader.boolean(value),
                "log" => self.log = reader.text(value).map(str::to_owned),
                "log_format" => self.log_format = reader.parsed(value),
                "limits" => match value.get_ref() {
                    DeValue::Table(limits) => self.read_limits(reader, limits),
                    other => reader.wrong_type(value.span(), "a table `[limits]`", other),
                },
                "auth" => self.auth = auth::read(reader, value),
                "admin_token" => {
                    let help = "set it in the environment, as FRESHQL_ADMIN_TOKEN";
                    let message =
                        "the admin token must not be kept in a file that is shared".to_owned();
                    reader.mistake(key.span(), message, Some(help.to_owned()));
                }
                "dir" => {
                    let help = "pass `--dir` or set FRESHQL_DIR instead";
                    let message =
                        "the directory is where this file is found, so this file cannot name it"
                            .to_owned();
                    reader.mistake(key.span(), message, Some(help.to_owned()));
                }
                unknown if LIMITS_KEYS.contains(&unknown) => {
                    let help = format!("write it below `[limits]`, or as `limits.{unknown}`");
                    reader.mistake(
                        key.span(),
                        format!("`{unknown}` is one of the limits"),
                        Some(help),
                    );
                }
                unknown => reader.unknown_key(key.span(), unknown, &KEYS),
            }
        }
    }

    fn read_limits(&mut self, reader: &mut Reader<'_>, table: &DeTable<'_>) {
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "max_body_bytes" => self.max_body_bytes = reader.number(value, &MAX_BODY_BYTES),
                "max_url_bytes" => self.max_url_bytes = reader.number(value, &MAX_URL_BYTES),
                "timeout_seconds" => self.timeout_seconds = reader.number(value, &TIMEOUT_SECONDS),
                "max_rows" => self.max_rows = reader.number(value, &MAX_ROWS),
                "max_response_bytes" => {
                    self.max_response_bytes = reader.number(value, &MAX_RESPONSE_BYTES)
                }
                "max_steps" => self.max_steps = reader.number(value, &MAX_STEPS),
                "head_timeout_seconds" => {
                    self.head_timeout_seconds = reader.number(value, &TIMEOUT_SECONDS)
                }
                "body_timeout_seconds" => {
                    self.body_timeout_seconds = reader.number(value, &TIMEOUT_SECONDS)
                }
                "idle_timeout_seconds" => {
                    self.idle_timeout_seconds = reader.number(value, &TIMEOUT_SECONDS)
                }
                "write_timeout_seconds" => {
                    self.write_timeout_seconds = reader.number(value, &TIMEOUT_SECONDS)
                }
                "max_connections" => self.max_connections = reader.number(value, &MAX_CONNECTIONS),
                unknown if KEYS.contains(&unknown) => {
                    let help = "move it above the first `[table]`";
                    reader.mistake(
                        key.span(),
                        format!("`{unknown}` is not a limit"),
                        Some(help.to_owned()),
                    );
                }
                unknown => reader.unknown_key(key.span(), unknown, &LIMITS_KEYS),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Severity;

    /// Each mistake as `excerpt: message; help`.
    fn mistakes(text: &str) -> Vec<String> {
        let diagnostics = FileConfig::parse("shop/freshql.toml", text).unwrap_err();
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
    fn all_mistakes_are_reported_in_one_go_and_in_order() {
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
                 the settings are database, listen, mode, migrate, readers, cache_size, consistency, change_log_max_seconds, change_log_max_records, document_retention, idempotency_retention, hosts, ids, typename, introspection, cors_origins, cors_credentials, log, log_format, limits, auth",
            ]
        );
    }

    #[test]
    fn what_belongs_elsewhere_is_refused_with_the_place() {
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
    fn syntax_mistakes_have_their_place() {
        let found = mistakes("mode = \"open\nmigrate = tru\nmode = \"apq\"\n");
        assert!(found.len() >= 2, "{found:?}");
        assert!(found.iter().all(|mistake| !mistake.contains("unknown setting")), "{found:?}");
    }

    #[test]
    fn origins_are_one_or_a_list_or_a_star() {
        let origins = |text: &str| {
            FileConfig::parse("freshql.toml", text).map(|config| config.cors_origins).ok().flatten()
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
