//! Every setting, declared once: its name, its type, its default, its meaning, and where it may be
//! given. Options, environment variables, keys of `freshql.toml`, the merge of all three, and the
//! table in README.md all follow from these declarations.

use std::ffi::OsStr;
use std::num::NonZero;
use std::path::PathBuf;

use toml::Spanned;
use toml::de::DeValue;

use super::auth::Issuer;
use super::database::Database;
use super::file::reader::Reader;
use super::number::{Bytes, Within};
use super::retention::{IdempotencyRetention, Retention};
use super::source::FromSource;
use super::value::{ByteSize, Consistency, Ids, InvalidValue, Listen, LogFormat, Mode, Secret};
use super::web::{CorsOrigins, Hosts};

/// Where a setting may be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// As an option of every command, and in the environment. It locates the file, so it cannot be
    /// in the file.
    Directory,
    /// Only in the environment: everybody on the machine can see command lines, and files are
    /// shared.
    Environment,
    /// As an option of every command, in the environment, and in the file.
    Project,
    /// As an option of `serve`, in the environment, and in the file.
    Serve,
    /// Like `Serve`, with its key in `[limits]`.
    Limits,
    /// Only in the file: it belongs to the project and must be the same for everybody who works on
    /// it.
    File,
}

/// One setting, as needed by the command line, the file and the documentation.
#[derive(Debug)]
pub struct Setting {
    /// In `snake_case`.
    pub name: &'static str,
    /// Where it may be given.
    pub place: Place,
    /// The name of its value in help texts.
    pub value_name: &'static str,
    /// The default, for readers.
    pub default: &'static str,
    help: &'static str,
    /// Whether the option without a value means `true`.
    pub is_switch: bool,
    set: fn(&mut PartialConfig, &OsStr) -> Result<(), InvalidValue>,
    pub(super) read: fn(&mut PartialConfig, &mut Reader<'_>, &Spanned<DeValue<'_>>),
}

impl Setting {
    /// The setting of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        SETTINGS.iter().find(|setting| setting.name == name)
    }

    /// What it means.
    pub fn help(&self) -> &'static str {
        self.help.trim_start()
    }

    /// The name of its option, without the leading dashes.
    pub fn option(&self) -> Option<String> {
        let is_option = !matches!(self.place, Place::Environment | Place::File);
        is_option.then(|| self.name.replace('_', "-"))
    }

    /// Its environment variable.
    pub fn variable(&self) -> Option<String> {
        (self.place != Place::File).then(|| format!("FRESHQL_{}", self.name.to_ascii_uppercase()))
    }

    /// Its key in `freshql.toml`, from the top of the file.
    pub fn key(&self) -> Option<String> {
        match self.place {
            Place::Directory | Place::Environment => None,
            Place::Limits => Some(format!("limits.{}", self.name)),
            Place::Project | Place::Serve | Place::File => Some(self.name.to_owned()),
        }
    }
}

/// Declares settings. Each line has: the place, the name, the name of its value in help texts, the
/// type, and the default, which is one of
/// - `parsed "text"`: the value of the text, parsed as if given on the command line;
/// - `computed "in words", value`;
/// - `derived "in words"`: depends on another setting, see `Config::resolve`.
macro_rules! settings {
    ($(
        $(#[doc = $help:literal])+
        $place:ident $name:ident $value_name:literal: $type:ty = $kind:ident $default:literal $(, $value:expr)?;
    )+) => {
        /// The values from one source: the command line with the environment, or the file. None if
        /// the source does not give a value. Relative paths are as written.
        #[derive(Debug, Clone, Default, PartialEq, Eq)]
        pub struct PartialConfig {
            $( $(#[doc = $help])+ pub $name: Option<$type>, )+
        }

        /// All settings, in display order.
        pub const SETTINGS: &[Setting] = &[$(
            Setting {
                name: stringify!($name),
                place: Place::$place,
                value_name: $value_name,
                default: $default,
                help: concat!($($help),+),
                is_switch: <$type as FromSource>::IS_SWITCH,
                set: |config, text| {
                    config.$name = Some(FromSource::from_text(text)?);
                    Ok(())
                },
                read: |config, reader, value| config.$name = FromSource::from_toml(reader, value),
            },
        )+];

        impl PartialConfig {
            /// The values of this source, completed by those of the other.
            #[must_use]
            pub fn or(self, other: Self) -> Self {
                Self { $( $name: self.$name.or(other.$name), )+ }
            }
        }

        impl PartialConfig {
            $( or_default!($name: $type = $kind $default $(, $value)?); )+
        }
    };
}

macro_rules! or_default {
    ($name:ident: $type:ty = parsed $default:literal) => {
        #[doc = concat!("What is said of `", stringify!($name), "`, or its default.")]
        pub fn $name(&self) -> $type {
            self.$name.clone().unwrap_or_else(|| {
                FromSource::from_text(OsStr::new($default)).expect("a test reads all defaults")
            })
        }
    };
    ($name:ident: $type:ty = computed $default:literal, $value:expr) => {
        #[doc = concat!("What is said of `", stringify!($name), "`, or its default.")]
        pub fn $name(&self) -> $type {
            self.$name.clone().unwrap_or_else(|| $value)
        }
    };
    ($name:ident: $type:ty = derived $default:literal) => {};
}

/// Seconds of a time limit.
pub type TimeLimit = Within<1, 3600>;

settings! {
    /// Directory with `schema.graphql`, `queries/`, `migrations/` and `freshql.toml`
    Directory dir "DIR": PathBuf = parsed ".";
    /// URL of the database: `sqlite:` and a file, or `postgres://USER@HOST:PORT/DATABASE`
    Project database "URL": Database = derived "sqlite:DIR/freshql.db";
    /// Log filter: a level, or directives such as `info,freshql::access=debug`, which adds the
    /// access log
    Project log "FILTER": String = parsed "info";
    /// Log format: `text`, or `json` for an object per line
    Project log_format "FORMAT": LogFormat = parsed "text";

    /// Address and port to listen on; port 0 takes a free port and logs it
    Serve listen "HOST:PORT": Listen = parsed "127.0.0.1:8080";
    /// Documents that may run: `trusted` for registered ones only; `apq` also for those that
    /// clients register; `open` for any, with introspection and the console
    Serve mode "MODE": Mode = parsed "trusted";
    /// Apply pending migrations at start
    Serve migrate "BOOL": bool = parsed "false";
    /// The token that grants access to the admin API
    Environment admin_token "TOKEN": Secret = derived "none";
    /// Number of reading connections
    Serve readers "N": Within<1, 1024> = computed "one per core; on PostgreSQL two, and at least 4", cores();
    /// Memory for cached answers, such as `1GiB`; 0 caches none
    Serve cache_size "SIZE": ByteSize = parsed "256 MiB";
    /// Freshness of cached answers: `strict`, or for instance `bounded 500ms`: changes by other
    /// programs may become visible that much later
    Serve consistency "CONSISTENCY": Consistency = parsed "strict";
    /// Seconds for which records of the change log are kept
    Serve change_log_max_seconds "SECONDS": Within<60, { 366 * 86_400 }> = parsed "86400";
    /// Number of records of the change log that are kept
    Serve change_log_max_records "N": Within<1000, 1_000_000_000> = parsed "1000000";
    /// Time for which documents that have left `queries/` are still served, such as `12h`; 0 ends
    /// them at once
    Serve document_retention "TIME": Retention = parsed "7d";
    /// Time for which a repeated mutation with the same `Idempotency-Key` gets the first answer,
    /// such as `12h`
    Serve idempotency_retention "TIME": IdempotencyRetention = parsed "1d";

    /// Maximum size of a request's body
    Limits max_body_bytes "BYTES": Bytes<1024, { 1 << 30 }> = parsed "1 MiB";
    /// Maximum length of a request's path and query
    // The HTTP library supports no more.
    Limits max_url_bytes "BYTES": Bytes<256, 65_534> = parsed "16 KiB";
    /// Maximum time for a request
    Limits timeout_seconds "SECONDS": TimeLimit = parsed "30";
    /// Maximum number of rows that one answer may read; each list counts as one more
    Limits max_rows "N": Within<100, 1_000_000_000> = parsed "50000";
    /// Maximum size of an answer
    Limits max_response_bytes "BYTES": Bytes<4096, { 1 << 30 }> = parsed "16 MiB";
    /// Maximum number of steps of SQLite's virtual machine for one answer
    Limits max_steps "N": Within<100_000, 1_000_000_000_000> = parsed "50000000";
    /// Maximum time to receive the head of a request
    Limits head_timeout_seconds "SECONDS": TimeLimit = parsed "10";
    /// Maximum time to receive the body of a request
    Limits body_timeout_seconds "SECONDS": TimeLimit = parsed "20";
    /// Maximum time that a connection may be idle
    Limits idle_timeout_seconds "SECONDS": TimeLimit = parsed "75";
    /// Maximum time for a client to accept the next bytes of an answer
    Limits write_timeout_seconds "SECONDS": TimeLimit = parsed "30";
    /// Maximum number of concurrent connections; fewer if the system allows too few file descriptors
    Limits max_connections "N": Within<1, 1_000_000> = parsed "10000";

    /// Host names that requests may be addressed to, separated by commas, or `*`; a proxy on the
    /// same machine that passes on `Host` needs its names here
    Serve hosts "HOSTS": Hosts = derived "localhost on a loopback address, else *";
    /// Ids of the API: `local` for the rows' own keys; `global` for opaque ids that are unique across
    /// types, with `node(id:)`, as Relay expects
    File ids "IDS": Ids = parsed "local";
    /// Add `__typename` to answers to registered documents that do not ask for it
    File typename "BOOL": bool = parsed "false";
    /// Show the API's schema to everybody
    Serve introspection "BOOL": bool = derived "true in mode open, else false";
    /// Origins whose pages may use the API (CORS), separated by commas, or `*`; as soon as one is
    /// named, any page may GET public answers from `/q/…`
    Serve cors_origins "ORIGINS": CorsOrigins = computed "none", CorsOrigins::default();
    /// Allow requests of those pages to carry credentials such as cookies
    Serve cors_credentials "BOOL": bool = parsed "false";
    /// Issuers whose tokens identify viewers: one table for each
    File auth "ISSUERS": Vec<Issuer> = derived "none";
}

/// One connection per core can read at the same time.
fn cores<const MIN: u64, const MAX: u64>() -> Within<MIN, MAX> {
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    Within::nearest(cores as u64)
}

impl PartialConfig {
    /// Sets a setting from the command line or the environment.
    ///
    /// # Errors
    /// The text is not a valid value.
    pub fn set(&mut self, setting: &Setting, text: &OsStr) -> Result<(), InvalidValue> {
        (setting.set)(self, text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_declared_once() {
        let mut names: Vec<_> = SETTINGS.iter().map(|setting| setting.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), SETTINGS.len());
    }
}
