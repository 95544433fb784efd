//! The token that grants access to the admin API.

use http::header::{AUTHORIZATION, HeaderValue};
use http::{HeaderMap, StatusCode};
use subtle::ConstantTimeEq;

use super::problem::Problem;
use crate::config::Secret;

/// The hash of the admin token, if one is configured.
#[derive(Clone, Copy)]
pub(super) struct AdminToken(Option<blake3::Hash>);

impl AdminToken {
    /// Keeps only the hash.
    pub(super) fn new(secret: Option<&Secret>) -> Self {
        Self(secret.map(|secret| blake3::hash(secret.expose().as_bytes())))
    }

    /// Checks `Authorization: Bearer` (RFC 6750 §2.1). The hashes are compared in constant time, so
    /// that the time of a refusal reveals neither the length nor a prefix of the token.
    pub(super) fn check(self, headers: &HeaderMap) -> Result<(), Problem> {
        let Some(expected) = self.0 else {
            return Err(Problem::new(
                StatusCode::FORBIDDEN,
                "the admin API is closed: this server was started without FRESHQL_ADMIN_TOKEN",
            ));
        };
        let given = headers.get(AUTHORIZATION).map(HeaderValue::as_bytes);
        let token = given.and_then(|value| {
            let (scheme, token) = value.split_at_checked(b"Bearer ".len())?;
            scheme.eq_ignore_ascii_case(b"Bearer ").then(|| token.trim_ascii())
        });
        let Some(token) = token else {
            return Err(Problem::new(
                StatusCode::UNAUTHORIZED,
                "send the admin token as `Authorization: Bearer …`",
            ));
        };
        if bool::from(blake3::hash(token).as_bytes().ct_eq(expected.as_bytes())) {
            Ok(())
        } else {
            Err(Problem::new(StatusCode::UNAUTHORIZED, "this is not the admin token"))
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;

    use super::*;

    fn status(token: AdminToken, header: Option<&str>) -> u16 {
        let headers = header.iter().map(|value| (AUTHORIZATION, value.parse().unwrap())).collect();
        token.check(&headers).err().map_or(200, |problem| problem.into_response().status().as_u16())
    }

    #[test]
    fn only_the_token_opens_the_admin_api() {
        let token = AdminToken::new(Some(&"s3cret".parse().unwrap()));
        assert_eq!(status(token, Some("Bearer s3cret")), 200);
        assert_eq!(status(token, Some("bearer s3cret")), 200);
        for wrong in [
            None,
            Some("Bearer"),
            Some("Bearer s3cre"),
            Some("Bearer s3cret2"),
            Some("Basic s3cret"),
            Some(""),
        ] {
            assert_eq!(status(token, wrong), 401, "{wrong:?}");
        }
    }

    #[test]
    fn without_a_token_the_admin_api_is_closed() {
        assert_eq!(status(AdminToken::new(None), Some("Bearer s3cret")), 403);
        assert_eq!(status(AdminToken::new(None), None), 403);
    }
}
