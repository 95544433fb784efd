//! The root fields of a mutation, one after the other.

use std::iter::Enumerate;
use std::slice::Iter;

use super::super::plan::{Plan, RootField, RootKind, WritePlan};
use super::super::read::Reader;

/// Walks over a mutation's root fields. It answers those that write nothing; the caller answers the
/// others.
pub(crate) struct Fields<'a>(Enumerate<Iter<'a, RootField>>);

impl<'a> Fields<'a> {
    /// Begins the answer's data.
    pub(crate) fn begin(plan: &'a Plan, reader: &mut Reader<'a>) -> Self {
        reader.out.extend_from_slice(b"{\"data\":{");
        Self(plan.root.iter().enumerate())
    }

    /// The next field that writes; its answer has begun.
    pub(crate) fn next_write(
        &mut self,
        reader: &mut Reader<'a>,
    ) -> Option<(&'a RootField, &'a WritePlan)> {
        for (at, field) in self.0.by_ref() {
            reader.begin_root(at, &field.key);
            match &field.kind {
                RootKind::Write(write) => return Some((field, write)),
                RootKind::Typename(json) => reader.out.extend_from_slice(json.as_bytes()),
                RootKind::Introspection
                | RootKind::One(_)
                | RootKind::List(_)
                | RootKind::Node(_) => {
                    unreachable!("a mutation has writes only")
                }
            }
        }
        None
    }
}
