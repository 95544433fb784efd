//! What the cache stores besides its answers.

use std::convert::Infallible;

use super::*;
use crate::config::Database;
use crate::document_id::DocumentId;
use crate::question::View;
use crate::store::schema::layout::{Layout, test_models};
use crate::store::sqlite::ddl::create_statements;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_finished_execution_leaves_nothing_in_the_cache() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("freshql.db");
    let connection = crate::store::sqlite::open(&path).unwrap();
    let model = Arc::new(test_models::every_kind());
    for statement in create_statements(&Layout::new(&model)) {
        connection.execute_batch(&statement).unwrap();
    }
    let store = Store::open(&Database::Sqlite(path.clone()), 1, &model).await.unwrap();
    let cache = Arc::new(ResponseCache::new(store, 1 << 20, Consistency::Strict));
    let document = DocumentId::of("{ __typename }");
    let key = Key::of(&Question { document, operation: None, variables: "{}", view: View::Public });
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..200_u64 {
        let cache = cache.clone();
        tasks.spawn(async move {
            let execute = || async {
                tokio::task::yield_now().await;
                Ok::<_, Infallible>(Executed {
                    value: (),
                    weight: 1,
                    dependencies: None,
                    as_of: None,
                })
            };
            // Half of the requests are dropped somewhere along the way.
            let patience =
                if number % 2 == 0 { Duration::MAX } else { Duration::from_micros(number * 50) };
            let _ = tokio::time::timeout(patience, cache.answer(key, false, execute)).await;
        });
    }
    tasks.join_all().await;
    assert!(cache.running.is_empty());
    assert!(cache.executions() >= 100);
}
