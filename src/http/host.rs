//! Checks whom a request is addressed to and how long its body is. Whatever is ambiguous is refused
//! before anything else happens (RFC 9112 §3.2, §6.3). So is a host name that is not ours:
//! otherwise a page whose name was made to resolve to this machine (DNS rebinding) could read and
//! write what only local programs should.

use std::net::IpAddr;
use std::sync::OnceLock;

use http::header::{CONTENT_LENGTH, HOST, HeaderValue, TRANSFER_ENCODING};
use http::{Request, StatusCode, Version};

use super::problem::Problem;
use crate::config::Hosts;

/// The names by which this server may be addressed.
pub(super) struct Names {
    configured: Option<Hosts>,
    is_loopback: bool,
}

impl Names {
    /// `address` is the address on which the server listens.
    pub(super) fn new(configured: Option<Hosts>, address: IpAddr) -> Self {
        Self { configured, is_loopback: address.is_loopback() }
    }

    /// Why the request is refused, if it is. `accepted` belongs to the connection: the first `Host`
    /// accepted on it, which clients repeat in every request, so that it is parsed only once.
    /// `has_both` says whether the head had a `Content-Length` in addition to its
    /// `Transfer-Encoding`; the HTTP library removes it.
    pub(super) fn refuse<B>(
        &self,
        request: &Request<B>,
        accepted: &OnceLock<HeaderValue>,
        has_both: impl Fn() -> bool,
    ) -> Option<Problem> {
        let bad = |detail: &str| Some(Problem::new(StatusCode::BAD_REQUEST, detail));
        let headers = request.headers();
        if let Some(coding) = headers.get(TRANSFER_ENCODING) {
            let is_chunked = coding.as_bytes().eq_ignore_ascii_case(b"chunked");
            if !is_chunked || headers.get_all(TRANSFER_ENCODING).iter().nth(1).is_some() {
                return bad("the only supported transfer coding is `chunked`, applied once");
            }
            if headers.contains_key(CONTENT_LENGTH) || has_both() {
                return bad("the request has both Content-Length and Transfer-Encoding");
            }
        }
        let mut hosts = headers.get_all(HOST).iter();
        let host = match (hosts.next(), hosts.next()) {
            (_, Some(_)) => return bad("the request has several Host headers"),
            (Some(host), None) => Some(host),
            (None, None) => None,
        };
        // In HTTP/2, and in requests meant for a proxy, the URL contains the host.
        let authority = request.uri().authority().map(|authority| authority.as_str().as_bytes());
        let Some(name) = authority.or(host.map(HeaderValue::as_bytes)) else {
            let is_old =
                request.version() == Version::HTTP_10 || request.version() == Version::HTTP_09;
            return if is_old { None } else { bad("the request has no Host header") };
        };
        if authority.is_none() && accepted.get().is_some_and(|accepted| accepted.as_bytes() == name)
        {
            return None;
        }
        let names_one = |name| host_name(name).is_some();
        if !names_one(name) || !host.is_none_or(|host| names_one(host.as_bytes())) {
            return bad("the Host header is not a host name with or without a port");
        }
        if host_name(name).is_some_and(|name| self.allow(name)) {
            if let (None, Some(host)) = (authority, host) {
                accepted.get_or_init(|| host.clone());
            }
            return None;
        }
        // Health probes use the machine's address.
        if matches!(request.uri().path(), "/healthz" | "/readyz") {
            return None;
        }
        let detail = "this server does not accept the name in the Host header; the setting `hosts` lists the names that it accepts";
        Some(Problem::new(StatusCode::MISDIRECTED_REQUEST, detail))
    }

    fn allow(&self, name: &str) -> bool {
        if self.is_loopback && is_loopback(name) {
            return true;
        }
        match &self.configured {
            Some(hosts) => hosts.allow(&name.to_ascii_lowercase()),
            None => !self.is_loopback,
        }
    }
}

/// The machine's own names. Browsers resolve them without asking a name server (RFC 6761 §6.3).
fn is_loopback(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    let ends = |suffix: &str| {
        name.len()
            .checked_sub(suffix.len())
            .and_then(|at| name.get(at..))
            .is_some_and(|e| e.eq_ignore_ascii_case(suffix))
    };
    name.eq_ignore_ascii_case("localhost")
        || ends(".localhost")
        || name
            .trim_start_matches('[')
            .trim_end_matches(']')
            .parse::<IpAddr>()
            .is_ok_and(|ip| ip.is_loopback())
}

/// The host without its port; None if it is neither a name nor an address (RFC 3986 §3.2.2).
fn host_name(host: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(host).ok()?;
    let (name, port) = match text.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, port),
        _ => (text, ""),
    };
    let is_port = port.bytes().all(|b| b.is_ascii_digit());
    let is_address = name.starts_with('[')
        && name.ends_with(']')
        && name[1..].bytes().all(|b| b.is_ascii_hexdigit() || b":.]".contains(&b));
    let is_name = !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=".contains(&b));
    (is_port && (is_address || is_name)).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(names: &Names, hosts: &[&str]) -> u16 {
        let mut request = Request::builder().uri("/graphql");
        for host in hosts {
            request = request.header(HOST, *host);
        }
        let request = request.body(()).unwrap();
        names.refuse(&request, &OnceLock::new(), || false).map_or(200, |problem| {
            axum::response::IntoResponse::into_response(problem).status().as_u16()
        })
    }

    fn names(configured: Option<&str>, address: &str) -> Names {
        Names::new(configured.map(|hosts| hosts.parse().unwrap()), address.parse().unwrap())
    }

    #[test]
    fn a_loopback_listener_takes_loopback_names_and_those_configured() {
        let (plain, shop) = (names(None, "127.0.0.1"), names(Some("shop.example"), "::1"));
        for host in [
            "localhost",
            "LOCALHOST:8080",
            "app.localhost",
            "127.0.0.1:1",
            "127.1.2.3",
            "[::1]:80",
            "localhost.",
        ] {
            assert_eq!((status(&plain, &[host]), status(&shop, &[host])), (200, 200), "{host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example",
            "10.0.0.1",
            "[::2]",
            "127.0.0.1.nip.io",
            "evillocalhost",
        ] {
            assert_eq!((status(&plain, &[host]), status(&shop, &[host])), (421, 421), "{host}");
        }
        assert_eq!(
            (status(&plain, &["Shop.example:443"]), status(&shop, &["Shop.example:443"])),
            (421, 200)
        );
        assert_eq!(status(&names(Some("*"), "127.0.0.1"), &["evil.example"]), 200);
    }

    #[test]
    fn a_connections_verified_host_holds_for_that_name_only() {
        let (names, accepted) = (names(None, "127.0.0.1"), OnceLock::new());
        let refused = |host: &str, path: &str| {
            let request = Request::builder().uri(path).header(HOST, host).body(()).unwrap();
            names.refuse(&request, &accepted, || false).is_some()
        };
        assert!(!refused("evil.example", "/healthz"));
        assert!(refused("evil.example", "/q"));
        assert!(!refused("localhost:1", "/q"));
        assert!(!refused("localhost:1", "/q"));
        assert!(!refused("127.0.0.1:1", "/q"));
        assert!(refused("evil.example", "/q"));
        assert!(refused("localhost:x", "/q"));
    }

    #[test]
    fn other_listeners_take_any_name_until_some_are_configured() {
        assert_eq!(status(&names(None, "0.0.0.0"), &["shop.example"]), 200);
        assert_eq!(status(&names(Some("shop.example"), "0.0.0.0"), &["shop.example"]), 200);
        assert_eq!(status(&names(Some("shop.example"), "0.0.0.0"), &["localhost"]), 421);
    }

    #[test]
    fn an_ambiguous_host_is_a_bad_request() {
        let names = names(None, "0.0.0.0");
        for hosts in [
            &[][..],
            &["a", "a"],
            &["a b"],
            &[""],
            &["a:b"],
            &["user@a"],
            &["a/b"],
            &["[::1"],
            &["::1"],
        ] {
            assert_eq!(status(&names, hosts), 400, "{hosts:?}");
        }
    }
}
