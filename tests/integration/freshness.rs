//! The promise itself, over random histories of our own and external writes: equal ETag ⇒ equal
//! bytes; any change to what an answer shows or reads ⇒ another ETag; nothing else changes it; and
//! an answer stays the same until a record of the change log affects one of its dependencies.

use std::collections::HashMap;

use freshql::config::Mode;
use freshql::dependency::{Dependencies, Dependency, Mark};
use freshql::graphql::{Answer, Engine};
use http::header::IF_NONE_MATCH;
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use crate::database::{Driver, Outsider, driver};
use crate::harness::{MERCHANT, MERCHANTS, TestApp, url_with};
use crate::library::{Library, Pragmas, Question, data, mutate, shell, spelled};
use crate::properties::check;

const QUESTIONS: [&str; 24] = [
    "query ByKey { shelf(id: \"s1\") { id etag label room kind } }",
    "query ByKeyNeverThere { shelf(id: \"s9\") { id } }",
    "query ByKeySometimesThere { shelf(id: \"s4\") { label books { totalCount } } }",
    "query ByIntegerKey { book(id: \"2\") { title price weight shelf { id } home { label room } } }",
    "query ByUnique { shelfByLabel(label: \"b\") { id room } }",
    "query ByNullableUnique { bookByIsbn(isbn: \"x3\") { id title } other: bookByIsbn(isbn: \"x9\") { id } }",
    "query ByCompoundUnique { bookByShelfAndSlot(shelfId: \"s2\", slot: 1) { id } first: bookByShelfAndSlot(shelfId: \"s1\", slot: 0) { id title } }",
    "query ByUniqueWithDefault { shelfByRoomAndKind(room: \"hall\", kind: PLAIN) { id label } }",
    "query CutByRelation { shelf(id: \"s1\") { books { nodes { id title } } guests { nodes { id } } } }",
    "query OnlyLengths { shelf(id: \"s2\") { books { nodes { __typename } } guests { totalCount } } }",
    "query CutByFilter { books(where: {shelfId: {eq: \"s2\"}}) { nodes { id slot } totalCount } }",
    "query CutByFloat { books(where: {weight: {eq: 0}}) { nodes { id } } some: books(where: {weight: {eq: 1.5}}) { totalCount } }",
    "query CutByRoom { shelves(where: {room: {eq: \"hall\"}, kind: {neq: FANCY}}) { nodes { id } } }",
    "query Filtered { books(where: {or: [{title: {startsWith: \"a\", mode: INSENSITIVE}}, {price: {gte: \"2.50\"}}]}) { nodes { id etag } } }",
    "query IsNull { books(where: {homeId: {isNull: true}}, orderBy: [{weight: DESC_NULLS_FIRST}]) { nodes { id weight } } }",
    "query FilteredByOther { books(where: {shelf: {room: {eq: \"hall\"}}}) { nodes { title } } }",
    "query FilteredByMany { shelves(where: {books: {some: {notes: {some: {stars: {gt: 2}}}}}}) { nodes { label } } }",
    "query FilteredByNone { shelves(where: {guests: {none: {price: {isNull: true}}}}) { totalCount } }",
    "query Forward { books(first: 2, orderBy: [{title: DESC}]) { edges { cursor node { id } } pageInfo { hasNextPage hasPreviousPage endCursor } } }",
    "query Backward { books(last: 2) { pageInfo { hasNextPage hasPreviousPage startCursor } nodes { id title } } }",
    "query Flags { notes(first: 1) { pageInfo { hasNextPage } } }",
    "query Counts { notes { totalCount } empty: notes(where: {stars: {gt: 4}, text: {isNull: true}}) { nodes { id } totalCount } }",
    "query Deep { shelves { nodes { label books(first: 3) { totalCount nodes { title notes(last: 1) { nodes { stars answered { nodes { id } } } } home { label } } } } } }",
    "query Itself { note(id: \"n1\") { answered { nodes { id text book { shelf { label } } answers { id } } } } words { nodes { word } } }",
];

/// Pages after a fixed cursor, wherever its row moves.
const BEHIND: &str = "query Behind($cursor: String!) { books(first: 2, after: $cursor) { nodes { id } pageInfo { hasNextPage hasPreviousPage } } }";
const IN_FRONT: &str = "query InFront($cursor: String!) { books(last: 2, before: $cursor) { edges { node { title } } pageInfo { hasNextPage hasPreviousPage } } }";
const BY_WEIGHT: &str = "query ByWeight($cursor: String!) { books(first: 1, after: $cursor, orderBy: [{weight: ASC_NULLS_LAST}, {price: DESC}]) { nodes { id price } pageInfo { hasNextPage } } }";

/// One event of a history.
#[derive(Debug, Clone)]
pub(crate) enum Event {
    /// A mutation through one of the two servers.
    Ours { second: bool, text: &'static str, variables: Json },
    /// SQL by an external writer.
    External { pragmas: Pragmas, sql: String },
    /// SQL in the `sqlite3` shell with its default settings.
    Shell { sql: String },
    /// The second server restarts.
    Restart,
}

pub(crate) fn events() -> impl Strategy<Value = Event> {
    let pragmas = (any::<bool>(), any::<bool>()).prop_map(|(foreign_keys, recursive_triggers)| {
        Pragmas { foreign_keys, recursive_triggers }
    });
    prop_oneof![
        8 => (any::<bool>(), mutations()).prop_map(|(second, (text, variables))| Event::Ours { second, text, variables }),
        10 => (pragmas, statements()).prop_map(|(pragmas, sql)| Event::External { pragmas, sql }),
        1 => statements().prop_map(|sql| Event::Shell { sql }),
        1 => Just(Event::Restart),
    ]
}

pub(crate) fn one_of<T: Clone + std::fmt::Debug + 'static>(values: &[T]) -> BoxedStrategy<T> {
    proptest::sample::select(values.to_vec()).boxed()
}

fn shelf() -> BoxedStrategy<&'static str> {
    one_of(&["s1", "s1", "s2", "s3", "s4"])
}

fn book() -> BoxedStrategy<i64> {
    one_of(&[1, 2, 3, 4, 5, 6, 7])
}

fn note() -> BoxedStrategy<&'static str> {
    one_of(&["n1", "n2", "n3", "n4", "n5"])
}

/// Single columns with values, as JSON for a patch.
fn shelf_patch() -> BoxedStrategy<Json> {
    prop_oneof![
        one_of(&["a", "b", "c", "d", "A"]).prop_map(|label| json!({"label": label})),
        one_of(&[json!("hall"), json!("attic"), Json::Null]).prop_map(|room| json!({"room": room})),
        one_of(&["PLAIN", "FANCY"]).prop_map(|kind| json!({"kind": kind})),
        Just(json!({})),
    ]
    .boxed()
}

fn book_patch() -> BoxedStrategy<Json> {
    prop_oneof![
        one_of(&["Ada", "Zen", "ada", "Öl", ""]).prop_map(|title| json!({"title": title})),
        (0..3).prop_map(|slot| json!({"slot": slot})),
        one_of(&[json!("2.50"), json!("9.99"), json!("0.01"), Json::Null])
            .prop_map(|price| json!({"price": price})),
        one_of(&[json!(0.0), json!(-0.0), json!(1.5), json!(0.25), Json::Null])
            .prop_map(|weight| json!({"weight": weight})),
        one_of(&[json!("x1"), json!("x3"), json!("x9"), Json::Null])
            .prop_map(|isbn| json!({"isbn": isbn})),
        shelf().prop_map(|shelf| json!({"shelfId": shelf})),
        one_of(&[json!("s1"), json!("s2"), Json::Null]).prop_map(|home| json!({"homeId": home})),
    ]
    .boxed()
}

fn note_patch() -> BoxedStrategy<Json> {
    prop_oneof![
        one_of(&[json!(1), json!(3), json!(5), Json::Null])
            .prop_map(|stars| json!({"stars": stars})),
        one_of(&[json!("good"), json!(""), Json::Null]).prop_map(|text| json!({"text": text})),
        book().prop_map(|book| json!({"bookId": book.to_string()})),
        one_of(&[json!("n1"), json!("n3"), Json::Null]).prop_map(|note| json!({"answersId": note})),
    ]
    .boxed()
}

fn merged(objects: &[Json]) -> Json {
    Json::Object(objects.iter().flat_map(|object| object.as_object().unwrap().clone()).collect())
}

fn mutations() -> BoxedStrategy<(&'static str, Json)> {
    let update_shelf = "mutation($id: ID!, $patch: ShelfPatch!) { updateShelf(id: $id, patch: $patch) { id etag } }";
    let update_book =
        "mutation($id: ID!, $patch: BookPatch!) { updateBook(id: $id, patch: $patch) { id etag } }";
    let update_note =
        "mutation($id: ID!, $patch: NotePatch!) { updateNote(id: $id, patch: $patch) { id etag } }";
    let create_shelf = "mutation($input: ShelfInput!) { createShelf(input: $input) { id etag } }";
    let create_book = "mutation($input: BookInput!) { createBook(input: $input) { id etag } }";
    let create_note = "mutation($input: NoteInput!) { createNote(input: $input) { id etag } }";
    let delete_shelf = "mutation($id: ID!) { deleteShelf(id: $id) { id books { nodes { id } } } }";
    let delete_book = "mutation($id: ID!) { deleteBook(id: $id) { id } }";
    let delete_note = "mutation($id: ID!) { deleteNote(id: $id) { id } }";
    let word =
        "mutation($word: String!) { updateWord(id: \"w1\", patch: {word: $word}) { id etag } }";
    // The second field fails if the book has notes, which also undoes the first.
    let both = "mutation($id: ID!, $book: ID!, $patch: ShelfPatch!) {
        updateShelf(id: $id, patch: $patch) { id } deleteBook(id: $book) { id } }";
    prop_oneof![
        3 => (shelf(), shelf_patch()).prop_map(move |(id, patch)| (update_shelf, json!({"id": id, "patch": patch}))),
        4 => (book(), book_patch(), book_patch())
            .prop_map(move |(id, a, b)| (update_book, json!({"id": id.to_string(), "patch": merged(&[a, b])}))),
        3 => (note(), note_patch()).prop_map(move |(id, patch)| (update_note, json!({"id": id, "patch": patch}))),
        1 => (shelf(), shelf_patch(), one_of(&["c", "d", "e"])).prop_map(move |(id, patch, label)| {
            (create_shelf, json!({"input": merged(&[json!({"label": label}), patch, json!({"id": id})])}))
        }),
        3 => (book_patch(), book_patch(), shelf(), 0..4).prop_map(move |(a, b, shelf, slot)| {
            let required = json!({"title": "New", "shelfId": shelf, "slot": slot});
            (create_book, json!({"input": merged(&[required, a, b])}))
        }),
        3 => (note(), note_patch(), book()).prop_map(move |(id, patch, book)| {
            (create_note, json!({"input": merged(&[json!({"bookId": book.to_string()}), patch, json!({"id": id})])}))
        }),
        1 => shelf().prop_map(move |id| (delete_shelf, json!({"id": id}))),
        1 => book().prop_map(move |id| (delete_book, json!({"id": id.to_string()}))),
        2 => note().prop_map(move |id| (delete_note, json!({"id": id}))),
        1 => one_of(&["one", "two"]).prop_map(move |text| (word, json!({"word": text}))),
        1 => (shelf(), book(), shelf_patch())
            .prop_map(move |(id, book, patch)| (both, json!({"id": id, "book": book.to_string(), "patch": patch}))),
    ]
    .boxed()
}

/// What other programs do to tables that they know little about.
fn statements() -> BoxedStrategy<String> {
    let text = |values: &[&'static str]| one_of(values).boxed();
    let label = || text(&["'a'", "'b'", "'c'", "'d'"]);
    let room = || text(&["'hall'", "'attic'", "NULL"]);
    let kind = || text(&["'PLAIN'", "'FANCY'"]);
    let isbn = || text(&["'x1'", "'x3'", "'x9'", "NULL"]);
    let weight = || text(&["0.0", "-0.0", "1.5", "NULL"]);
    let stars = || text(&["1", "3", "5", "NULL"]);
    let verb = || text(&["INSERT OR REPLACE", "INSERT OR IGNORE", "INSERT", "REPLACE"]);
    let update = || text(&["UPDATE", "UPDATE OR REPLACE", "UPDATE OR IGNORE"]);
    prop_oneof![
        3 => (verb(), shelf(), label(), room(), kind()).prop_map(|(verb, id, label, room, kind)| format!(
            "{verb} INTO shelves (id, label, room, kind) VALUES ('{id}', {label}, {room}, {kind})")),
        // NULL in a column with a default: REPLACE uses the default.
        1 => (verb(), shelf(), label(), room()).prop_map(|(verb, id, label, room)| format!(
            "{verb} INTO shelves (id, label, room, kind) VALUES ('{id}', {label}, {room}, NULL)")),
        1 => (shelf(), label(), room()).prop_map(|(id, label, room)| format!(
            "INSERT INTO shelves (id, label, room) VALUES ('{id}', {label}, {room}) \
             ON CONFLICT DO UPDATE SET room = excluded.room, label = excluded.label")),
        3 => (verb(), book(), 0..4, isbn(), shelf(), weight()).prop_map(|(verb, id, slot, isbn, shelf, weight)| format!(
            "{verb} INTO books (id, title, slot, isbn, shelf_id, weight) \
             VALUES ({id}, 'Ada', {slot}, {isbn}, '{shelf}', {weight})")),
        1 => (verb(), 0..4, isbn(), shelf()).prop_map(|(verb, slot, isbn, shelf)| format!(
            "{verb} INTO books (title, slot, isbn, shelf_id) \
             VALUES ('New', {slot}, {isbn}, '{shelf}'), ('Newer', {slot} + 1, NULL, '{shelf}')")),
        1 => (book(), isbn(), shelf()).prop_map(|(id, isbn, shelf)| format!(
            "INSERT INTO books (id, title, slot, isbn, shelf_id) VALUES ({id}, 'Up', 1, {isbn}, '{shelf}') \
             ON CONFLICT (id) DO UPDATE SET title = 'Upped' ON CONFLICT (isbn) DO NOTHING")),
        2 => (verb(), note(), stars(), book()).prop_map(|(verb, id, stars, book)| format!(
            "{verb} INTO notes (id, stars, book_id, answers_id) VALUES ('{id}', {stars}, {book}, 'n1')")),
        2 => (update(), book(), isbn(), 0..4, shelf()).prop_map(|(update, id, isbn, slot, shelf)| format!(
            "{update} books SET isbn = {isbn}, slot = {slot}, shelf_id = '{shelf}' WHERE id = {id}")),
        2 => (update(), book(), book()).prop_map(|(update, id, other)| format!(
            "{update} books SET id = {other} WHERE id = {id}")),
        1 => (update(), book(), book()).prop_map(|(update, id, other)| format!(
            "{update} books SET rowid = {other}, title = title || '.' WHERE id = {id}")),
        1 => (update(), shelf(), shelf()).prop_map(|(update, id, other)| format!(
            "{update} shelves SET id = '{other}' WHERE id = '{id}'")),
        1 => (update(), shelf()).prop_map(|(update, id)| format!("{update} shelves SET kind = NULL WHERE id = '{id}'")),
        1 => (update(), label(), room()).prop_map(|(update, label, room)| format!(
            "{update} shelves SET room = {room} WHERE label >= {label}")),
        1 => (note(), note()).prop_map(|(id, other)| format!("UPDATE notes SET id = '{other}' WHERE id = '{id}'")),
        1 => weight().prop_map(|weight| format!("UPDATE books SET weight = {weight}")),
        1 => (update(), 0..3).prop_map(|(update, by)| format!("{update} books SET slot = slot + {by}")),
        1 => stars().prop_map(|stars| format!("UPDATE notes SET stars = {stars}, text = 'mass' WHERE book_id < 3")),
        1 => shelf().prop_map(|id| format!("DELETE FROM shelves WHERE id = '{id}'")),
        1 => book().prop_map(|id| format!("DELETE FROM books WHERE id = {id}")),
        2 => note().prop_map(|id| format!("DELETE FROM notes WHERE id = '{id}' OR answers_id = '{id}'")),
        1 => (book(), 0..40_i64).prop_map(|(id, version)| format!("UPDATE books SET _version = {version} WHERE id <= {id}")),
        1 => (shelf(), label()).prop_map(|(id, label)| format!(
            "BEGIN; UPDATE shelves SET label = 'tmp' WHERE id = '{id}'; DELETE FROM words; ROLLBACK; \
             UPDATE OR IGNORE shelves SET label = {label} WHERE id = '{id}'")),
        1 => text(&["'one'", "'two'", "''"]).prop_map(|word| format!("UPDATE words SET word = {word}")),
        1 => Just("DELETE FROM words".to_owned()),
        1 => Just("REPLACE INTO words (id, word) VALUES ('w1', 'one'), ('w2', 'two')".to_owned()),
    ]
    .boxed()
}

/// What an answer shows and what it read: two answers to a query have the same ETag exactly if
/// these are equal.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Seen {
    data: String,
    versions: Vec<Option<i64>>,
}

/// An answer as a cache would store it.
struct Kept {
    body: Vec<u8>,
    dependencies: Dependencies,
}

/// All previous answers to one query.
#[derive(Default)]
struct Book {
    by_etag: HashMap<String, (Vec<u8>, Seen)>,
    by_seen: HashMap<Seen, String>,
    kept: Option<Kept>,
}

impl Book {
    /// Compares an answer with all previous ones.
    fn enter(&mut self, answer: &Answer, seen: Seen) -> Result<(), TestCaseError> {
        let Some(etag) = &answer.etag else {
            prop_assert!(answer.field_errors, "an answer without error has an ETag");
            return Ok(());
        };
        let etag = etag.as_str().to_owned();
        if let Some((body, before)) = self.by_etag.get(&etag) {
            prop_assert!(
                *body == answer.body,
                "one ETag, two bodies:\n{}\n{}",
                lossy(body),
                lossy(&answer.body)
            );
            prop_assert_eq!(before, &seen, "one ETag, two states");
        }
        if let Some(before) = self.by_seen.get(&seen) {
            prop_assert_eq!(
                before,
                &etag,
                "nothing of the answer has changed but its ETag: {:?}",
                seen
            );
        }
        self.by_etag.insert(etag.clone(), (answer.body.to_vec(), seen.clone()));
        self.by_seen.insert(seen, etag);
        Ok(())
    }

    /// A stored answer must still be correct if none of its dependencies was affected.
    fn verify(&mut self, answer: &Answer, left: &[Mark]) -> Result<(), TestCaseError> {
        if let Some(kept) = &self.kept {
            let marks = kept.dependencies.marks();
            if marks.iter().all(|mark| !left.contains(mark)) {
                let (was, is) = (lossy(&kept.body), lossy(&answer.body));
                prop_assert!(
                    was == is,
                    "stale, though nothing that it depends on was hit:\n{was}\n{is}"
                );
                prop_assert_eq!(marks, answer.dependencies.marks());
            }
        }
        self.kept =
            Some(Kept { body: answer.body.to_vec(), dependencies: answer.dependencies.clone() });
        Ok(())
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Counts what happened in all histories, so that a test without effect is noticed.
#[derive(Debug, Default)]
struct Tally {
    written: u32,
    refused: u32,
    valid: u32,
    hit: u32,
    hit_in_vain: u32,
    with_errors: u32,
}

/// Cursors of the initial rows.
pub(crate) struct Cursors {
    by_title: String,
    by_weight: String,
}

pub(crate) async fn cursors(engine: &Engine) -> Cursors {
    let by_title = "{ books(orderBy: [{title: ASC}]) { edges { cursor } } }";
    let by_weight =
        "{ books(orderBy: [{weight: ASC_NULLS_LAST}, {price: DESC}]) { edges { cursor } } }";
    let by_title = Question::new(engine, by_title, &json!({})).await.ask(engine).await;
    let by_weight = Question::new(engine, by_weight, &json!({})).await.ask(engine).await;
    Cursors { by_title: cursor_of(&by_title, 2), by_weight: cursor_of(&by_weight, 1) }
}

pub(crate) async fn questions(engine: &Engine, cursors: &Cursors) -> Vec<Question> {
    let mut questions = Vec::new();
    for text in QUESTIONS {
        questions.push(Question::new(engine, text, &json!({})).await);
    }
    let paged = [
        (BEHIND, &cursors.by_title),
        (IN_FRONT, &cursors.by_title),
        (BY_WEIGHT, &cursors.by_weight),
    ];
    for (text, cursor) in paged {
        questions.push(Question::new(engine, text, &json!({"cursor": cursor})).await);
    }
    questions
}

fn cursor_of(answer: &Answer, index: usize) -> String {
    let body: Json = serde_json::from_slice(&answer.body).unwrap();
    body["data"]["books"]["edges"][index]["cursor"].as_str().unwrap().to_owned()
}

async fn replay(history: &[Event], tally: &mut Tally) -> Result<(), TestCaseError> {
    let library = Library::new();
    let first = library.engine().await;
    let mut second = library.engine().await;
    let plain = library.outsider(Pragmas { foreign_keys: false, recursive_triggers: false });
    let cursors = cursors(&first).await;
    let first_questions = questions(&first, &cursors).await;
    let mut second_questions = questions(&second, &cursors).await;
    let mut books: Vec<Book> = first_questions.iter().map(|_| Book::default()).collect();
    library.left().await;

    for (number, event) in std::iter::once(None).chain(history.iter().map(Some)).enumerate() {
        let done = match event {
            None => true,
            Some(Event::Ours { second: by_second, text, variables }) => {
                mutate(if *by_second { &second } else { &first }, text, variables).await.is_ok()
            }
            Some(Event::External { pragmas, sql }) => {
                library.outsider(*pragmas).try_execute(&spelled(sql)).is_ok()
            }
            Some(Event::Shell { sql }) => library.shell(sql),
            Some(Event::Restart) => {
                second = library.engine().await;
                second_questions = questions(&second, &cursors).await;
                true
            }
        };
        *(if done { &mut tally.written } else { &mut tally.refused }) += 1;
        let left = library.left().await;
        if let (Some(Event::Ours { .. }), false) = (event, done) {
            prop_assert_eq!(&left, &[], "a refused mutation has changed something");
        }
        for ((question, again), book) in
            first_questions.iter().zip(&second_questions).zip(&mut books)
        {
            let answer = question.ask(&first).await;
            let other = again.ask(&second).await;
            let context = |error: TestCaseError| match error {
                TestCaseError::Fail(why) => {
                    TestCaseError::fail(format!("{why}\n{}\nafter event {number}", question.text))
                }
                reject => reject,
            };
            compare(&library, &plain, &answer, &other, book, &left, tally).map_err(context)?;
        }
    }
    Ok(())
}

fn compare(
    library: &Library,
    connection: &Outsider,
    answer: &Answer,
    other: &Answer,
    book: &mut Book,
    left: &[Mark],
    tally: &mut Tally,
) -> Result<(), TestCaseError> {
    prop_assert_eq!(lossy(&answer.body), lossy(&other.body), "two servers on one database");
    prop_assert_eq!(
        answer.etag.map(|etag| etag.as_str().to_owned()),
        other.etag.map(|etag| etag.as_str().to_owned())
    );
    let rows = answer
        .dependencies
        .all
        .iter()
        .filter(|dependency| matches!(dependency, Dependency::Row(..)));
    let versions = rows.map(|row| library.version(connection, row)).collect();
    tally.with_errors += u32::from(answer.field_errors);
    let was_hit = answer.dependencies.marks().iter().any(|mark| left.contains(mark));
    let same = book.kept.as_ref().is_some_and(|kept| kept.body == answer.body);
    *(match (was_hit, same) {
        (false, _) => &mut tally.valid,
        (true, false) => &mut tally.hit,
        (true, true) => &mut tally.hit_in_vain,
    }) += 1;
    book.enter(answer, Seen { data: data(answer).to_owned(), versions })?;
    book.verify(answer, left)
}

#[test]
fn an_etag_tells_exactly_whether_the_answer_is_the_same_and_dependencies_whether_it_may_not_be() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut tally = Tally::default();
    let tally_cell = std::cell::RefCell::new(&mut tally);
    let histories = proptest::collection::vec(events(), 1..40);
    check(24, histories, |history| runtime.block_on(replay(&history, *tally_cell.borrow_mut())));
    assert!(tally.written > tally.refused, "{tally:?}");
    assert!(tally.valid > tally.hit && tally.hit > tally.hit_in_vain, "{tally:?}");
    assert!(tally.with_errors * 10 < tally.valid + tally.hit + tally.hit_in_vain, "{tally:?}");
}

/// The names of the queries whose answers a cache would execute again after this SQL.
async fn executed_again(sql: &str) -> Vec<&'static str> {
    let library = Library::new();
    let engine = library.engine().await;
    let outsider = library.outsider(Pragmas { foreign_keys: true, recursive_triggers: false });
    let questions = questions(&engine, &cursors(&engine).await).await;
    library.left().await;
    let mut answers = Vec::new();
    for question in &questions {
        answers.push(question.ask(&engine).await);
    }
    outsider.execute(sql);
    let left = library.left().await;
    let is_hit =
        |answer: &Answer| answer.dependencies.marks().iter().any(|mark| left.contains(mark));
    let again = questions.iter().zip(&answers).filter(|(_, answer)| is_hit(answer));
    again.map(|(question, _)| question.text.split([' ', '(']).nth(1).unwrap()).collect()
}

#[tokio::test]
async fn a_write_makes_only_those_answers_execute_again_that_it_may_have_changed() {
    for (sql, again) in [
        // A book on another shelf, with a weight that no query asks for: affects the lists of all
        // books, and those of every shelf.
        (
            "INSERT INTO books (id, title, slot, weight, shelf_id) VALUES (9, 'Far', 7, 8.5, 's3')",
            "Filtered IsNull FilteredByOther FilteredByMany FilteredByNone Forward Backward Deep Behind InFront ByWeight",
        ),
        // No list except the counted one filters or orders by the text; the deep answer shows it.
        ("UPDATE notes SET text = 'better' WHERE id = 'n4'", "Counts Deep"),
        // The key that was looked up without success; a part that the row enters (its kind is a
        // default); all shelves.
        (
            "INSERT INTO shelves (id, label) VALUES ('s4', 'z')",
            "ByKeySometimesThere ByUniqueWithDefault FilteredByMany FilteredByNone Deep",
        ),
        ("UPDATE words SET word = 'wort'", "Itself"),
        ("UPDATE words SET word = word", ""),
        ("BEGIN; DELETE FROM words; UPDATE books SET slot = slot + 100; ROLLBACK", ""),
    ] {
        assert_eq!(executed_again(sql).await.join(" "), again, "{sql}");
    }
}

#[tokio::test]
async fn negative_zero_and_zero_never_share_an_etag() {
    let library = Library::new();
    let engine = library.engine().await;
    let outsider = library.outsider(Pragmas { foreign_keys: true, recursive_triggers: false });
    let question = Question::new(&engine, "{ book(id: \"1\") { weight } }", &json!({})).await;
    let list =
        Question::new(&engine, "{ books(where: {weight: {eq: 0}}) { totalCount } }", &json!({}))
            .await;
    let negative =
        Question::new(&engine, "{ books(where: {weight: {eq: -0.0}}) { totalCount } }", &json!({}))
            .await;
    let before = question.ask(&engine).await;
    outsider.execute(&spelled("UPDATE books SET weight = -0.0 WHERE id = 1"));
    let after = question.ask(&engine).await;
    assert_eq!(
        before.etag == after.etag,
        before.body == after.body,
        "{} {}",
        lossy(&before.body),
        lossy(&after.body)
    );

    for (question, zero) in [(&list, -0.0), (&negative, 0.0), (&list, 0.0), (&negative, -0.0)] {
        outsider.execute("UPDATE books SET weight = 7 WHERE id = 2");
        library.left().await;
        let before = question.ask(&engine).await;
        outsider.execute(&spelled(&format!("UPDATE books SET weight = {zero:?} WHERE id = 2")));
        let left = library.left().await;
        assert_ne!(question.ask(&engine).await.body, before.body);
        assert!(
            before.dependencies.marks().iter().any(|mark| left.contains(mark)),
            "{zero}: {:?}",
            before.dependencies
        );
    }
}

#[tokio::test]
async fn a_replace_that_falls_back_to_a_default_invalidates_readers_of_the_displaced_row() {
    // Only SQLite has REPLACE.
    if driver() != Driver::Sqlite {
        return;
    }
    for sql in [
        "REPLACE INTO shelves (id, label, room, kind) VALUES ('new', 'new', 'hall', NULL)",
        "UPDATE OR REPLACE shelves SET kind = NULL WHERE id = 's2'",
    ] {
        let library = Library::new();
        let engine = library.engine().await;
        let outsider = library.outsider(Pragmas { foreign_keys: false, recursive_triggers: false });
        let question = Question::new(&engine, "{ shelf(id: \"s1\") { label } }", &json!({})).await;
        let before = question.ask(&engine).await;
        let everything = Mark::everything(library.model.entity_by_name("Shelf").unwrap().id);
        library.left().await;
        outsider.execute(sql);
        assert_eq!(data(&question.ask(&engine).await), "{\"data\":{\"shelf\":null}");
        let left = library.left().await;
        assert!(
            before
                .dependencies
                .marks()
                .iter()
                .filter(|mark| **mark != everything)
                .all(|mark| left.contains(mark)),
            "{sql}"
        );
    }
}

/// Over HTTP: an external write shows in the next conditional answer, and nothing else is sent
/// again.
#[tokio::test]
async fn a_write_by_another_program_changes_the_next_conditional_get() {
    let app = TestApp::start(Mode::Trusted).await;
    let (changed, _) = app.create_merchant("Changed from outside").await;
    let (unchanged, _) = app.create_merchant("Left alone").await;
    let path = |id: &str| url_with(MERCHANT, &json!({"id": id}));
    let list = url_with(MERCHANTS, &json!({"first": 100}));
    let untouched = app.get(&path(&unchanged)).await;

    let in_the_shell = |sql: &str| driver() == Driver::Sqlite && shell(&app.database(), sql);
    let by_a_connection = |sql: &str| {
        app.outsider().execute(sql);
        true
    };
    let programs: [&dyn Fn(&str) -> bool; 2] = [&in_the_shell, &by_a_connection];
    for (number, write) in programs.iter().enumerate() {
        let (row, all) = (app.get(&path(&changed)).await, app.get(&list).await);
        if !write(&format!("UPDATE merchants SET city = 'Moved {number}' WHERE id = '{changed}'")) {
            continue;
        }
        let new = app.get_with(&path(&changed), &[(IF_NONE_MATCH, row.etag())]).await;
        assert_eq!(
            (new.status.as_u16(), &new.json()["data"]["merchant"]["city"]),
            (200, &json!(format!("Moved {number}")))
        );
        assert_ne!(new.etag(), row.etag());
        assert_ne!(new.json()["data"]["merchant"]["etag"], row.json()["data"]["merchant"]["etag"]);
        let new = app.get_with(&list, &[(IF_NONE_MATCH, all.etag())]).await;
        assert_eq!(new.status, 200);
        let same = app.get_with(&path(&unchanged), &[(IF_NONE_MATCH, untouched.etag())]).await;
        assert_eq!((same.status.as_u16(), same.etag()), (304, untouched.etag()));

        assert!(write(&format!(
            "DELETE FROM merchants WHERE name = 'Short-lived'; INSERT INTO merchants (id, name, description, city) VALUES ('01900000-0000-7000-8000-00000000000{number}', 'Short-lived', '', 'X')"
        )));
        assert_eq!(
            app.get_with(
                &path(&changed),
                &[(IF_NONE_MATCH, app.get(&path(&changed)).await.etag())]
            )
            .await
            .status,
            304
        );
        assert_eq!(
            app.get_with(&list, &[(IF_NONE_MATCH, new.etag())]).await.status,
            200,
            "one more in the list"
        );
    }
}
