//! The configuration: every value, and where it comes from. The command line takes precedence over
//! the environment (`FRESHQL_…`), the environment over `freshql.toml`, and that over the default.
//!
//! Only this module decides that. It reads neither the environment nor files: the front door passes
//! both in, and hands single values down to the code that needs them.

pub mod auth;
mod database;
mod file;
mod number;
mod postgres;
mod retention;
mod settings;
mod source;
mod value;
mod web;

use std::path::{Path, PathBuf};
use std::time::Duration;

pub use auth::{Issuer, KeySource};
pub use database::Database;
pub use number::{Bytes, Within};
pub use postgres::{PostgresHost, PostgresUrl, SslMode};
pub use retention::{IdempotencyRetention, Retention};
pub use settings::{PartialConfig, Place, SETTINGS, Setting, TimeLimit};
pub use value::{ByteSize, Consistency, Ids, InvalidValue, Listen, LogFormat, Mode, Secret};
pub use web::{CorsOrigins, Hosts, Origin};

/// The configuration file in the project directory; it contains a [`PartialConfig`].
pub const FILE_NAME: &str = "freshql.toml";

/// All values, resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The directory of `schema.graphql`, `queries/`, `migrations/` and `freshql.toml`.
    pub dir: PathBuf,
    /// The database to serve.
    pub database: Database,
    /// The address that clients connect to.
    pub listen: Listen,
    /// Which documents may run.
    pub mode: Mode,
    /// Apply pending migrations at start, instead of refusing to start.
    pub migrate: bool,
    /// Grants access to the admin API.
    pub admin_token: Option<Secret>,
    /// The number of reading connections, each with its own thread.
    pub readers: usize,
    /// The maximum size of all stored answers; 0 stores none.
    pub cache_size: ByteSize,
    /// How stale an answer from the cache may be.
    pub consistency: Consistency,
    /// How much of the change log to keep.
    pub change_log: ChangeLogLimits,
    /// How long documents that have left the query files are still served.
    pub document_retention: Retention,
    /// How long a repeated mutation with the same `Idempotency-Key` gets the first answer.
    pub idempotency_retention: IdempotencyRetention,
    /// The limits of a single request.
    pub limits: Limits,
    /// The host names that clients may use.
    pub hosts: Option<Hosts>,
    /// The form of ids in the API.
    pub ids: Ids,
    /// Whether to add `__typename` to answers to registered documents that do not ask for it.
    pub typename: bool,
    /// Whether everybody may see the API's schema.
    pub introspection: bool,
    /// The origins whose pages may read our answers (CORS).
    pub cors_origins: CorsOrigins,
    /// Whether their requests may carry credentials such as cookies, for a proxy in front of the
    /// server.
    pub cors_credentials: bool,
    /// The log filter: a level, or tracing directives (`info,freshql=debug`).
    pub log: String,
    /// The format of the log.
    pub log_format: LogFormat,
    /// The issuers whose tokens identify viewers.
    pub auth: Vec<Issuer>,
}

/// How much of the change log to keep. The newest record always stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChangeLogLimits {
    /// The maximum age of a record.
    pub max_age: Duration,
    /// The maximum number of records.
    pub max_records: u64,
}

impl ChangeLogLimits {
    fn of(settings: &PartialConfig) -> Self {
        Self {
            max_age: settings.change_log_max_seconds().seconds(),
            max_records: settings.change_log_max_records().get(),
        }
    }
}

impl Default for ChangeLogLimits {
    fn default() -> Self {
        Self::of(&PartialConfig::default())
    }
}

/// The limits of a single request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The body of a request, as sent.
    pub max_body_bytes: usize,
    /// Path and query, which include the variables of a GET.
    pub max_url_bytes: usize,
    /// From the head of the request to the head of the answer.
    pub timeout: Duration,
    /// From the first byte of a request's head to the last.
    pub head_timeout: Duration,
    /// For the whole body of a request; the request's timeout applies to it, too.
    pub body_timeout: Duration,
    /// Without a request on a connection. It should be longer than the timeout of proxies in front
    /// of the server, so that the server never closes a connection that they are about to use.
    pub idle_timeout: Duration,
    /// Without the client accepting a byte of the answer.
    pub write_timeout: Duration,
    /// Concurrent connections; fewer if the system allows the process too few file descriptors.
    pub max_connections: usize,
    /// The limits of executing it.
    pub answer: AnswerLimits,
}

/// The limits of executing one operation. Exceeding one stops the execution at once. No reasonable
/// page comes near them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnswerLimits {
    /// Rows that are read for it, counted each time they are read; a list counts as one more.
    pub max_rows: u64,
    /// The size of its body, before any content coding.
    pub max_response_bytes: usize,
    /// Work of the database, in steps of SQLite's virtual machine, which runs several hundred
    /// million per second.
    pub max_steps: u64,
}

impl AnswerLimits {
    fn of(settings: &PartialConfig) -> Self {
        Self {
            max_rows: settings.max_rows().get(),
            max_response_bytes: settings.max_response_bytes().size(),
            max_steps: settings.max_steps().get(),
        }
    }
}

impl Default for AnswerLimits {
    fn default() -> Self {
        Self::of(&PartialConfig::default())
    }
}

impl Limits {
    fn of(settings: &PartialConfig) -> Self {
        Self {
            max_body_bytes: settings.max_body_bytes().size(),
            max_url_bytes: settings.max_url_bytes().size(),
            timeout: settings.timeout_seconds().seconds(),
            head_timeout: settings.head_timeout_seconds().seconds(),
            body_timeout: settings.body_timeout_seconds().seconds(),
            idle_timeout: settings.idle_timeout_seconds().seconds(),
            write_timeout: settings.write_timeout_seconds().seconds(),
            max_connections: settings.max_connections().size(),
            answer: AnswerLimits::of(settings),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::of(&PartialConfig::default())
    }
}

impl Config {
    /// Decides for each value which source applies. `file` is None if the project has no
    /// `freshql.toml`.
    pub fn resolve(overrides: PartialConfig, file: Option<PartialConfig>) -> Self {
        let dir = overrides.dir();
        let settings = overrides.or(file.unwrap_or_default().relative_to(&dir));
        let mode = settings.mode();
        let database =
            settings.database.clone().unwrap_or_else(|| Database::Sqlite(dir.join("freshql.db")));
        // While one connection waits for the network, the server works for another.
        let readers = match (&database, settings.readers) {
            (Database::Postgres(_), None) => (2 * settings.readers().size()).max(4),
            _ => settings.readers().size(),
        };
        Self {
            database,
            listen: settings.listen(),
            mode,
            migrate: settings.migrate(),
            admin_token: settings.admin_token.clone(),
            readers,
            cache_size: settings.cache_size(),
            consistency: settings.consistency(),
            change_log: ChangeLogLimits::of(&settings),
            document_retention: settings.document_retention(),
            idempotency_retention: settings.idempotency_retention(),
            limits: Limits::of(&settings),
            hosts: settings.hosts.clone(),
            ids: settings.ids(),
            typename: settings.typename(),
            introspection: settings.introspection.unwrap_or(mode == Mode::Open),
            cors_origins: settings.cors_origins(),
            cors_credentials: settings.cors_credentials(),
            log: settings.log(),
            log_format: settings.log_format(),
            auth: settings.auth.unwrap_or_default(),
            dir,
        }
    }
}

impl PartialConfig {
    /// Relative paths in the file are relative to the file, so it means the same wherever the
    /// program is started.
    fn relative_to(mut self, dir: &Path) -> Self {
        self.database = self.database.map(|database| database.relative_to(dir));
        let auth = self.auth.map(|issuers| issuers.into_iter());
        self.auth = auth.map(|issuers| issuers.map(|issuer| issuer.relative_to(dir)).collect());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> Option<PartialConfig> {
        Some(PartialConfig::from_toml(FILE_NAME, text).expect("the tests' files are right"))
    }

    #[test]
    fn without_settings_the_defaults_hold() {
        let config = Config::resolve(PartialConfig::default(), None);
        assert_eq!(config, Config::resolve(PartialConfig::default(), file("# nothing\n")));
        assert_eq!(config.dir, Path::new("."));
        assert_eq!(config.database, Database::Sqlite("./freshql.db".into()));
        assert_eq!(config.listen.as_str(), "127.0.0.1:8080");
        assert_eq!(config.mode, Mode::Trusted);
        assert!(!config.migrate);
        assert_eq!(config.admin_token, None);
        assert!(config.readers >= 1);
        assert_eq!(config.cache_size, ByteSize(256 << 20));
        assert_eq!(config.consistency, Consistency::Strict);
        let a_day =
            ChangeLogLimits { max_age: Duration::from_secs(86_400), max_records: 1_000_000 };
        assert_eq!(config.change_log, a_day);
        assert_eq!(config.document_retention, Retention(Duration::from_secs(7 * 86_400)));
        assert_eq!(config.idempotency_retention, IdempotencyRetention(Duration::from_secs(86_400)));
        let limits = Limits {
            max_body_bytes: 1 << 20,
            max_url_bytes: 16 << 10,
            timeout: Duration::from_secs(30),
            head_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(20),
            idle_timeout: Duration::from_secs(75),
            write_timeout: Duration::from_secs(30),
            max_connections: 10_000,
            answer: AnswerLimits {
                max_rows: 50_000,
                max_response_bytes: 16 << 20,
                max_steps: 50_000_000,
            },
        };
        assert_eq!(config.limits, limits);
        assert_eq!(config.hosts, None);
        assert!(!config.introspection);
        assert_eq!(config.cors_origins, CorsOrigins::Listed(vec![]));
        assert!(!config.cors_credentials);
        assert_eq!(config.log, "info");
        assert_eq!(config.log_format, LogFormat::Text);
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "every setting, three times")]
    fn overrides_precede_the_file_and_the_file_precedes_the_defaults() {
        let text = r#"
            database = "sqlite:data/shop.db"
            listen = "0.0.0.0:80"
            mode = "apq"
            migrate = true
            readers = 3
            cache_size = "1 GiB"
            consistency = "bounded 500ms"
            change_log_max_seconds = 3600
            change_log_max_records = 5000
            document_retention = "12h"
            idempotency_retention = "2h"
            hosts = ["shop.example", "*.shop.example"]
            introspection = true
            cors_origins = ["https://shop.example"]
            cors_credentials = true
            log = "warn"
            log_format = "json"
            [limits]
            max_body_bytes = 2_048
            max_url_bytes = 0x1000
            timeout_seconds = 5
            max_rows = 1000
            max_response_bytes = 1_000_000
            max_steps = 2_000_000
            head_timeout_seconds = 6
            body_timeout_seconds = 7
            idle_timeout_seconds = 8
            write_timeout_seconds = 9
            max_connections = 10
        "#;
        let from_file = Config::resolve(
            PartialConfig { dir: Some("shop".into()), ..PartialConfig::default() },
            file(text),
        );
        assert_eq!(from_file.database, Database::Sqlite("shop/data/shop.db".into()));
        assert_eq!(from_file.listen.as_str(), "0.0.0.0:80");
        assert_eq!(from_file.mode, Mode::Apq);
        assert!(from_file.migrate);
        assert_eq!(from_file.readers, 3);
        assert_eq!(from_file.cache_size, ByteSize(1 << 30));
        assert_eq!(from_file.consistency, Consistency::Bounded(Duration::from_millis(500)));
        let an_hour = ChangeLogLimits { max_age: Duration::from_secs(3600), max_records: 5000 };
        assert_eq!(from_file.change_log, an_hour);
        assert_eq!(from_file.document_retention, Retention(Duration::from_secs(43_200)));
        assert_eq!(
            from_file.idempotency_retention,
            IdempotencyRetention(Duration::from_secs(7200))
        );
        let answer =
            AnswerLimits { max_rows: 1000, max_response_bytes: 1_000_000, max_steps: 2_000_000 };
        let limits = Limits {
            max_body_bytes: 2048,
            max_url_bytes: 4096,
            timeout: Duration::from_secs(5),
            head_timeout: Duration::from_secs(6),
            body_timeout: Duration::from_secs(7),
            idle_timeout: Duration::from_secs(8),
            write_timeout: Duration::from_secs(9),
            max_connections: 10,
            answer,
        };
        assert_eq!(from_file.limits, limits);
        assert_eq!(from_file.hosts, Some("shop.example, *.shop.example".parse().unwrap()));
        assert!(from_file.introspection);
        assert!(from_file.cors_credentials);
        assert_eq!(from_file.log_format, LogFormat::Json);
        assert!(from_file.cors_origins.allow("https://shop.example"));
        assert_eq!(from_file.log, "warn");

        let overrides = PartialConfig {
            dir: Some("shop".into()),
            database: Some("sqlite:other.db".parse().unwrap()),
            listen: Some("localhost:0".parse().unwrap()),
            mode: Some(Mode::Open),
            migrate: Some(false),
            admin_token: Some("s3cret".parse().unwrap()),
            readers: "1".parse().ok(),
            cache_size: Some(ByteSize(0)),
            consistency: Some(Consistency::Strict),
            change_log_max_seconds: "60".parse().ok(),
            change_log_max_records: "1000".parse().ok(),
            document_retention: Some(Retention(Duration::ZERO)),
            idempotency_retention: Some("3s".parse().unwrap()),
            max_body_bytes: "4096".parse().ok(),
            max_url_bytes: "512".parse().ok(),
            timeout_seconds: "60".parse().ok(),
            max_rows: "200".parse().ok(),
            max_response_bytes: "8192".parse().ok(),
            max_steps: "3000000".parse().ok(),
            head_timeout_seconds: "61".parse().ok(),
            body_timeout_seconds: "62".parse().ok(),
            idle_timeout_seconds: "63".parse().ok(),
            write_timeout_seconds: "64".parse().ok(),
            max_connections: "65".parse().ok(),
            hosts: Some(Hosts::Any),
            introspection: Some(false),
            cors_origins: Some(CorsOrigins::Any),
            cors_credentials: Some(false),
            log: Some("debug".to_owned()),
            log_format: Some(LogFormat::Text),
            ids: None,
            typename: None,
            auth: None,
        };
        let expected = Config {
            dir: "shop".into(),
            database: Database::Sqlite("other.db".into()),
            listen: "localhost:0".parse().unwrap(),
            mode: Mode::Open,
            migrate: false,
            admin_token: Some("s3cret".parse().unwrap()),
            readers: 1,
            cache_size: ByteSize(0),
            consistency: Consistency::Strict,
            change_log: ChangeLogLimits { max_age: Duration::from_secs(60), max_records: 1000 },
            document_retention: Retention(Duration::ZERO),
            idempotency_retention: IdempotencyRetention(Duration::from_secs(3)),
            limits: Limits {
                max_body_bytes: 4096,
                max_url_bytes: 512,
                timeout: Duration::from_secs(60),
                answer: AnswerLimits {
                    max_rows: 200,
                    max_response_bytes: 8192,
                    max_steps: 3_000_000,
                },
                head_timeout: Duration::from_secs(61),
                body_timeout: Duration::from_secs(62),
                idle_timeout: Duration::from_secs(63),
                write_timeout: Duration::from_secs(64),
                max_connections: 65,
            },
            hosts: Some(Hosts::Any),
            ids: Ids::Local,
            typename: false,
            introspection: false,
            cors_origins: CorsOrigins::Any,
            cors_credentials: false,
            log: "debug".to_owned(),
            log_format: LogFormat::Text,
            auth: Vec::new(),
        };
        assert_eq!(Config::resolve(overrides, file(text)), expected);
    }

    #[test]
    fn the_admin_token_is_never_shown() {
        let overrides = PartialConfig {
            admin_token: Some("s3cret".parse().unwrap()),
            ..PartialConfig::default()
        };
        assert!(!format!("{overrides:?}").contains("s3cret"));
        let config = Config::resolve(overrides, None);
        assert!(!format!("{config:#?}").contains("s3cret"));
        assert_eq!(config.admin_token.unwrap().expose(), "s3cret");
    }
}
