//! The differences between two versions of a project, in lines for its author: operations with
//! their ids, types and fields of the API.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::graphql::OperationKind;
use crate::persisted::Registered;

/// What a project offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shape {
    /// Maps the first line of each definition of the API to the lines in it.
    types: BTreeMap<String, Vec<String>>,
    /// The kind and id of each operation, by file and name.
    operations: BTreeMap<(String, String), (&'static str, String)>,
}

impl Shape {
    pub(super) fn new(sdl: String, registered: &[Arc<Registered>]) -> Self {
        let mut operations = BTreeMap::new();
        for registered in registered {
            for operation in registered.document.iter().flat_map(|document| document.operations()) {
                let kind = match operation.kind() {
                    OperationKind::Query => "query",
                    OperationKind::Mutation => "mutation",
                };
                let name = operation.name().unwrap_or("(without a name)");
                for file in &registered.files {
                    operations
                        .insert((file.clone(), name.to_owned()), (kind, registered.id.to_string()));
                }
            }
        }
        Self { types: definitions(&sdl), operations }
    }

    /// The message when this version replaces `before`.
    pub(super) fn told_after(
        &self,
        before: Option<&Self>,
        address: &SocketAddr,
        note: &str,
    ) -> String {
        let Some(before) = before else {
            let count = self.operations.len();
            return format!(
                "{note}serving {count} operations and ad-hoc queries at http://{address}\n"
            );
        };
        let mut text = note.to_owned();
        for ((file, name), (kind, id)) in &self.operations {
            match before.operations.get(&(file.clone(), name.clone())) {
                None => text.push_str(&format!("added   {kind} {name} {id} ({file})\n")),
                Some((_, old)) if old != id => {
                    text.push_str(&format!("changed {kind} {name} {id} ({file})\n"))
                }
                Some(_) => {}
            }
        }
        for ((file, name), (kind, id)) in &before.operations {
            if !self.operations.contains_key(&(file.clone(), name.clone())) {
                text.push_str(&format!("removed {kind} {name} {id} ({file})\n"));
            }
        }
        text.push_str(&self.types_after(before));
        if text.is_empty() {
            text.push_str("reloaded; the API and the operations are as before\n");
        }
        text
    }

    fn types_after(&self, before: &Self) -> String {
        let mut text = String::new();
        for (name, lines) in &self.types {
            match before.types.get(name) {
                None => text.push_str(&format!("added   {name}\n")),
                Some(old) if old != lines => {
                    text.push_str(&format!("changed {name}\n"));
                    let gone = old
                        .iter()
                        .filter(|line| !lines.contains(line))
                        .map(|line| format!("  - {line}\n"));
                    let come = lines
                        .iter()
                        .filter(|line| !old.contains(line))
                        .map(|line| format!("  + {line}\n"));
                    text.extend(gone.chain(come));
                }
                Some(_) => {}
            }
        }
        for name in before.types.keys().filter(|name| !self.types.contains_key(*name)) {
            text.push_str(&format!("removed {name}\n"));
        }
        text
    }
}

/// Maps `type Product` and the like to the lines between their braces, without descriptions.
fn definitions(sdl: &str) -> BTreeMap<String, Vec<String>> {
    let mut definitions: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut name = String::new();
    let mut described = false;
    for line in sdl.lines() {
        let trimmed = line.trim();
        if trimmed.starts_with("\"\"\"") {
            // A description on a single line opens and closes.
            described ^= !(trimmed.len() > 3 && trimmed.ends_with("\"\"\""));
            continue;
        }
        if described || trimmed.is_empty() || trimmed == "}" || trimmed.starts_with('"') {
            continue;
        }
        if line.starts_with(char::is_whitespace) {
            definitions.entry(name.clone()).or_default().push(trimmed.to_owned());
        } else {
            name = trimmed.trim_end_matches('{').trim().to_owned();
            definitions.entry(name.clone()).or_default();
        }
    }
    definitions
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(sdl: &str) -> Shape {
        Shape::new(sdl.to_owned(), &[])
    }

    #[test]
    fn added_and_removed_types_and_fields_are_listed() {
        let before = shape(
            "\"\"\"\nOld.\n\"\"\"\ntype A {\n  \"\"\"The a.\"\"\"\n  a: Int\n  b: Int\n}\nenum E {\n  X\n}\n",
        );
        let after = shape("\"\"\"\nNew.\n\"\"\"\ntype A {\n  a: Int\n  c: Int\n}\nscalar S\n");
        assert_eq!(
            after.types_after(&before),
            "added   scalar S\nchanged type A\n  - b: Int\n  + c: Int\nremoved enum E\n"
        );
        assert_eq!(before.types_after(&before), "");
    }
}
