//! A document's syntax tree, which is about sixty times as large as its text. It is dropped once
//! plans have been made, and parsed again when needed, so a registry of thousands of documents
//! costs little more than their texts.

use std::sync::{Arc, Mutex, PoisonError};

use async_graphql::parser::types::{ExecutableDocument, OperationDefinition};

use super::typename;
use super::validate::reparse;

/// The syntax tree of a valid document.
#[derive(Debug)]
pub(super) struct Parsed {
    text: Arc<str>,
    /// Whether to add `__typename` where the text has none.
    typename: bool,
    tree: Mutex<Option<Arc<ExecutableDocument>>>,
}

impl Parsed {
    pub(super) fn new(text: Arc<str>, typename: bool, tree: Arc<ExecutableDocument>) -> Self {
        Self { text, typename, tree: Mutex::new(Some(tree)) }
    }

    pub(super) fn text(&self) -> &Arc<str> {
        &self.text
    }

    /// The tree. None would mean that the text is not valid after all.
    pub(super) fn tree(&self) -> Option<Arc<ExecutableDocument>> {
        let held = self.tree.lock().unwrap_or_else(PoisonError::into_inner).clone();
        held.or_else(|| {
            let mut tree = reparse(&self.text)?;
            if self.typename {
                typename::add(&mut tree);
            }
            Some(Arc::new(tree))
        })
    }

    /// Drops the tree.
    pub(super) fn release(&self) {
        drop(self.tree.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

/// The operation with this name, or the only one.
pub(super) fn operation<'a>(
    tree: &'a ExecutableDocument,
    name: Option<&str>,
) -> Option<&'a OperationDefinition> {
    let mut operations = tree.operations.iter();
    let found = match name {
        Some(name) => operations.find(|(own, _)| own.is_some_and(|own| own.as_str() == name)),
        None if operations.len() == 1 => operations.next(),
        None => None,
    };
    found.map(|(_, operation)| &operation.node)
}
