//! Who is asking: an anonymous viewer, or one with the claims of a verified token. How
//! tokens are verified is unknown here. Answers depend on a [`View`](crate::question::View), never
//! on the viewer itself.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value as Json};

/// Who is asking.
#[derive(Clone, Default)]
pub enum Viewer {
    /// The request had no token.
    #[default]
    Anonymous,
    /// The request had a token, and it was verified.
    Authenticated(Arc<Claims>),
}

/// The contents of a verified token. Never shown: claims go neither into logs nor into messages.
pub struct Claims {
    claims: Map<String, Json>,
    roles: BTreeSet<String>,
}

impl Viewer {
    /// A viewer with these claims.
    pub fn of(claims: Claims) -> Self {
        Self::Authenticated(Arc::new(claims))
    }

    /// The claims of the token, if there is one.
    pub fn claims(&self) -> Option<&Claims> {
        match self {
            Self::Anonymous => None,
            Self::Authenticated(claims) => Some(claims),
        }
    }

    /// Whether the request had no token.
    pub fn is_anonymous(&self) -> bool {
        self.claims().is_none()
    }
}

impl Claims {
    /// The default location of the roles, as a JSON pointer (RFC 6901).
    pub const ROLES: &str = "/roles";

    /// The claims of a token. `roles` points to its roles: a list, or a space-separated string.
    /// Values that are not strings are ignored.
    pub fn new(claims: Map<String, Json>, roles: &str) -> Self {
        let claims = Json::Object(claims);
        let roles = match claims.pointer(roles) {
            Some(Json::Array(items)) => {
                items.iter().filter_map(Json::as_str).map(str::to_owned).collect()
            }
            Some(Json::String(words)) => words.split_whitespace().map(str::to_owned).collect(),
            _ => BTreeSet::new(),
        };
        let Json::Object(claims) = claims else { unreachable!("it was an object") };
        Self { claims, roles }
    }

    /// The value of a claim; None if it is missing or null. A dot descends into an object:
    /// `org.id`. A claim whose name contains dots, such as `https://example.com/tenant`, takes
    /// precedence.
    pub fn get(&self, name: &str) -> Option<&Json> {
        let found = self.claims.get(name).or_else(|| {
            let (first, rest) = name.split_once('.')?;
            rest.split('.')
                .try_fold(self.claims.get(first)?, |value, step| value.as_object()?.get(step))
        });
        found.filter(|value| !value.is_null())
    }

    /// Whether the viewer has this role.
    pub fn has_role(&self, role: &str) -> bool {
        self.roles.contains(role)
    }
}

impl fmt::Debug for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Claims")
    }
}

impl fmt::Debug for Viewer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_anonymous() { "Anonymous" } else { "Authenticated" })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn claims(json: Json, roles: &str) -> Claims {
        let Json::Object(claims) = json else { panic!("an object") };
        Claims::new(claims, roles)
    }

    #[test]
    fn claims_are_found_by_name_and_by_path() {
        let json = json!({"sub": "ada", "org": {"id": 7, "unit": {"x": null}}, "https://a.example/t": "t1", "gone": null});
        let claims = claims(json, Claims::ROLES);
        assert_eq!(claims.get("sub"), Some(&json!("ada")));
        assert_eq!(claims.get("org.id"), Some(&json!(7)));
        assert_eq!(claims.get("https://a.example/t"), Some(&json!("t1")));
        for missing in ["gone", "nothing", "org.unit.x", "org.id.x", "sub.x", "org..id", ""] {
            assert_eq!(claims.get(missing), None, "{missing}");
        }
    }

    #[test]
    fn roles_are_a_list_or_space_separated() {
        let listed =
            claims(json!({"realm_access": {"roles": ["editor", 5, "a b"]}}), "/realm_access/roles");
        assert!(listed.has_role("editor") && listed.has_role("a b") && !listed.has_role("5"));
        let words = claims(json!({"scope": "read  write"}), "/scope");
        assert!(words.has_role("read") && words.has_role("write") && !words.has_role(""));
        assert!(!claims(json!({"roles": {"editor": true}}), Claims::ROLES).has_role("editor"));
    }

    #[test]
    fn debug_output_hides_tokens() {
        let viewer = Viewer::of(claims(json!({"sub": "ada"}), Claims::ROLES));
        assert_eq!(format!("{viewer:?}"), "Authenticated");
    }
}
