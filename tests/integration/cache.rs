//! The response cache returns what an execution would return, and executes no more than necessary:
//! over random histories of our own and external writes, and write by write.

use freshql::cache::Source;
use freshql::clock::DEFAULT_CAPACITY;
use freshql::config::{ChangeLogLimits, Consistency};
use proptest::prelude::*;
use serde_json::json;

use crate::database::{Driver, driver};
use crate::freshness::{Event, cursors, events, one_of, questions};
use crate::library::{Library, Pragmas, Question, mutate, spelled};
use crate::node::{Node, ROOMY};
use crate::properties::check;

/// Enough memory for about two thirds of the questions.
const TIGHT: u64 = 16 << 10;
/// A few writes leave more marks than this.
const SHORT_MEMORY: usize = 40;

const OUT_OF_THE_BOX: Pragmas = Pragmas { foreign_keys: false, recursive_triggers: false };

/// What happens between two rounds of questions, and which of the two nodes are then asked.
#[derive(Debug, Clone)]
struct Step {
    what: What,
    asked: [bool; 2],
}

#[derive(Debug, Clone)]
enum What {
    Event(Event),
    /// The log is pruned to this many records.
    Prune(u64),
    /// Maintenance by another program.
    Maintain(&'static str),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let maintenance = [
        "PRAGMA wal_checkpoint(PASSIVE)",
        "PRAGMA wal_checkpoint(RESTART)",
        "PRAGMA wal_checkpoint(TRUNCATE)",
        "VACUUM",
    ];
    let what = prop_oneof![
        12 => events().prop_map(What::Event),
        2 => (1..4_u64).prop_map(What::Prune),
        1 => one_of(&maintenance).prop_map(What::Maintain),
    ];
    let step = (what, proptest::bool::weighted(0.8), proptest::bool::weighted(0.6));
    proptest::collection::vec(
        step.prop_map(|(what, first, second)| Step { what, asked: [first, second] }),
        1..30,
    )
}

/// How often a node's answers came from each source.
#[derive(Debug, Default, Clone, Copy)]
struct Tally {
    hits: u32,
    stale: u32,
    misses: u32,
}

async fn second_node(library: &Library) -> Node {
    Node::with(library, TIGHT, Consistency::Strict, SHORT_MEMORY).await
}

async fn replay(steps: &[Step], tallies: &mut [Tally; 2]) -> Result<(), TestCaseError> {
    let library = Library::new();
    let plain = library.engine().await;
    let mut nodes = [Node::new(&library).await, second_node(&library).await];
    let questions = questions(&plain, &cursors(&plain).await).await;
    for question in &questions {
        nodes[0].ask(question).await;
        nodes[1].ask(question).await;
    }
    for (number, step) in steps.iter().enumerate() {
        match &step.what {
            What::Event(Event::Ours { second, text, variables }) => {
                let _ = mutate(&nodes[usize::from(*second)].engine, text, variables).await;
            }
            What::Event(Event::External { pragmas, sql }) => {
                let _ = library.outsider(*pragmas).try_execute(&spelled(sql));
            }
            What::Event(Event::Shell { sql }) => drop(library.shell(sql)),
            What::Event(Event::Restart) => nodes[1] = second_node(&library).await,
            What::Prune(max_records) => {
                let limits =
                    ChangeLogLimits { max_records: *max_records, ..ChangeLogLimits::default() };
                nodes[0].engine.store().prune(limits).await.unwrap();
            }
            What::Maintain(sql) => drop(library.outsider(OUT_OF_THE_BOX).try_execute(sql)),
        }
        for question in &questions {
            let executed = question.ask(&plain).await;
            for (which, (node, tally)) in nodes.iter().zip(&mut *tallies).enumerate() {
                if !step.asked[which] {
                    continue;
                }
                let given = node.ask(question).await;
                match given.source {
                    Source::Hit => tally.hits += 1,
                    Source::Stale => tally.stale += 1,
                    Source::Miss => tally.misses += 1,
                    Source::Bypass => prop_assert!(false, "the cache is off"),
                }
                let (given_text, executed_text) =
                    (given.text(), String::from_utf8_lossy(&executed.body));
                prop_assert!(
                    given_text == executed_text,
                    "node {which} after step {number}, {:?}:\n{given_text}\n{executed_text}\n{}",
                    given.source,
                    question.text
                );
                if which == 0 && !executed.field_errors {
                    let again = node.ask(question).await;
                    prop_assert_eq!(
                        (again.source, &again.body),
                        (Source::Hit, &executed.body),
                        "{}",
                        question.text
                    );
                }
            }
        }
    }
    Ok(())
}

#[test]
fn cached_answers_equal_executed_ones_byte_for_byte() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut tallies = [Tally::default(); 2];
    let cell = std::cell::RefCell::new(&mut tallies);
    check(16, steps(), |steps| runtime.block_on(replay(&steps, *cell.borrow_mut())));
    let [roomy, tight] = tallies;
    assert!(roomy.hits > roomy.stale && roomy.stale > 0, "{roomy:?}");
    assert!(tight.hits > 0 && tight.stale > 0 && tight.misses > 0, "{tight:?}");
}

const WATCHED: [(&str, &str); 13] = [
    ("books of s1", "{ shelf(id: \"s1\") { books { nodes { id } } } }"),
    ("books of s2", "{ shelf(id: \"s2\") { books { nodes { id } } } }"),
    ("count of s1", "{ books(where: {shelfId: {eq: \"s1\"}}) { totalCount } }"),
    ("count of s2", "{ books(where: {shelfId: {eq: \"s2\"}}) { totalCount } }"),
    ("all books", "{ books { nodes { id } } }"),
    ("first book", "{ books(first: 1) { nodes { id title } } }"),
    ("book 5", "{ book(id: \"5\") { title price } }"),
    ("shelf s1", "{ shelf(id: \"s1\") { label } }"),
    ("notes of 1", "{ book(id: \"1\") { notes { nodes { id } } } }"),
    ("notes of 2", "{ book(id: \"2\") { notes { nodes { id } } } }"),
    ("all notes", "{ notes { totalCount } }"),
    ("isbn x9", "{ bookByIsbn(isbn: \"x9\") { id } }"),
    ("words", "{ words { nodes { word } } }"),
];

/// SQL of an external writer, and the answers that are executed again after it.
const WRITES: [(&str, &str); 13] = [
    ("INSERT INTO notes (id, stars, book_id) VALUES ('n9', 2, 2)", "notes of 2, all notes"),
    // No list filters or orders by it: answers that show the row depend on the row itself.
    ("UPDATE books SET price = 77 WHERE id = 5", "books of s1, all books, book 5"),
    // It determines the order of lists, including the one whose page does not show the row; a count
    // has no order.
    ("UPDATE books SET title = 'mie' WHERE id = 5", "books of s1, all books, first book, book 5"),
    // The row moves from one part to another: both are affected.
    (
        "UPDATE books SET shelf_id = 's1', slot = 9 WHERE id = 3",
        "books of s1, books of s2, count of s1, count of s2, all books",
    ),
    // A row appears that a query did not find before.
    ("UPDATE books SET isbn = 'x9' WHERE id = 4", "books of s1, all books, isbn x9"),
    ("UPDATE books SET isbn = NULL WHERE id = 4", "books of s1, all books, isbn x9"),
    ("UPDATE shelves SET label = 'aa' WHERE id = 's1'", "books of s1, shelf s1"),
    (
        "INSERT INTO books (id, title, slot, shelf_id) VALUES (9, 'Far', 7, 's3')",
        "all books, first book",
    ),
    ("DELETE FROM books WHERE id = 9", "all books, first book"),
    ("UPDATE notes SET stars = 4 WHERE id = 'n1'", "notes of 1"),
    ("DELETE FROM words WHERE id = 'w1'", "words"),
    ("UPDATE words SET word = word", ""),
    ("BEGIN; DELETE FROM notes; ROLLBACK", ""),
];

#[tokio::test]
async fn a_write_invalidates_exactly_the_answers_that_depend_on_it() {
    let library = Library::new();
    let node = Node::new(&library).await;
    let outsider = library.outsider(OUT_OF_THE_BOX);
    let mut questions = Vec::new();
    for (_, text) in WATCHED {
        questions.push(Question::new(&node.engine, text, &json!({})).await);
    }
    let names = |numbers: Vec<usize>| {
        numbers.into_iter().map(|n| WATCHED[n].0).collect::<Vec<_>>().join(", ")
    };
    assert_eq!(node.executed(&questions).await.len(), WATCHED.len());
    for (sql, again) in WRITES {
        outsider.execute(sql);
        assert_eq!(names(node.executed(&questions).await), again, "{sql}");
        assert_eq!(names(node.executed(&questions).await), "", "{sql}");
    }
    let move_book = "mutation { updateBook(id: \"3\", patch: {shelfId: \"s2\"}) { id } }";
    mutate(&node.engine, move_book, &json!({})).await.unwrap();
    let again = "books of s1, books of s2, count of s1, count of s2, all books";
    assert_eq!(names(node.executed(&questions).await), again, "by a mutation");
}

#[tokio::test]
async fn spellings_of_the_same_variables_share_one_answer() {
    let library = Library::new();
    let node = Node::new(&library).await;
    let text = "query Some($first: Int = 2, $id: ID) { books(first: $first, where: {shelfId: {eq: $id}}) { totalCount } }";
    let mut executions = Vec::new();
    for variables in
        [json!({"first": 2, "id": "s1"}), json!({"id": "s1"}), json!({"id": "s1", "first": 2})]
    {
        node.ask(&Question::new(&node.engine, text, &variables).await).await;
        executions.push(node.cache.executions());
    }
    node.ask(&Question::new(&node.engine, text, &json!({"id": "s2"})).await).await;
    executions.push(node.cache.executions());
    assert_eq!(executions, [1, 1, 1, 2]);
}

#[tokio::test]
async fn answers_with_field_errors_are_never_cached() {
    let library = Library::new();
    let node = Node::new(&library).await;
    let question =
        Question::new(&node.engine, "{ book(id: \"3\") { id shelf { label } } }", &json!({})).await;
    let outsider = library.outsider(OUT_OF_THE_BOX);
    // SQLite does not enforce foreign keys by default; neither does PostgreSQL for a replica's
    // writes.
    let careless =
        ["", "SET session_replication_role = replica"][usize::from(driver() == Driver::Postgres)];
    outsider.execute(careless);
    outsider.execute("DELETE FROM shelves WHERE id = 's2'");
    for _ in 0..2 {
        let given = node.ask(&question).await;
        assert_eq!(given.source, Source::Miss);
        assert!(given.text().contains("points to a row that does not exist"), "{}", given.text());
    }
    outsider.execute("INSERT INTO shelves (id, label) VALUES ('s2', 'again')");
    assert!(node.ask(&question).await.text().contains("again"));
    if driver() == Driver::Postgres {
        // Nobody had asked for changes when it was executed, so it counts as older than it is.
        assert_eq!(node.ask(&question).await.source, Source::Stale);
    }
    assert_eq!(node.ask(&question).await.source, Source::Hit);
}

#[tokio::test]
async fn a_cache_of_size_zero_executes_every_request() {
    let library = Library::new();
    let node = Node::with(&library, 0, Consistency::Strict, DEFAULT_CAPACITY).await;
    let question = Question::new(&node.engine, WATCHED[0].1, &json!({})).await;
    for executions in 1..4 {
        assert_eq!(node.ask(&question).await.source, Source::Bypass);
        assert_eq!(node.cache.executions(), executions);
    }
}

#[tokio::test]
async fn a_clock_that_evicts_positions_causes_executions_and_no_stale_answer() {
    let library = Library::new();
    let node = Node::with(&library, ROOMY, Consistency::Strict, SHORT_MEMORY).await;
    let outsider = library.outsider(OUT_OF_THE_BOX);
    let shelf = Question::new(&node.engine, "{ shelf(id: \"s3\") { label } }", &json!({})).await;
    node.ask(&shelf).await;
    outsider.execute("UPDATE shelves SET label = 'changed' WHERE id = 's3'");
    // Many other marks displace this one before the next request.
    for number in 0..60 {
        outsider.execute(&format!("UPDATE words SET word = '{number}' WHERE id = 'w1'"));
        outsider
            .execute(&format!("INSERT INTO words (id, word) VALUES ('w{number}x', 'w{number}x')"));
        node.engine.store().catch_up().await.unwrap();
    }
    let given = node.ask(&shelf).await;
    assert_eq!(given.source, Source::Stale);
    assert!(given.text().contains("changed"), "{}", given.text());
}
