//! Concurrent requests for one answer: which of them execute, which wait, and what the waiting ones
//! get.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use freshql::cache::{Executed, Key, ResponseCache, Source};
use freshql::config::Consistency;
use freshql::dependency::{Dependencies, Dependency};
use freshql::document_id::DocumentId;
use freshql::model::{EntityId, Value};
use freshql::question::{Question, View};
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, JoinSet};

use crate::database::Outsider;
use crate::library::{Library, Pragmas};

/// A cache of numbers whose executions block until they are released.
struct Stage {
    database: Library,
    cache: ResponseCache<u64>,
    key: Key,
    gate: Semaphore,
    begun: AtomicU64,
}

impl Stage {
    async fn new() -> Arc<Self> {
        let library = Library::new();
        let store = library.engine().await.store().clone();
        let cache = ResponseCache::new(store, 1 << 20, Consistency::Strict);
        let document = DocumentId::of("{ words }");
        let question = Question { document, operation: None, variables: "{}", view: View::Public };
        let key = cache.key(&question, None);
        Arc::new(Self {
            database: library,
            cache,
            key,
            gate: Semaphore::new(0),
            begun: AtomicU64::new(0),
        })
    }

    /// The row that all answers depend on.
    fn dependencies(&self) -> Dependencies {
        let entity = self.database.model.entity_by_name("Word").unwrap().id;
        Dependencies { all: vec![Dependency::Row(EntityId(entity.0), Value::Text("w1".into()))] }
    }

    fn outsider(&self) -> Outsider {
        self.database.outsider(Pragmas { foreign_keys: false, recursive_triggers: false })
    }

    fn write(&self) {
        self.outsider().execute("UPDATE words SET word = word || '.' WHERE id = 'w1'");
    }

    /// Asks in a separate task; the answer is the number of the execution.
    fn ask(self: &Arc<Self>) -> JoinHandle<(u64, Source)> {
        self.ask_and(|_| ())
    }

    /// Asks; each execution also calls this after its release.
    fn ask_and(self: &Arc<Self>, also: fn(&Self)) -> JoinHandle<(u64, Source)> {
        let stage = self.clone();
        tokio::spawn(async move {
            let execute = || async {
                let number = stage.begun.fetch_add(1, SeqCst) + 1;
                stage.gate.acquire().await.unwrap().forget();
                also(&stage);
                Ok::<_, Infallible>(Executed {
                    value: number,
                    weight: 8,
                    dependencies: Some(stage.dependencies()),
                    as_of: None,
                })
            };
            let Ok((stored, source)) = stage.cache.answer(stage.key, false, execute).await;
            (stored.value, source)
        })
    }

    /// Returns when this many executions have begun.
    async fn begun(&self, count: u64) {
        for _ in 0..10_000 {
            if self.begun.load(SeqCst) >= count {
                return;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        panic!("execution {count} does not begin");
    }
}

/// Lets all tasks run until they block.
async fn settle() {
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn requests_for_one_answer_share_one_execution() {
    let stage = Stage::new().await;
    let asking: JoinSet<_> =
        (0..16).map(|_| stage.ask()).map(|task| async { task.await.unwrap() }).collect();
    settle().await;
    stage.gate.add_permits(1);
    let mut answers = asking.join_all().await;
    answers.sort_by_key(|(_, source)| *source == Source::Hit);
    assert_eq!(answers[0], (1, Source::Miss));
    assert!(answers[1..].iter().all(|answer| *answer == (1, Source::Hit)), "{answers:?}");
    assert_eq!(stage.cache.executions(), 1);
}

#[tokio::test]
async fn when_the_executing_request_is_cancelled_a_waiting_one_executes() {
    let stage = Stage::new().await;
    let leader = stage.ask();
    stage.begun(1).await;
    let followers = [stage.ask(), stage.ask()];
    settle().await;
    leader.abort();
    assert!(leader.await.unwrap_err().is_cancelled());
    stage.begun(2).await;
    stage.gate.add_permits(1);
    for follower in followers {
        assert_eq!(follower.await.unwrap().0, 2);
    }
    assert_eq!(stage.cache.executions(), 2);
}

#[tokio::test]
async fn an_execution_begun_before_a_write_does_not_answer_requests_made_after_it() {
    let stage = Stage::new().await;
    let leader = stage.ask();
    stage.begun(1).await;
    stage.write();
    let follower = stage.ask();
    settle().await;
    stage.gate.add_permits(1);
    assert_eq!(leader.await.unwrap(), (1, Source::Miss));
    stage.begun(2).await;
    stage.gate.add_permits(1);
    assert_eq!(follower.await.unwrap().0, 2);
    // Nothing has changed since.
    assert_eq!(stage.ask().await.unwrap(), (2, Source::Hit));
}

#[tokio::test]
async fn an_answer_overtaken_while_it_was_computed_is_not_cached() {
    let stage = Stage::new().await;
    stage.gate.add_permits(3);
    assert_eq!(stage.ask_and(Stage::write).await.unwrap(), (1, Source::Miss));
    assert_eq!(stage.ask_and(Stage::write).await.unwrap(), (2, Source::Stale));
    assert_eq!(stage.ask().await.unwrap(), (3, Source::Stale));
    assert_eq!(stage.ask().await.unwrap(), (3, Source::Hit));
}

#[tokio::test]
async fn waiting_requests_share_an_execution_even_if_a_write_overtakes_it() {
    let stage = Stage::new().await;
    let leader = stage.ask_and(Stage::write);
    stage.begun(1).await;
    stage.write();
    let followers: Vec<_> = (0..8).map(|_| stage.ask_and(Stage::write)).collect();
    settle().await;
    stage.gate.add_permits(100);
    assert_eq!(leader.await.unwrap().0, 1);
    for follower in followers {
        assert_eq!(follower.await.unwrap().0, 2, "begun after they had asked");
    }
    assert_eq!(stage.cache.executions(), 2);
}

#[tokio::test]
async fn errors_are_never_cached() {
    let stage = Stage::new().await;
    for number in 1..4 {
        let failed =
            stage.cache.answer(stage.key, false, || async { Err::<Executed<u64>, _>("no") }).await;
        assert_eq!(failed.err(), Some("no"));
        assert_eq!(stage.cache.executions(), number);
    }
    stage.gate.add_permits(1);
    assert_eq!(stage.ask().await.unwrap(), (1, Source::Miss));
    assert_eq!(stage.ask().await.unwrap(), (1, Source::Hit));
}
