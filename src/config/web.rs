//! Host names and origins: under which names the server may be addressed, and whose pages may use it.

use std::fmt;
use std::str::FromStr;

use super::value::InvalidValue;

/// The values of a list; None for `*` alone, which stands for all.
fn listed<'a, T>(
    texts: impl IntoIterator<Item = &'a str>,
    read: impl Fn(&'a str) -> Result<T, InvalidValue>,
) -> Result<Option<Vec<T>>, InvalidValue> {
    let texts: Vec<&str> = texts.into_iter().collect();
    match texts[..] {
        ["*"] => Ok(None),
        _ => texts.into_iter().map(read).collect::<Result<_, _>>().map(Some),
    }
}

/// The parts of a comma-separated list that are not empty.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|word| !word.is_empty())
}

/// The host names that clients may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hosts {
    /// `*`
    Any,
    /// These names: lower-case names or addresses without a port; `*.shop.example` means every name
    /// below `shop.example`.
    Listed(Vec<String>),
}

impl Hosts {
    /// Whether this name, in lower case and without a port, is allowed.
    pub fn allow(&self, host: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Listed(hosts) => hosts.iter().any(|allowed| match allowed.strip_prefix('*') {
                Some(domain) => host.len() > domain.len() && host.ends_with(domain),
                None => host == allowed,
            }),
        }
    }

    /// A list of names, or `*` alone.
    pub(super) fn collect<'a>(
        texts: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, InvalidValue> {
        let name = |text: &str| {
            let rest = text.strip_prefix("*.").unwrap_or(text);
            let is_address = rest.parse::<std::net::Ipv6Addr>().is_ok();
            let bare =
                rest.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(rest);
            let is_name = !bare.is_empty()
                && bare
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'));
            let is_bracketed =
                bare.len() < rest.len() && bare.parse::<std::net::Ipv6Addr>().is_ok();
            match (is_address, is_bracketed, is_name && bare.len() == rest.len()) {
                (true, ..) => Ok(format!("[{}]", rest.to_ascii_lowercase())),
                (_, true, _) | (.., true) => Ok(text.to_ascii_lowercase()),
                _ => Err(InvalidValue::new(
                    format!("`{text}` is not a host name"),
                    "write names without scheme and port, such as `shop.example` or `*.shop.example`, or `*` alone",
                )),
            }
        };
        Ok(listed(texts, name)?.map_or(Self::Any, Self::Listed))
    }
}

impl FromStr for Hosts {
    type Err = InvalidValue;

    /// Comma-separated.
    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        Self::collect(words(text))
    }
}

/// The origins whose pages may read our answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CorsOrigins {
    /// `*`
    Any,
    /// These origins.
    Listed(Vec<Origin>),
}

impl CorsOrigins {
    /// Whether pages of this origin (the request's `Origin`) may read our answers.
    pub fn allow(&self, origin: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Listed(origins) => origins.iter().any(|allowed| allowed.0 == origin),
        }
    }

    /// A list of origins, or `*` alone.
    pub(super) fn collect<'a>(
        texts: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, InvalidValue> {
        Ok(listed(texts, str::parse)?.map_or(Self::Any, Self::Listed))
    }
}

impl Default for CorsOrigins {
    fn default() -> Self {
        Self::Listed(Vec::new())
    }
}

impl FromStr for CorsOrigins {
    type Err = InvalidValue;

    /// Comma-separated.
    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        Self::collect(words(text))
    }
}

/// `https://shop.example`, as serialised by browsers (RFC 6454 §6.2): scheme, host, and the port
/// unless it is the scheme's default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin(String);

impl Origin {
    /// The origin as browsers send it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Origin {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let invalid = |why: &str| {
            InvalidValue::new(
                format!("`{text}` is not an origin: {why}"),
                "write it as browsers do, such as `https://shop.example`",
            )
        };
        if text == "*" {
            return Err(invalid("`*` must be the only origin"));
        }
        let (scheme, authority) = text
            .split_once("://")
            .ok_or_else(|| invalid("it must start with `https://` or `http://`"))?;
        let own_port = match scheme {
            "https" => "443",
            "http" => "80",
            _ => return Err(invalid("it must start with `https://` or `http://`")),
        };
        let (host, port) = match authority.rsplit_once(':') {
            // The colons of an IPv6 address are inside brackets.
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            _ => (authority, None),
        };
        if host.contains('/') || port.is_some_and(|port| port.contains('/')) {
            return Err(invalid("it must not have a path, not even `/`"));
        }
        if host.is_empty()
            || host.bytes().any(|b| !(b.is_ascii_alphanumeric() || b"-._[]:".contains(&b)))
        {
            return Err(invalid("its host must be an ASCII name or an address"));
        }
        if host.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(invalid("it must be in lower case, as browsers send it"));
        }
        if port == Some(own_port) {
            return Err(invalid("it must omit the scheme's default port, as browsers do"));
        }
        if port.is_some_and(|port| port.parse::<u16>().is_err()) {
            return Err(invalid("its port must be a number up to 65535"));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
