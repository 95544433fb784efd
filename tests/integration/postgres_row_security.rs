//! Row-level security of PostgreSQL: a policy may show other rows at any time, without a change to
//! any of them. So tables where policies apply to the server's role are served without ETags.

use std::path::Path;

use serde_json::json;

use crate::postgres::Postgres;
use crate::program::{Program, of_project};
use crate::pulled::get;

const MODEL: &str = "type Note @entity { id: ID! @id @default(fn: AUTOINCREMENT) writer: String! }
type Tag @entity { id: ID! @id @default(fn: AUTOINCREMENT) name: String! }";

const NOTES: &str = "{ notes { totalCount nodes { writer } } }";
const TAGS: &str = "{ tags { nodes { name } } }";

fn freshql(directory: &Path, database: &str, arguments: &[&str]) -> (bool, String) {
    let mut command = of_project(directory);
    let output = command.args(["--database", database]).args(arguments).output().unwrap();
    let said = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    (output.status.success(), said.concat())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_policies_hide_from_the_server_is_served_without_etags() {
    let Some(postgres) = Postgres::start() else { return };
    postgres.create("notes");
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    std::fs::write(path.join("schema.graphql"), MODEL).unwrap();
    let owner = postgres.url("notes");
    for arguments in [&["migrate", "new", "create"], &["migrate", "up"][..]] {
        let (is_done, said) = freshql(path, &owner, arguments);
        assert!(is_done, "{said}");
    }
    postgres.run(
        "notes",
        "CREATE ROLE app LOGIN; GRANT ALL ON ALL TABLES IN SCHEMA public TO app; GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO app;
         CREATE TABLE friends (name text); GRANT SELECT ON friends TO app;
         INSERT INTO friends VALUES ('Ada'); INSERT INTO tags (name) VALUES ('t');
         INSERT INTO notes (writer) VALUES ('Ada'), ('Bob')",
    );
    let app = owner.replace("freshql@", "app@");
    let variables = [("FRESHQL_DATABASE", app.as_str()), ("FRESHQL_MODE", "open")];
    let node = Program::start_with(path, &variables).await;
    let (_, all, _) = get(&node, NOTES, None).await;
    assert!(all.is_some());

    postgres.run(
        "notes",
        "CREATE POLICY friends ON notes USING (writer IN (SELECT name FROM friends)); ALTER TABLE notes ENABLE ROW LEVEL SECURITY",
    );
    let (status, etag, some) = get(&node, NOTES, all.as_deref()).await;
    assert_eq!((status, etag), (200, None), "{some}");
    assert_eq!(some["data"]["notes"], json!({"totalCount": 1, "nodes": [{"writer": "Ada"}]}));
    postgres.run("notes", "INSERT INTO friends VALUES ('Bob')");
    let (status, etag, both) = get(&node, NOTES, all.as_deref()).await;
    assert_eq!((status, etag), (200, None), "{both}");
    assert_eq!(both["data"]["notes"]["totalCount"], 2);
    let (_, tags, _) = get(&node, TAGS, None).await;
    assert_eq!(get(&node, TAGS, tags.as_deref()).await.0, 304, "no policy is on this table");

    let applies = "row-level security applies to this role";
    let (is_done, said) = freshql(path, &app, &["check"]);
    assert!(!is_done && said.contains(applies), "{said}");
    let elsewhere = tempfile::tempdir().unwrap();
    let (is_done, said) = freshql(elsewhere.path(), &app, &["model", "pull"]);
    assert!(!is_done && said.contains(&format!("`notes`: {applies}")), "{said}");
    // They do not apply to the owner.
    let (is_done, said) = freshql(path, &owner, &["check"]);
    assert!(is_done, "{said}");

    // Only the role is altered, and what was prepared before knows nothing of policies.
    postgres.run("notes", "ALTER ROLE app BYPASSRLS; DELETE FROM friends");
    let (_, mine, shown) = get(&node, NOTES, None).await;
    assert!(mine.is_some() && shown["data"]["notes"]["totalCount"] == 2, "{shown}");
    assert_eq!(get(&node, NOTES, mine.as_deref()).await.0, 304);
    postgres.run("notes", "ALTER ROLE app NOBYPASSRLS");
    let (status, etag, none) = get(&node, NOTES, mine.as_deref()).await;
    assert_eq!((status, etag), (200, None), "{none}");
    assert_eq!(none["data"]["notes"]["totalCount"], 0, "{none}");

    postgres.run("notes", "ALTER TABLE notes DISABLE ROW LEVEL SECURITY");
    let (status, etag, _) = get(&node, NOTES, all.as_deref()).await;
    assert!(status == 200 && etag.is_some() && etag != all, "the definition has changed");

    postgres.run("notes", "REVOKE SELECT ON notes FROM app");
    let (status, _, refused) = get(&node, NOTES, etag.as_deref()).await;
    assert_eq!(status, 503, "{refused}");
    let (is_done, said) = freshql(path, &app, &["check"]);
    assert!(!is_done && said.contains("this role may not read `notes.id`"), "{said}");
    postgres.run("notes", "GRANT SELECT ON notes TO app");
    assert_eq!(get(&node, NOTES, etag.as_deref()).await.0, 304);
}
