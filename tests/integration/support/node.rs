//! A server's cache and engine, combined as the HTTP layer does it, but without HTTP.

use bytes::Bytes;
use freshql::cache::{Executed, ResponseCache, Source};
use freshql::clock::{Clock, DEFAULT_CAPACITY};
use freshql::config::Consistency;
use freshql::graphql::{Answer, Compiler, Engine, GraphqlError};
use freshql::store::Store;

use crate::library::{Library, Question};

/// Large enough for every test.
pub(crate) const ROOMY: u64 = 1 << 20;

/// A node: its own connections, clock and cache.
pub(crate) struct Node {
    pub(crate) engine: Engine,
    pub(crate) cache: ResponseCache<Bytes>,
}

/// A node's answer.
#[derive(Debug)]
pub(crate) struct Given {
    pub(crate) body: Bytes,
    pub(crate) source: Source,
}

impl Given {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

impl Node {
    pub(crate) async fn new(library: &Library) -> Self {
        Self::with(library, ROOMY, Consistency::Strict, DEFAULT_CAPACITY).await
    }

    /// A node with a cache of this many bytes, and a clock of this many marks.
    pub(crate) async fn with(
        library: &Library,
        bytes: u64,
        consistency: Consistency,
        marks: usize,
    ) -> Self {
        let store = Store::open_with_clock(
            &library.database.config(),
            1,
            &library.model,
            Clock::new(marks),
        )
        .await
        .unwrap();
        let engine = Engine::new(Compiler::new(library.model.clone()).unwrap(), store.clone());
        Self { engine, cache: ResponseCache::new(store, bytes, consistency) }
    }

    pub(crate) async fn ask(&self, question: &Question) -> Given {
        let (stored, source) = self
            .cache
            .answer(question.key(&self.cache), false, || self.execute(question))
            .await
            .unwrap();
        Given { body: stored.value.clone(), source }
    }

    async fn execute(&self, question: &Question) -> Result<Executed<Bytes>, Vec<GraphqlError>> {
        Ok(kept(question.ask(&self.engine).await))
    }

    /// The questions among these that are executed when all are asked now; their answers must be
    /// correct.
    pub(crate) async fn executed(&self, questions: &[Question]) -> Vec<usize> {
        let mut executed = Vec::new();
        for (number, question) in questions.iter().enumerate() {
            let before = self.cache.executions();
            let given = self.ask(question).await;
            assert_eq!(given.body, question.ask(&self.engine).await.body, "{}", question.text);
            match self.cache.executions() - before {
                0 => assert_eq!(given.source, Source::Hit),
                1 => executed.push(number),
                more => panic!("{more} executions of {}", question.text),
            }
        }
        executed
    }
}

/// As `http` stores an answer.
fn kept(answer: Answer) -> Executed<Bytes> {
    let dependencies = answer.etag.is_some().then_some(answer.dependencies);
    Executed { weight: answer.body.len(), dependencies, as_of: None, value: answer.body }
}
