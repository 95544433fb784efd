//! PostgreSQL's triggers and rules by a database's authors, which come while the server runs: a
//! mutation's answer shows what is really there, or nothing has happened; and whatever they and
//! other programs write, no ETag ever stands for two bodies.

use std::collections::BTreeMap;

use freshql::graphql::{Answer, Code};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value as Json, json};

use crate::authors::{CREATE, DELETE, MODEL, POST, QUESTIONS, UPDATE};
use crate::shop::Shop;

const ROWS: &str = "
INSERT INTO posts (id, title, rank, state) VALUES (1, 'a', 1, 's'), (2, 'b', 2, 's'), (3, 'c', 3, 't');
INSERT INTO comments (id, text, post_id) VALUES (1, 'x', 1), (2, 'y', 1), (3, 'z', 2);
ALTER TABLE posts ALTER id RESTART WITH 100; ALTER TABLE comments ALTER id RESTART WITH 100";

/// An author's trigger.
#[derive(Debug, Clone)]
struct Author {
    table: &'static str,
    when: &'static str,
    event: &'static str,
    condition: &'static str,
    body: &'static str,
}

impl Author {
    fn sql(&self, number: usize) -> String {
        let Self { table, when, event, condition, body } = self;
        let row = if *event == "DELETE" { "OLD" } else { "NEW" };
        // There is no new row to change.
        let body = if *event == "DELETE" && body.contains("NEW.") { "NULL" } else { body };
        let body = if *event == "INSERT" && body.contains("OLD") { "NULL" } else { body };
        format!(
            "CREATE FUNCTION author_{number}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
               IF pg_trigger_depth() < 3 THEN {body}; END IF; RETURN {row}; END $$;
             CREATE TRIGGER author_{number} {when} {event} ON {table} FOR EACH ROW {condition} EXECUTE FUNCTION author_{number}();"
        )
        .replace("ROW.", &format!("{row}."))
    }
}

fn authors() -> impl Strategy<Value = Vec<Author>> {
    let whens = || select(vec!["BEFORE", "AFTER"]);
    let of_comments = (
        whens(),
        select(vec!["INSERT", "UPDATE", "UPDATE OF text", "DELETE"]),
        select(vec!["", "WHEN (ROW.id < 3)"]),
        select(vec![
            "UPDATE posts SET rank = rank + 1 WHERE id = ROW.post_id",
            "UPDATE comments SET text = text || '?' WHERE id <> ROW.id AND length(text) < 4",
            "DELETE FROM comments WHERE id > ROW.id",
            "NEW.text := NEW.text || '.'",
        ]),
    );
    let of_posts = (
        whens(),
        select(vec!["INSERT", "UPDATE", "UPDATE OF title", "UPDATE OF touched, rank", "DELETE"]),
        select(vec!["", "WHEN (ROW.title = 'b')", "WHEN (ROW.rank > 1)"]),
        select(vec![
            "UPDATE posts SET touched = coalesce(touched, '') || 'x' WHERE id = ROW.id",
            "NEW.touched := coalesce(NEW.touched, '') || 'n'",
            "NEW := OLD",
            "UPDATE posts SET rank = rank + 1 WHERE id <> ROW.id",
            "UPDATE posts SET state = NULL WHERE id <> ROW.id AND state = 's'",
            "UPDATE comments SET text = text || '!' WHERE post_id = ROW.id",
            "DELETE FROM comments WHERE post_id = ROW.id",
            "INSERT INTO audits (what) VALUES (ROW.title)",
            "INSERT INTO posts (title) SELECT 'copy' WHERE (SELECT count(*) FROM posts) < 6",
            "DELETE FROM posts WHERE id = ROW.id AND title = 'c'",
            "RETURN NULL",
            "IF ROW.state = 's' THEN RAISE 'no'; END IF",
        ]),
    );
    let author = |table| {
        move |(when, event, condition, body)| Author { table, when, event, condition, body }
    };
    let author = prop_oneof![2 => of_posts.prop_map(author("posts")), 1 => of_comments.prop_map(author("comments"))];
    prop::collection::vec(author, 0..4)
}

/// An author's rule.
fn rule() -> impl Strategy<Value = &'static str> {
    let rules = vec![
        "CREATE RULE author AS ON UPDATE TO posts WHERE NEW.title = 'b' DO INSTEAD NOTHING",
        "CREATE RULE author AS ON DELETE TO posts DO INSTEAD UPDATE posts SET state = 'gone' WHERE id = OLD.id",
        "CREATE RULE author AS ON UPDATE TO posts DO ALSO INSERT INTO audits (what) VALUES (OLD.title)",
        "CREATE RULE author AS ON DELETE TO posts DO ALSO INSERT INTO audits (what) VALUES (OLD.title)",
    ];
    prop_oneof![2 => Just(""), 1 => select(rules)]
}

/// What other programs do.
fn outside() -> impl Strategy<Value = Option<&'static str>> {
    prop::option::of(select(vec![
        "UPDATE posts SET title = title || '.', rank = 7 WHERE id = 1",
        "UPDATE posts SET id = 12 WHERE id = 3",
        "INSERT INTO posts (id, title) VALUES (2, 'u'), (7, 'v') ON CONFLICT (id) DO UPDATE SET title = 'upserted'",
        "INSERT INTO posts (id, title) VALUES (2, 'u'), (8, 'v') ON CONFLICT DO NOTHING",
        "MERGE INTO comments USING (VALUES (1, 'merged'), (9, 'new')) AS new (id, text) ON comments.id = new.id
           WHEN MATCHED THEN UPDATE SET text = new.text WHEN NOT MATCHED THEN INSERT (id, text, post_id) VALUES (new.id, new.text, 2)",
        "UPDATE comments SET post_id = 3 - post_id WHERE post_id < 3",
        "WITH gone AS (DELETE FROM posts WHERE id = 1 RETURNING title) INSERT INTO audits (what) SELECT title FROM gone",
        "TRUNCATE comments",
        "BEGIN; SAVEPOINT s; DELETE FROM comments; ROLLBACK TO s; UPDATE posts SET rank = 0 WHERE id = 2; COMMIT",
        "SET session_replication_role = replica; UPDATE posts SET state = 't' WHERE id < 3; SET session_replication_role = origin",
    ]))
}

fn mutations() -> impl Strategy<Value = Vec<(&'static str, Json, bool)>> {
    let id = || select(vec!["1", "2", "3"]);
    let patches = || {
        select(vec![
            json!({"title": "b"}),
            json!({"title": "m", "rank": 5}),
            json!({"state": "t"}),
            json!({}),
        ])
    };
    let mutation = prop_oneof![
        select(vec!["a", "b", "n"])
            .prop_map(|title| (CREATE, json!({"title": title, "state": "s"}))),
        (id(), patches()).prop_map(|(id, patch)| (UPDATE, json!({"id": id, "patch": patch}))),
        id().prop_map(|id| (DELETE, json!({"id": id}))),
    ];
    prop::collection::vec(
        (mutation, any::<bool>()).prop_map(|((text, given), t)| (text, given, t)),
        1..6,
    )
}

fn post(shop: &Shop, id: &str) -> Json {
    shop.json(POST, &json!({"id": id}))["data"]["post"].clone()
}

fn it(answer: &Answer) -> Json {
    serde_json::from_slice::<Json>(&answer.body).unwrap()["data"]["it"].clone()
}

/// Everything that is there, including the log.
fn trace(shop: &Shop) -> Vec<Vec<Option<String>>> {
    ["posts", "comments", "audits", "_freshql_change"]
        .into_iter()
        .flat_map(|table| shop.outsider.rows(&format!("SELECT * FROM {table} ORDER BY 1, 2")))
        .collect()
}

/// Previous answers, by ETag.
type Known = BTreeMap<(usize, String), Vec<u8>>;

fn look(shop: &Shop, known: &mut Known) {
    for (at, question) in QUESTIONS.iter().enumerate() {
        let answer = shop.run(question, &json!({})).unwrap();
        let etag = answer.etag.as_ref().expect("nothing hides changes from the log");
        let tag = (at, etag.as_str().to_owned());
        let before = known.entry(tag).or_insert_with(|| answer.body.to_vec());
        assert_eq!(*before, answer.body, "two bodies under one ETag");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn whatever_triggers_and_rules_do_an_answer_is_the_stored_row_or_nothing_was_written(
        authors in authors(),
        rule in rule(),
        mutations in mutations(),
        outside in prop::collection::vec(outside(), 6),
    ) {
        let shop = Shop::on_postgres(MODEL);
        shop.outsider.execute(ROWS);
        let mut known = Known::new();
        look(&shop, &mut known);
        // So that the server has run such statements before.
        let _ = shop.run(UPDATE, &json!({"id": "1", "patch": {"title": "a"}}));
        authors.iter().enumerate().for_each(|(number, author)| shop.outsider.execute(&author.sql(number)));
        shop.outsider.execute(rule);
        for ((text, mut given, with_token), outside) in mutations.into_iter().zip(outside) {
            if let Some(sql) = outside {
                // It may be refused.
                if shop.outsider.try_execute(sql).is_err() {
                    shop.outsider.execute("ROLLBACK; SET session_replication_role = origin");
                }
                look(&shop, &mut known);
            }
            // Statements that have been run before are sent without a check.
            for _ in 0..3 {
                let _ = shop.run(UPDATE, &json!({"id": "2", "patch": given.get("patch")}));
            }
            look(&shop, &mut known);
            let row = post(&shop, given["id"].as_str().unwrap_or("0"));
            if with_token && row.is_object() {
                given["token"] = row["etag"].clone();
            }
            let before = trace(&shop);
            match shop.run(text, &given) {
                Ok(answer) if text == DELETE => prop_assert!(post(&shop, it(&answer)["id"].as_str().unwrap()).is_null()),
                Ok(answer) => prop_assert_eq!(it(&answer), post(&shop, it(&answer)["id"].as_str().unwrap())),
                Err(errors) => {
                    let allowed = [Code::Conflict, Code::NotFound, Code::PreconditionFailed];
                    prop_assert!(allowed.contains(&errors[0].code), "{:?}", errors);
                    prop_assert_eq!(trace(&shop), before, "{:?}", errors);
                }
            }
            look(&shop, &mut known);
        }
    }
}
