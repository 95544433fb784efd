//! The statements that a connection has prepared, by their text. The least recently used are closed
//! first.

use std::collections::HashMap;
use std::sync::Arc;

/// A plan takes 20 to 50 KiB of the server's memory.
const MOST: usize = 256;

/// A statement's name in the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Name(u64);

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "s{}", self.0)
    }
}

/// When the server has analysed a prepared statement. It does so again if anything that the
/// statement names was altered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Analysed {
    /// The server's time.
    pub at: i64,
    /// How many checks of the database's definition had begun when this was reported.
    pub checks: u64,
}

#[derive(Debug)]
struct Prepared {
    name: Name,
    analysed: Option<Analysed>,
    /// The number of the last flight that used it.
    used: u64,
}

#[derive(Debug, Default)]
pub(super) struct Statements {
    by_text: HashMap<Arc<str>, Prepared, foldhash::fast::RandomState>,
    flights: u64,
    names: u64,
}

impl Statements {
    /// Starts a flight.
    pub(super) fn begin(&mut self) {
        self.flights += 1;
    }

    /// The name of a statement, and whether it must be prepared.
    pub(super) fn name(&mut self, text: &str) -> (Name, bool) {
        if let Some(prepared) = self.by_text.get_mut(text) {
            prepared.used = self.flights;
            return (prepared.name, false);
        }
        self.names += 1;
        let name = Name(self.names);
        self.by_text.insert(text.into(), Prepared { name, analysed: None, used: self.flights });
        (name, true)
    }

    /// When a statement was analysed, if it has reported that.
    pub(super) fn analysed(&self, text: &str) -> Option<Analysed> {
        self.by_text.get(text)?.analysed
    }

    /// Records when a statement was analysed.
    pub(super) fn note(&mut self, text: &str, analysed: Analysed) {
        if let Some(prepared) = self.by_text.get_mut(text) {
            prepared.analysed = Some(analysed);
        }
    }

    /// Removes surplus statements and returns their names; those of the current flight are kept.
    pub(super) fn surplus(&mut self) -> Vec<Name> {
        let mut names = Vec::new();
        while self.by_text.len() > MOST {
            let oldest = self.by_text.iter().min_by_key(|(_, prepared)| prepared.used);
            let Some((text, _)) = oldest.filter(|(_, prepared)| prepared.used < self.flights)
            else {
                break;
            };
            let text = text.clone();
            names.extend(self.by_text.remove(&text).map(|prepared| prepared.name));
        }
        names
    }

    /// Forgets these: they were not prepared after all.
    pub(super) fn forget(&mut self, names: &[Name]) {
        if !names.is_empty() {
            self.by_text.retain(|_, prepared| !names.contains(&prepared.name));
        }
    }

    pub(super) fn clear(&mut self) {
        self.by_text.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_statement_is_evicted_and_none_of_the_flight() {
        let mut statements = Statements::default();
        for number in 0..MOST {
            statements.begin();
            assert!(statements.name(&number.to_string()).1);
        }
        statements.begin();
        let (first, is_new) = statements.name("0");
        assert!(!is_new && statements.surplus().is_empty());
        statements.begin();
        statements.name("one more");
        let gone = statements.surplus();
        assert_eq!(gone.len(), 1);
        assert!(gone[0] != first && statements.name("1").1);

        statements.begin();
        for number in 0..2 * MOST {
            statements.name(&format!("together {number}"));
        }
        statements.surplus();
        assert!((0..2 * MOST).all(|number| !statements.name(&format!("together {number}")).1));
    }
}
