//! Values of the configuration that are more than a number or a name. Each implements `FromStr`, so
//! the command line, the environment and the file accept the same values and report the same
//! mistakes.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

/// Why a text is not a valid value, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidValue {
    /// In lower case, without a full stop.
    pub message: String,
    /// What would be right, in the same style.
    pub help: Option<String>,
}

impl InvalidValue {
    pub(super) fn new(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { message: message.into(), help: Some(help.into()) }
    }
}

impl fmt::Display for InvalidValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        self.help.as_ref().map_or(Ok(()), |help| write!(f, "; {help}"))
    }
}

impl std::error::Error for InvalidValue {}

/// Which documents may run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Registered ones only, by id. For production.
    Trusted,
    /// Also those that clients register, as automatic persisted queries.
    Apq,
    /// Any document, with introspection and the console. For development.
    Open,
}

impl Mode {
    /// Strictest first.
    pub const ALL: [Self; 3] = [Self::Trusted, Self::Apq, Self::Open];

    /// The name in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trusted => "trusted",
            Self::Apq => "apq",
            Self::Open => "open",
        }
    }
}

/// A number of bytes: `268435456`, `256MiB`, `1 GiB`, `64 kB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByteSize(pub u64);

impl FromStr for ByteSize {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let invalid = || {
            let help = "write a number of bytes, or one with a unit: 256MiB, 1GiB, 64kB, or 0 for no cache";
            InvalidValue::new(format!("`{text}` is not a size"), help)
        };
        bytes(text).map(Self).ok_or_else(invalid)
    }
}

/// A number of bytes, with or without a unit.
pub(super) fn bytes(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..digits].parse().ok()?;
    let unit = match text[digits..].trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        _ => return None,
    };
    number.checked_mul(unit)
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// How stale an answer from the cache may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Consistency {
    /// Not at all: it is what an execution after the request's arrival would have returned.
    #[default]
    Strict,
    /// Changes by other programs may become visible this much later. Changes through this node are
    /// visible at once.
    Bounded(Duration),
}

impl FromStr for Consistency {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let invalid = || {
            let help = "write `strict`, or `bounded` with a bound in milliseconds: `bounded 500ms`";
            InvalidValue::new(format!("`{text}` is not a consistency"), help)
        };
        if text == "strict" {
            return Ok(Self::Strict);
        }
        let bound = text
            .strip_prefix("bounded")
            .and_then(|rest| rest.trim().strip_suffix("ms"))
            .ok_or_else(invalid)?;
        match bound.trim().parse() {
            Ok(milliseconds @ 1..=3_600_000) => {
                Ok(Self::Bounded(Duration::from_millis(milliseconds)))
            }
            _ => Err(invalid()),
        }
    }
}

impl FromStr for Mode {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        Self::ALL.into_iter().find(|mode| mode.as_str() == text).ok_or_else(|| {
            InvalidValue::new(
                format!("there is no mode `{text}`"),
                "use `trusted`, `apq` or `open`",
            )
        })
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// `host:port`. The host may be a name; port 0 lets the system choose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen(String);

impl Listen {
    /// The argument for `bind`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<SocketAddr> for Listen {
    fn from(address: SocketAddr) -> Self {
        Self(address.to_string())
    }
}

impl FromStr for Listen {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let invalid = || {
            InvalidValue::new(
                "this is not an address to listen on",
                "write `host:port`, such as `127.0.0.1:8080`",
            )
        };
        if text.parse::<SocketAddr>().is_ok() {
            return Ok(Self(text.to_owned()));
        }
        let (host, port) = text.rsplit_once(':').ok_or_else(invalid)?;
        let is_name = !host.is_empty()
            && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'));
        if !is_name || port.parse::<u16>().is_err() {
            return Err(invalid());
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The format of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// A JSON object per line.
    Json,
}

impl FromStr for LogFormat {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(InvalidValue::new(
                format!("there is no log format `{text}`"),
                "use `text` or `json`",
            )),
        }
    }
}

/// The form of ids in the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Ids {
    /// The rows' own keys: unique within a type.
    #[default]
    Local,
    /// Opaque, and unique across all types, as Relay expects; the API has `node(id:)`.
    Global,
}

impl FromStr for Ids {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        match text {
            "local" => Ok(Self::Local),
            "global" => Ok(Self::Global),
            _ => Err(InvalidValue::new(
                format!("there are no `{text}` ids"),
                "use `local` or `global`",
            )),
        }
    }
}

/// A text that must not get into logs. Compare it in constant time.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The text itself.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// A text in which every character counts, including white space.
    pub(super) fn exactly(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl FromStr for Secret {
    type Err = InvalidValue;

    /// White space around it (such as the line ending of a file) is ignored. An empty secret is
    /// refused, because everybody would know it.
    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let text = text.trim();
        if text.is_empty() {
            return Err(InvalidValue::new(
                "the token is empty",
                "leave it out to close the admin API",
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{CorsOrigins, Database, Hosts};

    #[test]
    fn sqlite_urls_name_files() {
        let table = [
            ("sqlite:freshql.db", "freshql.db"),
            ("sqlite://freshql.db", "freshql.db"),
            ("sqlite:./data/a b.db", "./data/a b.db"),
            ("sqlite:/var/lib/shop.db", "/var/lib/shop.db"),
            ("sqlite:///var/lib/shop.db", "/var/lib/shop.db"),
            ("sqlite:C:\\shop.db", "C:\\shop.db"),
        ];
        for (url, path) in table {
            assert_eq!(url.parse(), Ok(Database::Sqlite(path.into())), "{url}");
        }
        let database: Database = "sqlite:a.db".parse().unwrap();
        assert_eq!(database.relative_to(Path::new("shop")).to_string(), "sqlite:shop/a.db");
        let database: Database = "sqlite:/a.db".parse().unwrap();
        assert_eq!(database.relative_to(Path::new("shop")).to_string(), "sqlite:/a.db");
    }

    #[test]
    fn other_databases_are_refused_with_the_reason() {
        let table = [
            ("sqlite::memory:", "in memory"),
            ("sqlite://:memory:", "in memory"),
            ("sqlite:file::memory:?cache=shared", "in memory"),
            ("sqlite:", "no file"),
            ("sqlite://", "no file"),
            ("sqlite:a.db?mode=ro", "no parameters"),
            ("postgres://u:pw@host:pw/db", "port"),
            ("postgresql:host/db", "lacks `//`"),
            ("mysql://u:pw@host/db", "scheme `mysql:`"),
            ("freshql.db", "by a URL"),
        ];
        for (url, reason) in table {
            let error = url.parse::<Database>().unwrap_err();
            assert!(error.message.contains(reason), "{url}: {error}");
            assert!(error.help.is_some() && !error.to_string().contains("pw"), "{url}: {error}");
        }
    }

    #[test]
    fn addresses_to_listen_on_have_a_host_and_a_port() {
        for text in
            ["127.0.0.1:8080", "0.0.0.0:0", "[::1]:80", "localhost:8080", "node-1.example:80"]
        {
            assert_eq!(text.parse::<Listen>().unwrap().as_str(), text);
        }
        for text in [
            "",
            "8080",
            ":8080",
            "localhost",
            "localhost:",
            "localhost:70000",
            "::1:80:",
            "http://localhost:80",
            "a b:1",
        ] {
            assert!(text.parse::<Listen>().is_err(), "{text}");
        }
    }

    #[test]
    fn origins_are_written_as_browsers_write_them() {
        let origins = "https://shop.example, http://localhost:5173,http://[::1]:3000,";
        let origins: CorsOrigins = origins.parse().unwrap();
        for origin in ["https://shop.example", "http://localhost:5173", "http://[::1]:3000"] {
            assert!(origins.allow(origin), "{origin}");
        }
        for origin in [
            "https://shop.example:8443",
            "http://shop.example",
            "https://shop.example.evil.example",
            "null",
            "",
        ] {
            assert!(!origins.allow(origin), "{origin}");
        }
        assert_eq!("*".parse(), Ok(CorsOrigins::Any));
        assert_eq!("".parse(), Ok(CorsOrigins::default()));
        let table = [
            ("*,https://shop.example", "only origin"),
            ("shop.example", "start with"),
            ("ftp://shop.example", "start with"),
            ("null", "start with"),
            ("https://shop.example/", "not have a path"),
            ("https://shop.example:8443/x", "not have a path"),
            ("https://", "its host"),
            ("https://*.shop.example", "its host"),
            ("https://Shop.example", "lower case"),
            ("https://shop.example:443", "default port"),
            ("https://shop.example:x", "must be a number"),
        ];
        for (text, reason) in table {
            let error = text.parse::<CorsOrigins>().unwrap_err();
            assert!(error.message.contains(reason), "{text}: {error}");
        }
    }

    #[test]
    fn hosts_are_names_without_scheme_and_port() {
        let hosts: Hosts = "Shop.example, *.shop.example,10.0.0.1, ::1".parse().unwrap();
        for host in ["shop.example", "www.shop.example", "a.b.shop.example", "10.0.0.1", "[::1]"] {
            assert!(hosts.allow(host), "{host}");
        }
        for host in [
            "evil.example",
            "evilshop.example",
            ".shop.example",
            "shop.example.evil",
            "10.0.0.2",
            "",
        ] {
            assert!(!hosts.allow(host), "{host}");
        }
        assert_eq!("*".parse(), Ok(Hosts::Any));
        for text in ["http://shop.example", "shop.example:80", "a b", "*", "*.", "[shop]", "a/b"] {
            assert!(format!("x.example,{text}").parse::<Hosts>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_secret_is_not_empty_and_not_shown() {
        assert_eq!(" s3cret\n".parse::<Secret>().unwrap().expose(), "s3cret");
        assert!(" \n".parse::<Secret>().is_err());
        assert_eq!(format!("{:?}", "s3cret".parse::<Secret>()), "Ok(Secret(…))");
    }

    #[test]
    fn there_are_three_modes() {
        for mode in Mode::ALL {
            assert_eq!(mode.to_string().parse(), Ok(mode));
        }
        assert_eq!(
            "prod".parse::<Mode>().unwrap_err().to_string(),
            "there is no mode `prod`; use `trusted`, `apq` or `open`"
        );
    }
}
