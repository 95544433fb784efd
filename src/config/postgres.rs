//! The URL of a PostgreSQL database, in libpq's format:
//! `postgres://user:password@host:port/database?sslmode=…`. Unknown parts are refused: an ignored
//! parameter might be one that should protect the connection.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

use super::value::{InvalidValue, Secret};

/// The address of a server.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PostgresHost {
    /// A name or an address.
    Tcp(String),
    /// The directory of its Unix socket.
    Unix(PathBuf),
}

/// The TLS mode, as libpq defines it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SslMode {
    /// Never.
    Disable,
    /// If the server offers it. The default.
    Prefer,
    /// Always; the server's certificate is not verified.
    Require,
    /// Always, and the server's certificate must be signed by a trusted certificate authority.
    VerifyCa,
    /// Like `VerifyCa`, and the certificate must be valid for this host.
    VerifyFull,
}

impl SslMode {
    const ALL: [(&'static str, Self); 5] = [
        ("disable", Self::Disable),
        ("prefer", Self::Prefer),
        ("require", Self::Require),
        ("verify-ca", Self::VerifyCa),
        ("verify-full", Self::VerifyFull),
    ];

    /// The spelling in URLs.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(_, mode)| *mode == self).map_or("prefer", |(name, _)| name)
    }
}

/// A database on a PostgreSQL server. `Display` omits the password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostgresUrl {
    /// The address of the server.
    pub host: PostgresHost,
    /// Default: 5432
    pub port: u16,
    /// Default: `PGUSER`, otherwise the name of the user who runs the program.
    pub user: Option<String>,
    /// Default: `PGPASSWORD`
    pub password: Option<Secret>,
    /// Default: the user's name.
    pub database: Option<String>,
    /// Default: [`SslMode::Prefer`]
    pub ssl_mode: SslMode,
    /// A PEM file with the certificate authorities to trust instead of the machine's.
    pub ssl_root_cert: Option<PathBuf>,
    /// The name of the connections in `pg_stat_activity`. Default: `freshql`
    pub application_name: Option<String>,
    /// The maximum time to open a connection. Default: 10 s
    pub connect_timeout: Duration,
    /// The maximum time to wait for a connection of the pool. Default: 5 s
    pub pool_timeout: Duration,
    /// The time after which the server cancels a statement. Default: 35 s, slightly more than a
    /// request may take
    pub statement_timeout: Duration,
    /// The number of writing connections. Default: as many as read, and at least 8
    pub writers: Option<usize>,
    /// Whether a pooler in transaction mode, such as PgBouncer, is in between. Default: no
    pub pooled: bool,
    /// The schemas in which names are looked up. Not part of the URL: a server that is starting sets
    /// it to what holds for its role then, so that all its connections agree. Default: what holds
    /// for the role
    pub search_path: Option<String>,
}

const EXAMPLE: &str = "write `postgres://USER@HOST/DATABASE`; the password may stand behind USER as `:PASSWORD`, or in the \
                       environment as PGPASSWORD";

/// Characters that must be escaped in a URL.
const ESCAPED: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'/')
    .add(b':')
    .add(b'?')
    .add(b'@')
    .add(b'&')
    .add(b'=');

impl FromStr for PostgresUrl {
    type Err = InvalidValue;

    fn from_str(url: &str) -> Result<Self, InvalidValue> {
        let rest = url.strip_prefix("postgres://").or_else(|| url.strip_prefix("postgresql://"));
        let rest = rest.ok_or_else(|| {
            InvalidValue::new("the URL of a PostgreSQL database lacks `//`", EXAMPLE)
        })?;
        if rest.contains('#') {
            return Err(InvalidValue::new(
                "the URL has a `#`",
                "write `%23` where it belongs to a password or a name",
            ));
        }
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
        let (login, address) = authority.rsplit_once('@').unwrap_or(("", authority));
        let (user, password) = login.split_once(':').unwrap_or((login, ""));
        let (host, port) = host_and_port(address)?;
        let mut parsed = Self {
            host: host_of(&decoded("host", host)?),
            port,
            user: some(decoded("user", user)?),
            password: secret(&decoded("password", password)?),
            database: some(decoded("database", database)?),
            ssl_mode: SslMode::Prefer,
            ssl_root_cert: None,
            application_name: None,
            connect_timeout: Duration::from_secs(10),
            pool_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(35),
            writers: None,
            pooled: false,
            search_path: None,
        };
        for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            parsed.set(name, decoded(name, value)?)?;
        }
        Ok(parsed)
    }
}

impl PostgresUrl {
    fn set(&mut self, name: &str, value: String) -> Result<(), InvalidValue> {
        match name {
            "host" => self.host = host_of(&value),
            "port" => self.port = port_of(&value)?,
            "user" => self.user = some(value),
            "password" => self.password = secret(&value),
            "dbname" => self.database = some(value),
            "application_name" => self.application_name = some(value),
            "sslrootcert" => self.ssl_root_cert = (value != "system").then(|| value.into()),
            "sslmode" => {
                let known = SslMode::ALL.iter().find(|(name, _)| *name == value);
                self.ssl_mode = known.map(|(_, mode)| *mode).ok_or_else(|| {
                    InvalidValue::new(
                        "the URL's sslmode is unknown",
                        "use `disable`, `prefer`, `require`, `verify-ca` or `verify-full`",
                    )
                })?;
            }
            "connect_timeout" => self.connect_timeout = seconds(name, &value)?,
            "pool_timeout" => self.pool_timeout = seconds(name, &value)?,
            "statement_timeout" => self.statement_timeout = seconds(name, &value)?,
            "writers" => {
                let writers = value.parse().ok().filter(|writers| (1..=1024).contains(writers));
                let wrong = || {
                    InvalidValue::new(
                        "the URL's writers is not a number of connections",
                        "write 1 to 1024",
                    )
                };
                self.writers = Some(writers.ok_or_else(wrong)?);
            }
            "pooler" => match value.as_str() {
                "transaction" => self.pooled = true,
                "none" => self.pooled = false,
                _ => {
                    return Err(InvalidValue::new(
                        "the URL's pooler is unknown",
                        "use `transaction` for PgBouncer in transaction mode, or leave it out",
                    ));
                }
            },
            // The name may be part of a secret that should have been escaped, so it is repeated
            // only if it is a plain word.
            other => {
                let is_word =
                    other.len() <= 32 && other.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
                let what = if is_word {
                    format!("a parameter `{other}`")
                } else {
                    "a parameter".to_owned()
                };
                return Err(InvalidValue::new(
                    format!("the URL has {what}, which is not supported"),
                    "the parameters are sslmode, sslrootcert, application_name, connect_timeout, pool_timeout, \
                     statement_timeout, writers, pooler, host, port, user, password and dbname",
                ));
            }
        }
        Ok(())
    }

    /// The same server, with another database.
    #[must_use]
    pub fn with_database(&self, database: &str) -> Self {
        Self { database: Some(database.to_owned()), ..self.clone() }
    }
}

fn seconds(name: &str, value: &str) -> Result<Duration, InvalidValue> {
    let seconds = value.parse().ok().filter(|seconds| (1..=3600).contains(seconds));
    seconds.map(Duration::from_secs).ok_or_else(|| {
        InvalidValue::new(
            format!("the URL's {name} is not a number of seconds"),
            "write a number from 1 to 3600",
        )
    })
}

fn some(text: String) -> Option<String> {
    if text.is_empty() { None } else { Some(text) }
}

fn secret(text: &str) -> Option<Secret> {
    if text.is_empty() { None } else { Some(Secret::exactly(text)) }
}

fn decoded(what: &str, text: &str) -> Result<String, InvalidValue> {
    let decoded = percent_decode_str(text).decode_utf8();
    let decoded =
        decoded.ok().filter(|text| !text.contains('\0')).map(std::borrow::Cow::into_owned);
    decoded.ok_or_else(|| {
        let what = if matches!(what, "host" | "user" | "password" | "database") {
            what
        } else {
            "value of a parameter"
        };
        InvalidValue::new(format!("the URL's {what} is not UTF-8"), "write its bytes as `%XX`")
    })
}

fn host_and_port(address: &str) -> Result<(&str, u16), InvalidValue> {
    if address.contains(',') {
        return Err(InvalidValue::new(
            "the URL names several hosts",
            "name one: where the primary moves, let a name or a proxy move with it",
        ));
    }
    // IPv6 addresses are in brackets, because they contain colons.
    if let Some(rest) = address.strip_prefix('[') {
        let (host, port) = rest
            .split_once(']')
            .ok_or_else(|| InvalidValue::new("the URL's host lacks its `]`", EXAMPLE))?;
        return Ok((
            host,
            if port.is_empty() { 5432 } else { port_of(port.strip_prefix(':').unwrap_or(port))? },
        ));
    }
    match address.split_once(':') {
        None | Some((_, "")) => Ok((address.trim_end_matches(':'), 5432)),
        Some((host, port)) => Ok((host, port_of(port)?)),
    }
}

fn port_of(text: &str) -> Result<u16, InvalidValue> {
    // It may be the end of a password that contains `@` or `/`, so it is not repeated.
    let help = "write a number from 1 to 65535; `@`, `/` and `:` in a password are written `%40`, `%2F` and `%3A`";
    let port = text.parse().ok().filter(|port| *port != 0);
    port.ok_or_else(|| InvalidValue::new("the URL's port is not a number", help))
}

fn host_of(host: &str) -> PostgresHost {
    match host {
        "" => PostgresHost::Tcp("localhost".to_owned()),
        path if path.starts_with('/') => PostgresHost::Unix(path.into()),
        name => PostgresHost::Tcp(name.to_owned()),
    }
}

impl fmt::Display for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let escaped = |text: &str| utf8_percent_encode(text, ESCAPED).to_string();
        f.write_str("postgres://")?;
        if let Some(user) = &self.user {
            write!(f, "{}@", escaped(user))?;
        }
        match &self.host {
            PostgresHost::Tcp(host) if host.contains(':') => write!(f, "[{host}]")?,
            PostgresHost::Tcp(host) => f.write_str(&escaped(host))?,
            PostgresHost::Unix(path) => f.write_str(&escaped(&path.to_string_lossy()))?,
        }
        if self.port != 5432 {
            write!(f, ":{}", self.port)?;
        }
        if let Some(database) = &self.database {
            write!(f, "/{}", escaped(database))?;
        }
        let tls = (self.ssl_mode != SslMode::Prefer)
            .then(|| format!("sslmode={}", self.ssl_mode.as_str()));
        let pooler = self.pooled.then(|| "pooler=transaction".to_owned());
        let parameters: Vec<String> = tls.into_iter().chain(pooler).collect();
        if parameters.is_empty() { Ok(()) } else { write!(f, "?{}", parameters.join("&")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(url: &str) -> PostgresUrl {
        url.parse().unwrap_or_else(|error| panic!("{url}: {error}"))
    }

    #[test]
    fn a_url_is_read_as_libpq_reads_it() {
        let url = parsed(
            "postgres://ada:p%40ss%3Aw@db.example:6543/shop?sslmode=verify-full&sslrootcert=/ca.pem",
        );
        assert_eq!(url.user.as_deref(), Some("ada"));
        assert_eq!(url.password.as_ref().map(Secret::expose), Some("p@ss:w"));
        assert_eq!((url.host, url.port), (PostgresHost::Tcp("db.example".to_owned()), 6543));
        assert_eq!(url.database.as_deref(), Some("shop"));
        assert_eq!(
            (url.ssl_mode, url.ssl_root_cert),
            (SslMode::VerifyFull, Some("/ca.pem".into()))
        );

        let socket = PostgresHost::Unix("/var/run/postgresql".into());
        assert_eq!(parsed("postgresql://%2Fvar%2Frun%2Fpostgresql/shop").host, socket);
        assert_eq!(parsed("postgresql:///shop?host=/var/run/postgresql&user=ada").host, socket);
        let plain = parsed("postgres://[::1]:5433");
        assert_eq!((plain.host, plain.port), (PostgresHost::Tcp("::1".to_owned()), 5433));
        assert_eq!(parsed("postgres://").host, PostgresHost::Tcp("localhost".to_owned()));
        // A password with an unescaped `@`: the last one counts.
        assert_eq!(
            parsed("postgres://a:b@c@host/d").password.as_ref().map(Secret::expose),
            Some("b@c")
        );
    }

    #[test]
    fn the_password_is_never_shown() {
        let url = parsed("postgres://ada:s3cret@host/shop?sslmode=require");
        assert_eq!(url.to_string(), "postgres://ada@host/shop?sslmode=require");
        assert!(!format!("{url:?}").contains("s3cret"));
        for wrong in [
            "postgres://ada:s3cret@host:port/shop",
            "postgres://ada:x/s3cret@host/shop",
            "postgres://ada:x?s3cret@host/shop",
            "postgres://ada:x#s3cret@host/shop",
            "postgres:ada:s3cret@host",
            "postgres://ada:s3cret%ff@host/shop",
        ] {
            let error = wrong.parse::<PostgresUrl>().unwrap_err();
            assert!(
                error.help.is_some() && !error.to_string().contains("s3cret"),
                "{wrong}: {error}"
            );
        }
    }

    #[test]
    fn unknown_parameters_are_refused() {
        for (url, reason) in [
            ("postgres://host/db?sslmode=sure", "sslmode"),
            ("postgres://host/db?sslcert=a.pem", "`sslcert`"),
            ("postgres://a,b/db", "several hosts"),
            ("postgres://host/db?connect_timeout=0", "connect_timeout"),
        ] {
            assert!(url.parse::<PostgresUrl>().unwrap_err().message.contains(reason), "{url}");
        }
    }
}
