//! Decides what caches may do with an answer. Combines the `@cacheControl` hints of a selection
//! into one [`Policy`] and writes it as header values (RFC 9111 §5.2, RFC 5861 §3, RFC 9213). It
//! knows only hints, neither documents nor rows.
//!
//! The rules are Apollo Server's, so that a schema means the same here, with two more lifetimes in
//! addition to `maxAge`:
//!
//! 1. A field takes the hint of the type that it returns; its own hint takes precedence.
//! 2. Root fields, and fields that return an object, have lifetime 0 by default. Other fields have
//!    no default: they live as long as their parent.
//! 3. `inheritMaxAge` removes the default from a field below the root, too. A lifetime on the same
//!    field or its type overrides it.
//! 4. Each lifetime of the answer is the minimum over all fields. One PRIVATE field makes the
//!    answer private.
//!
//! Our additions: `sharedMaxAge` defaults to `maxAge` of the same hint, and a hint with a lifetime
//! but no `staleWhileRevalidate` allows none, because ten seconds should mean ten seconds.

use crate::model::CacheHint;

/// `Cache-Control` of everything that no cache may store: errors, mutations, answers with field
/// errors.
pub(crate) const NO_STORE: &str = "no-store";

/// What caches may do with an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Policy {
    /// In seconds, for private caches.
    pub max_age: u32,
    /// In seconds, for shared caches.
    pub shared_max_age: u32,
    /// In seconds.
    pub stale_while_revalidate: u32,
    /// Shared caches must not store the answer.
    pub private: bool,
}

impl Policy {
    /// The value of `Cache-Control`.
    ///
    /// A lifetime of 0 is not `no-store`: a cache may still store the answer and revalidate it,
    /// which is what the ETag is for.
    ///
    /// `must-revalidate` is sent only if no cache may use the answer without revalidation. It
    /// forbids nothing except stale answers from a cache that cannot reach the server, which
    /// `s-maxage` already forbids to shared caches (RFC 9111 §5.2.2.10). Some caches
    /// (http-cache-semantics) take it to mean that an answer is never fresh, which would defeat
    /// `s-maxage`. `public` lets shared caches store answers to requests with `Authorization`
    /// (§3.5): an answer that is not private is the same for everybody.
    pub fn cache_control(&self) -> String {
        if self.private {
            return "private, no-cache".to_owned();
        }
        let must_revalidate =
            if self.max_age == 0 && self.shared_max_age == 0 { ", must-revalidate" } else { "" };
        format!(
            "public, max-age={}, s-maxage={}{must_revalidate}",
            self.max_age, self.shared_max_age
        )
    }

    /// The value of `CDN-Cache-Control`, which a CDN that supports it obeys instead of
    /// `Cache-Control` (RFC 9213 §2.2). Both headers keep private answers out of CDNs.
    pub fn cdn_cache_control(&self) -> Option<String> {
        if self.private {
            return Some(NO_STORE.to_owned());
        }
        Some(match (self.shared_max_age, self.stale_while_revalidate) {
            (0, 0) => "max-age=0, must-revalidate".to_owned(),
            (shared, 0) => format!("max-age={shared}"),
            (shared, stale) => format!("max-age={shared}, stale-while-revalidate={stale}"),
        })
    }
}

/// Combines the hints of a selection into a [`Policy`]. Call [`Self::field`] for every selected
/// field; `__typename` and introspection do not count.
///
/// The types that only wrap an entity's rows (connections, edges) have no hints of their own. Give
/// a connection its entity's hint, and give an inheriting hint to what is inside (`nodes`, `edges`,
/// `node`, `pageInfo`).
#[derive(Debug)]
pub(crate) struct Calculator {
    /// The minimum so far; None as long as no field has set a lifetime.
    lifetimes: Lifetimes,
    private: bool,
}

/// What a selection set passes on to its fields. Inheriting the parent's lifetime means not
/// lowering the minimum, which already includes the parent. So a field only needs to know whether
/// it has a parent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Inherited {
    root: bool,
}

#[derive(Debug, Clone, Copy, Default)]
struct Lifetimes {
    max_age: Option<u32>,
    shared_max_age: Option<u32>,
    stale_while_revalidate: Option<u32>,
}

impl Calculator {
    /// An empty selection, and what root fields inherit.
    pub(crate) fn new() -> (Self, Inherited) {
        (Self { lifetimes: Lifetimes::default(), private: false }, Inherited { root: true })
    }

    /// Adds a selected field: `field` is its own hint, `object` that of the object type it returns
    /// (None for scalars). Returns what the fields of its selection inherit.
    pub(crate) fn field(
        &mut self,
        parent: Inherited,
        field: CacheHint,
        object: Option<CacheHint>,
    ) -> Inherited {
        let of_type = object.unwrap_or_default();
        let said = Lifetimes::of(field).or(Lifetimes::of(of_type));
        let inherits =
            !parent.root && (object.is_none() || field.inherit_max_age || of_type.inherit_max_age);
        self.lifetimes = self.lifetimes.min(if inherits { said } else { said.or(Lifetimes::ZERO) });
        // As with lifetimes, the field takes precedence over its type.
        self.private |= field.private.or(of_type.private).unwrap_or(false);
        Inherited { root: false }
    }

    /// The lifetimes so far (`max-age`, `s-maxage`, `stale-while-revalidate`) and whether the
    /// answer is private. A field that changes one of them has decided it.
    pub(crate) fn so_far(&self) -> ([Option<u32>; 3], bool) {
        let Lifetimes { max_age, shared_max_age, stale_while_revalidate } = self.lifetimes;
        ([max_age, shared_max_age, stale_while_revalidate], self.private)
    }

    /// The policy of the whole selection. If it selects nothing but `__typename`, no field has set
    /// a lifetime, and all of them are 0.
    pub(crate) fn finish(self) -> Policy {
        Policy {
            max_age: self.lifetimes.max_age.unwrap_or(0),
            shared_max_age: self.lifetimes.shared_max_age.unwrap_or(0),
            stale_while_revalidate: self.lifetimes.stale_while_revalidate.unwrap_or(0),
            private: self.private,
        }
    }
}

impl Lifetimes {
    const ZERO: Self =
        Self { max_age: Some(0), shared_max_age: Some(0), stale_while_revalidate: Some(0) };

    fn of(hint: CacheHint) -> Self {
        let shared_max_age = hint.shared_max_age.or(hint.max_age);
        Self {
            max_age: hint.max_age,
            shared_max_age,
            stale_while_revalidate: hint.stale_while_revalidate.or(shared_max_age.map(|_| 0)),
        }
    }

    fn or(self, other: Self) -> Self {
        Self {
            max_age: self.max_age.or(other.max_age),
            shared_max_age: self.shared_max_age.or(other.shared_max_age),
            stale_while_revalidate: self.stale_while_revalidate.or(other.stale_while_revalidate),
        }
    }

    fn min(self, other: Self) -> Self {
        let min = |a: Option<u32>, b: Option<u32>| a.into_iter().chain(b).min();
        Self {
            max_age: min(self.max_age, other.max_age),
            shared_max_age: min(self.shared_max_age, other.shared_max_age),
            stale_while_revalidate: min(self.stale_while_revalidate, other.stale_while_revalidate),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The hint of a type that lives as long as its parent.
    const INHERIT: CacheHint = CacheHint {
        max_age: None,
        shared_max_age: None,
        stale_while_revalidate: None,
        private: None,
        inherit_max_age: true,
    };
    const NONE: CacheHint = CacheHint {
        max_age: None,
        shared_max_age: None,
        stale_while_revalidate: None,
        private: None,
        inherit_max_age: false,
    };
    const PRIVATE: CacheHint = CacheHint { private: Some(true), ..NONE };

    fn age(seconds: u32) -> CacheHint {
        CacheHint { max_age: Some(seconds), ..NONE }
    }

    fn policy(max_age: u32, shared_max_age: u32, stale_while_revalidate: u32) -> Policy {
        Policy { max_age, shared_max_age, stale_while_revalidate, private: false }
    }

    /// The policy of `{ root { child { leaf } } }`, given each field's own hint and its type's.
    fn fold(fields: &[(CacheHint, Option<CacheHint>)]) -> Policy {
        let (mut calculator, mut parent) = Calculator::new();
        for (field, object) in fields {
            parent = calculator.field(parent, *field, *object);
        }
        calculator.finish()
    }

    #[test]
    fn root_and_object_fields_default_to_zero_and_scalars_inherit() {
        assert_eq!(fold(&[(NONE, Some(NONE))]), policy(0, 0, 0));
        assert_eq!(fold(&[(NONE, None)]), policy(0, 0, 0));
        assert_eq!(fold(&[(age(60), None)]), policy(60, 60, 0));
        assert_eq!(fold(&[(age(60), Some(NONE)), (NONE, None)]), policy(60, 60, 0));
        assert_eq!(
            fold(&[(age(60), Some(NONE)), (NONE, Some(NONE)), (NONE, None)]),
            policy(0, 0, 0)
        );
    }

    #[test]
    fn an_answer_has_the_max_age_of_its_shortest_lived_field() {
        assert_eq!(fold(&[(NONE, Some(age(240))), (age(30), None)]), policy(30, 30, 0));
        assert_eq!(fold(&[(NONE, Some(age(30))), (age(240), None)]), policy(30, 30, 0));
        let (mut calculator, root) = Calculator::new();
        calculator.field(root, age(60), Some(NONE));
        calculator.field(root, age(20), Some(NONE));
        assert_eq!(calculator.finish(), policy(20, 20, 0));
    }

    #[test]
    fn a_fields_hint_overrides_its_types() {
        assert_eq!(fold(&[(age(90), Some(age(30)))]), policy(90, 90, 0));
        let shared = CacheHint { shared_max_age: Some(300), ..NONE };
        assert_eq!(fold(&[(shared, Some(age(30)))]), policy(30, 300, 0));
        assert_eq!(
            fold(&[(CacheHint { private: Some(false), ..NONE }, Some(PRIVATE))]),
            policy(0, 0, 0)
        );
    }

    #[test]
    fn inherit_max_age_takes_the_parents_but_not_at_the_root() {
        assert_eq!(fold(&[(age(60), Some(NONE)), (INHERIT, Some(NONE))]), policy(60, 60, 0));
        assert_eq!(fold(&[(age(60), Some(NONE)), (NONE, Some(INHERIT))]), policy(60, 60, 0));
        assert_eq!(fold(&[(age(60), Some(NONE)), (INHERIT, Some(age(10)))]), policy(10, 10, 0));
        assert_eq!(fold(&[(age(60), Some(NONE)), (age(10), Some(INHERIT))]), policy(10, 10, 0));
        assert_eq!(fold(&[(INHERIT, Some(NONE))]), policy(0, 0, 0));
    }

    #[test]
    fn each_directive_is_minimised_independently() {
        let outer = CacheHint {
            max_age: Some(0),
            shared_max_age: Some(60),
            stale_while_revalidate: Some(300),
            ..NONE
        };
        let inner = CacheHint {
            max_age: Some(5),
            shared_max_age: Some(30),
            stale_while_revalidate: Some(600),
            ..NONE
        };
        assert_eq!(fold(&[(NONE, Some(outer))]), policy(0, 60, 300));
        assert_eq!(fold(&[(NONE, Some(outer)), (NONE, Some(inner))]), policy(0, 30, 300));
        assert_eq!(fold(&[(NONE, Some(outer)), (age(45), None)]), policy(0, 45, 0));
        let stale = CacheHint { stale_while_revalidate: Some(20), ..NONE };
        assert_eq!(fold(&[(NONE, Some(outer)), (stale, None)]), policy(0, 60, 20));
        assert_eq!(fold(&[(stale, Some(age(10)))]), policy(10, 10, 20));
    }

    #[test]
    fn one_private_field_makes_the_answer_private() {
        let answer = fold(&[(age(60), Some(NONE)), (PRIVATE, None)]);
        assert!(answer.private);
        assert_eq!(answer.cache_control(), "private, no-cache");
        assert_eq!(answer.cdn_cache_control().as_deref(), Some("no-store"));
        assert!(fold(&[(NONE, Some(PRIVATE)), (NONE, None)]).private);
    }

    #[test]
    fn a_selection_of_nothing_is_public_and_always_revalidated() {
        assert_eq!(fold(&[]), policy(0, 0, 0));
    }

    #[test]
    fn headers_express_the_policy() {
        let headers = |p: Policy| (p.cache_control(), p.cdn_cache_control().unwrap());
        let texts = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(
            headers(policy(0, 0, 0)),
            texts("public, max-age=0, s-maxage=0, must-revalidate", "max-age=0, must-revalidate")
        );
        assert_eq!(
            headers(policy(0, 60, 30)),
            texts("public, max-age=0, s-maxage=60", "max-age=60, stale-while-revalidate=30")
        );
        assert_eq!(
            headers(policy(10, 60, 0)),
            texts("public, max-age=10, s-maxage=60", "max-age=60")
        );
        assert_eq!(
            headers(policy(0, 0, 5)),
            texts(
                "public, max-age=0, s-maxage=0, must-revalidate",
                "max-age=0, stale-while-revalidate=5"
            )
        );
    }
}
