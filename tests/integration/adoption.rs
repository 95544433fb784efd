//! Adopting an existing database: a music shop with more than two thousand rows, like common sample
//! databases. Afterwards, every row is still there, its tables are as their authors made them, and
//! answers about it are as reliable as all others.

use std::path::{Path, PathBuf};
use std::process::Output;

use freshql::app::RunningServer;
use freshql::config::Mode;
use rusqlite::Connection;
use rusqlite::types::Value as Sql;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::serve;
use crate::program::of_project;

const TABLES: &str = "
CREATE TABLE [Artist] ([ArtistId] INTEGER NOT NULL, [Name] NVARCHAR(120), CONSTRAINT [PK_Artist] PRIMARY KEY ([ArtistId]));
CREATE TABLE [Album] (
    [AlbumId] INTEGER NOT NULL, [Title] NVARCHAR(160) NOT NULL, [ArtistId] INTEGER NOT NULL,
    CONSTRAINT [PK_Album] PRIMARY KEY ([AlbumId]),
    FOREIGN KEY ([ArtistId]) REFERENCES [Artist] ([ArtistId]) ON DELETE NO ACTION ON UPDATE NO ACTION);
CREATE TABLE Genre (GenreId INTEGER PRIMARY KEY, Name TEXT NOT NULL UNIQUE);
CREATE TABLE \"Track\" (
    TrackId INTEGER NOT NULL PRIMARY KEY, Name NVARCHAR(200) NOT NULL, AlbumId INTEGER REFERENCES Album (AlbumId),
    GenreId INTEGER REFERENCES Genre ON DELETE SET NULL, Composer NVARCHAR(220), Milliseconds INTEGER NOT NULL,
    Bytes INTEGER, UnitPrice NUMERIC(10,2) NOT NULL DEFAULT 0.99, Preview BLOB NOT NULL DEFAULT x'00', Live BOOLEAN NOT NULL DEFAULT 0);
CREATE TABLE employees (
    id INTEGER PRIMARY KEY AUTOINCREMENT, last_name TEXT NOT NULL, first_name TEXT NOT NULL, reports_to INT REFERENCES employees (id),
    hired_on DATE, email TEXT COLLATE NOCASE UNIQUE);
CREATE TABLE customers (
    code VARCHAR(10) NOT NULL PRIMARY KEY, name TEXT NOT NULL, support_rep_id INTEGER REFERENCES employees (id) ON DELETE SET NULL,
    since DATETIME DEFAULT CURRENT_TIMESTAMP, settings JSON, status TEXT NOT NULL DEFAULT 'new' CHECK (status IN ('new', 'old')));
CREATE TABLE invoices (
    id INTEGER PRIMARY KEY, customer_code VARCHAR(10) NOT NULL REFERENCES customers (code) ON DELETE CASCADE, made_at TIMESTAMP NOT NULL,
    total DECIMAL(10,2) NOT NULL);
CREATE TABLE \"invoice lines\" (
    id INTEGER PRIMARY KEY, invoice_id INT NOT NULL REFERENCES invoices, track_id INT NOT NULL REFERENCES Track (TrackId),
    quantity INT NOT NULL DEFAULT 1, UNIQUE (invoice_id, track_id));
CREATE TABLE Playlist (PlaylistId INTEGER PRIMARY KEY, Name NVARCHAR(120));
CREATE TABLE PlaylistTrack (
    PlaylistId INTEGER NOT NULL REFERENCES Playlist, TrackId INTEGER NOT NULL REFERENCES Track, PRIMARY KEY (PlaylistId, TrackId));
CREATE TABLE countries (code TEXT PRIMARY KEY, name TEXT);
CREATE TABLE log (line TEXT);
CREATE INDEX IFK_AlbumArtistId ON Album (ArtistId);
CREATE INDEX track_names ON Track (Name);
CREATE VIEW long_tracks AS SELECT * FROM Track WHERE Milliseconds > 300000;
CREATE TRIGGER track_log AFTER UPDATE OF UnitPrice ON Track BEGIN INSERT INTO log VALUES (NEW.Name); END;
";

const ROWS: &str = "
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60)
    INSERT INTO Artist SELECT i, 'Artist ' || i FROM n;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 150)
    INSERT INTO Album SELECT i, 'Album ' || i, 1 + i * 7 % 60 FROM n;
INSERT INTO Genre VALUES (1, 'Rock'), (2, 'Jazz'), (3, 'Fado');
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1200)
    INSERT INTO Track (TrackId, Name, AlbumId, GenreId, Composer, Milliseconds, Bytes, UnitPrice, Live)
    SELECT i, 'Track ' || i, 1 + i % 150, nullif(i % 4, 0), nullif('Composer ' || i % 20, 'Composer 3'), 1000 * i,
        3000000000 + i, CASE i % 3 WHEN 0 THEN 1 ELSE 0.99 END, i % 2 FROM n;
INSERT INTO employees (id, last_name, first_name, reports_to, hired_on, email) VALUES
    (1, 'Adams', 'Ann', NULL, '2002-08-14', 'ann@x.example'), (2, 'Berg', 'Bo', 1, '2003-05-01', 'bo@x.example'), (3, 'Cruz', 'Cy', 2, NULL, NULL);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 80)
    INSERT INTO customers SELECT printf('C%04d', i), 'Customer ' || i, 1 + i % 3, '2009-01-0' || (1 + i % 9) || ' 10:00:00', '{\"a\": ' || i || '}', 'old' FROM n;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300)
    INSERT INTO invoices SELECT i, printf('C%04d', 1 + i % 80), 1230768000 + i * 86400, i * 0.99 FROM n;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 900)
    INSERT INTO \"invoice lines\" SELECT i, 1 + i % 300, i, 1 + i % 2 FROM n;
INSERT INTO Playlist VALUES (1, 'Music'), (2, NULL);
INSERT INTO PlaylistTrack SELECT 1 + TrackId % 2, TrackId FROM Track;
INSERT INTO log VALUES ('begin');
INSERT INTO countries VALUES ('pt', 'Portugal'), ('br', 'Brasil');
";

fn freshql(directory: &Path, arguments: &[&str]) -> Output {
    of_project(directory).args(arguments).output().unwrap()
}

#[track_caller]
fn succeed(directory: &Path, arguments: &[&str]) -> String {
    let output = freshql(directory, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

struct Shop {
    directory: TempDir,
}

impl Shop {
    fn new() -> Self {
        let shop = Self { directory: tempfile::tempdir().unwrap() };
        let database = shop.database();
        database.execute_batch("PRAGMA foreign_keys = ON").unwrap();
        database.execute_batch(TABLES).unwrap();
        database.execute_batch(ROWS).unwrap();
        shop
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn file(&self) -> PathBuf {
        self.path().join("freshql.db")
    }

    fn database(&self) -> Connection {
        Connection::open(self.file()).unwrap()
    }

    /// All rows of all tables except freshql's own, by table, without versions.
    fn rows(&self) -> Vec<(String, Vec<Vec<Sql>>)> {
        let database = self.database();
        let names = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%' AND name NOT LIKE '\\_freshql%' ESCAPE '\\' ORDER BY name";
        let names: Vec<String> = database
            .prepare(names)
            .unwrap()
            .query_map([], |row| row.get(0))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        let rows_of = |name: &String| {
            let mut statement =
                database.prepare(&format!("SELECT * FROM \"{name}\" ORDER BY rowid")).unwrap();
            let columns: Vec<usize> = statement
                .column_names()
                .enumerate()
                .filter(|(_, name)| *name != "_version")
                .map(|(i, _)| i)
                .collect();
            let rows = statement
                .query_map([], |row| {
                    columns.iter().map(|i| row.get(*i)).collect::<Result<Vec<Sql>, _>>()
                })
                .unwrap();
            rows.map(Result::unwrap).collect::<Vec<_>>()
        };
        names.iter().map(|name| (name.clone(), rows_of(name))).collect()
    }

    async fn serve(&self) -> Served {
        Served { running: serve(self.path(), Mode::Open).await, client: reqwest::Client::new() }
    }
}

struct Served {
    running: RunningServer,
    client: reqwest::Client,
}

impl Served {
    async fn ask(&self, query: &str) -> Value {
        let url = format!("http://{}/graphql", self.running.address);
        let answer = self.client.post(url).json(&json!({ "query": query })).send().await.unwrap();
        let json: Value = answer.json().await.unwrap();
        assert_eq!(json.get("errors"), None, "{query}: {json:#}");
        json["data"].clone()
    }

    /// The status and the ETag of this query file.
    async fn get(&self, text: &str, etag: Option<&str>) -> (u16, String) {
        let id = freshql::document_id::DocumentId::of(text);
        let mut request = self.client.get(format!("http://{}/q/{id}", self.running.address));
        if let Some(etag) = etag {
            request = request.header("if-none-match", etag);
        }
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.headers()["etag"].to_str().unwrap().to_owned())
    }
}

/// `model pull`, `migrate new`, `migrate up`.
fn adopted() -> Shop {
    let shop = Shop::new();
    succeed(shop.path(), &["model", "pull"]);
    succeed(shop.path(), &["migrate", "new", "adopt"]);
    succeed(shop.path(), &["migrate", "up"]);
    shop
}

#[test]
fn a_pulled_model_describes_the_existing_database() {
    let shop = Shop::new();
    let said = succeed(shop.path(), &["model", "pull"]);
    assert!(said.contains("10 tables are entities\n"), "{said}");
    assert!(
        said.contains("left out `PlaylistTrack`: its primary key has several columns\n"),
        "{said}"
    );
    assert!(said.contains("left out `log`: it has no primary key\n"), "{said}");
    assert!(said.contains("left out `long_tracks`: it is a view\n"), "{said}");
    assert!(!shop.path().join("freshql.db-wal").exists(), "the database was only looked at");
    let model = std::fs::read_to_string(shop.path().join("schema.graphql")).unwrap();
    insta::assert_snapshot!("model_of_an_existing_database", model);
}

#[test]
fn adoption_loses_no_row_and_leaves_the_tables_unchanged() {
    for managed in [false, true] {
        adoption_loses_no_row(managed);
    }
}

/// With the model as it was pulled, or after its author has allowed freshql to change the tables.
fn adoption_loses_no_row(managed: bool) {
    let shop = Shop::new();
    let before = shop.rows();
    assert!(before.iter().map(|(_, rows)| rows.len()).sum::<usize>() > 2000);
    succeed(shop.path(), &["model", "pull"]);
    if managed {
        let model = shop.path().join("schema.graphql");
        let text = std::fs::read_to_string(&model).unwrap();
        std::fs::write(model, text.replace("managed: false", "managed: true")).unwrap();
    }
    let said = succeed(shop.path(), &["migrate", "new", "adopt"]);
    assert!(said.contains("migrations/0002_adopt.sqlite.sql"), "{said}");
    let migration =
        std::fs::read_to_string(shop.path().join("migrations/0002_adopt.sqlite.sql")).unwrap();
    assert!(!migration.contains("DROP TABLE"), "{migration}");
    assert_eq!(
        migration.matches("ALTER TABLE").count(),
        if managed { 10 } else { 0 },
        "{migration}"
    );
    succeed(shop.path(), &["migrate", "up"]);
    assert_eq!(shop.rows(), before);
    let said = succeed(shop.path(), &["check"]);
    assert!(said.contains("its database fits"), "{said}");
    assert!(succeed(shop.path(), &["migrate", "new", "again"]).contains("nothing was written"));

    // The same migrations create the same tables in an empty database.
    let url = format!("sqlite:{}", shop.path().join("empty.db").display());
    succeed(shop.path(), &["--database", &url, "migrate", "up"]);
    succeed(shop.path(), &["--database", &url, "check"]);
}

#[tokio::test]
async fn adopted_rows_are_read_filtered_and_related_both_ways() {
    let shop = adopted();
    let served = shop.serve().await;
    let data = served
        .ask(
            r#"{ artist(id: "8") { name albums(first: 2, orderBy: [{ id: ASC }]) { totalCount nodes { id title
                tracks(first: 1) { nodes { name unitPrice bytes live genre { name } } } } } } }"#,
        )
        .await;
    assert_eq!(
        data["artist"],
        json!({ "name": "Artist 8", "albums": { "totalCount": 3, "nodes": [
            { "id": "1", "title": "Album 1", "tracks": { "nodes": [
                { "name": "Track 150", "unitPrice": 1.0, "bytes": "3000000150", "live": false, "genre": { "name": "Jazz" } }] } },
            { "id": "61", "title": "Album 61", "tracks": { "nodes": [
                { "name": "Track 60", "unitPrice": 1.0, "bytes": "3000000060", "live": false, "genre": null }] } },
        ] } })
    );
    let data = served
        .ask(
            r#"{ tracks(where: { unitPrice: { lt: 1 }, live: { eq: true }, genre: { name: { eq: "Fado" } } }) { totalCount }
                employee(id: "1") { employeesByReportsTo { nodes { firstName customers { totalCount } } } }
                customer(code: "C0009") { since settings invoices { nodes { total invoiceLines { totalCount } } } } }"#,
        )
        .await;
    let count = "SELECT count(*) FROM Track WHERE UnitPrice < 1 AND Live AND GenreId = 3";
    let count: i64 = shop.database().query_row(count, [], |row| row.get(0)).unwrap();
    assert_eq!(data["tracks"]["totalCount"], count);
    assert_eq!(
        data["employee"]["employeesByReportsTo"]["nodes"],
        json!([{ "firstName": "Bo", "customers": { "totalCount": 27 } }])
    );
    assert_eq!(data["customer"]["since"], "2009-01-01 10:00:00");
    assert_eq!(data["customer"]["settings"], json!({ "a": 9 }));
    assert_eq!(data["customer"]["invoices"]["nodes"][0]["invoiceLines"]["totalCount"], 3);
    // Every row of every entity can be shown.
    for (list, fields) in [
        ("tracks", "id name composer milliseconds bytes unitPrice live albumId genreId"),
        ("invoices", "id madeAt total customerId"),
        ("invoiceLines", "id quantity invoiceId trackId"),
        ("employees", "id lastName hiredOn email reportsToId"),
        ("customers", "code name since settings status"),
    ] {
        let mut after = Value::Null;
        loop {
            let page = served
                .ask(&format!("{{ {list}(first: 100, after: {after}) {{ nodes {{ {fields} }} pageInfo {{ hasNextPage endCursor }} }} }}"))
                .await;
            after = page[list]["pageInfo"]["endCursor"].clone();
            if page[list]["pageInfo"]["hasNextPage"] == json!(false) {
                break;
            }
        }
    }
}

#[tokio::test]
async fn adopted_rows_are_written_and_conditional_gets_hold() {
    let shop = adopted();
    let text = "query Track7 { track(id: 7) { id name unitPrice } }\n";
    let list = "query Albums { artist(id: 8) { albums { totalCount } } }\n";
    std::fs::create_dir(shop.path().join("queries")).unwrap();
    std::fs::write(shop.path().join("queries/track.graphql"), text).unwrap();
    std::fs::write(shop.path().join("queries/albums.graphql"), list).unwrap();
    let served = shop.serve().await;
    let (status, etag) = served.get(text, None).await;
    let (_, list_etag) = served.get(list, None).await;
    assert_eq!(status, 200);
    assert_eq!(served.get(text, Some(&etag)).await.0, 304);

    // A change to another row does not change this one's ETag.
    served
        .ask(r#"mutation { updateTrack(id: "8", patch: { unitPrice: 1.5 }) { unitPrice } }"#)
        .await;
    assert_eq!(served.get(text, Some(&etag)).await.0, 304);
    let data = served
        .ask(r#"mutation { updateTrack(id: "7", patch: { unitPrice: 1.25 }) { unitPrice } }"#)
        .await;
    assert_eq!(data["updateTrack"]["unitPrice"], 1.25);
    let (status, etag) = served.get(text, Some(&etag)).await;
    assert_eq!(status, 200);
    // The authors' own trigger fired, too.
    let lines: i64 =
        shop.database().query_row("SELECT count(*) FROM log", [], |row| row.get(0)).unwrap();
    assert_eq!(lines, 3);

    // An external writer writes.
    shop.database().execute("UPDATE Track SET Name = 'Other' WHERE TrackId = 7", []).unwrap();
    let (status, _) = served.get(text, Some(&etag)).await;
    assert_eq!(status, 200);
    assert_eq!(served.get(list, Some(&list_etag)).await.0, 304);
    let data = served
        .ask(r#"mutation { createAlbum(input: { title: "New", artistId: "8" }) { id artist { name } } createCustomer(input: { code: "N1", name: "N", status: "new" }) { code status } }"#)
        .await;
    assert_eq!(data["createAlbum"], json!({ "id": "151", "artist": { "name": "Artist 8" } }));
    assert_eq!(served.get(list, Some(&list_etag)).await.0, 200);
    let data = served.ask(r#"mutation { deleteAlbum(id: "151") { title } }"#).await;
    assert_eq!(data["deleteAlbum"]["title"], "New");
}

#[tokio::test]
async fn a_violated_constraint_is_reported_with_its_table() {
    let shop = Shop { directory: tempfile::tempdir().unwrap() };
    let tables = "CREATE TABLE owners (id INTEGER PRIMARY KEY, name TEXT);
        CREATE TABLE pets (id INTEGER PRIMARY KEY, owner INT NOT NULL REFERENCES owners ON DELETE SET NULL);
        CREATE TABLE places (id INTEGER PRIMARY KEY, x INT, y INT, UNIQUE (x, y), FOREIGN KEY (x, y) REFERENCES places (y, x));
        INSERT INTO owners VALUES (1, NULL); INSERT INTO pets VALUES (1, 1);";
    shop.database().execute_batch(tables).unwrap();
    for arguments in [&["model", "pull"][..], &["migrate", "new", "adopt"], &["migrate", "up"]] {
        succeed(shop.path(), arguments);
    }
    let served = shop.serve().await;
    let url = format!("http://{}/graphql", served.running.address);
    for (mutation, message) in [
        ("deleteOwner(id: 1)", "Pet.ownerId may not be null"),
        ("createPlace(input: {x: 1, y: 2})", "x and y point to a row that does not exist"),
    ] {
        let query = json!({ "query": format!("mutation {{ {mutation} {{ id }} }}") });
        let answer: Value =
            served.client.post(&url).json(&query).send().await.unwrap().json().await.unwrap();
        assert_eq!(answer["errors"][0]["message"], message);
    }
    served.running.stop().await.unwrap();
}

#[test]
fn rows_displaced_by_unique_keys_outside_the_model_are_in_the_change_log() {
    let shop = Shop::new();
    let keys = "CREATE UNIQUE INDEX artist_names ON Artist (lower(Name) || '(' /* so */ DESC, ArtistId % 1);
        CREATE UNIQUE INDEX newcomers ON customers (support_rep_id) WHERE status = 'new'; -- one for each";
    shop.database().execute_batch(keys).unwrap();
    for arguments in
        [&["model", "pull"][..], &["migrate", "new", "adopt"], &["migrate", "up"], &["check"]]
    {
        succeed(shop.path(), arguments);
    }
    let shell = shop.database();
    shell.execute_batch("PRAGMA foreign_keys = OFF; PRAGMA recursive_triggers = OFF").unwrap();
    let displaced = |statement: &str| -> Vec<String> {
        shell.execute_batch("DELETE FROM _freshql_change").unwrap();
        assert_eq!(shell.execute(statement, []).unwrap(), 1, "{statement}");
        let gone = "SELECT entity || ' ' || id FROM _freshql_change WHERE op = 'D' ORDER BY seq";
        shell
            .prepare(gone)
            .unwrap()
            .query_map([], |row| row.get(0))
            .unwrap()
            .map(Result::unwrap)
            .collect()
    };
    let employee = "INSERT OR REPLACE INTO employees (id, last_name, first_name, email) VALUES (9, 'x', 'y', 'BO@x.example')";
    assert_eq!(displaced(employee), ["Employee 2"]);
    assert_eq!(
        displaced("UPDATE OR REPLACE employees SET email = 'ANN@x.example' WHERE id = 3"),
        ["Employee 1"]
    );
    assert_eq!(
        displaced("UPDATE employees SET last_name = 'z' WHERE id = 3"),
        Vec::<String>::new()
    );
    assert_eq!(
        displaced("INSERT OR REPLACE INTO Artist (ArtistId, Name) VALUES (999, 'ARTIST 7')"),
        ["Artist 7"]
    );
    assert_eq!(
        displaced("UPDATE OR REPLACE Artist SET Name = 'artist 8' WHERE ArtistId = 9"),
        ["Artist 8"]
    );
    let newcomer = |code: &str| {
        format!(
            "INSERT OR REPLACE INTO customers (code, name, support_rep_id) VALUES ('{code}', '{code}', 1)"
        )
    };
    assert_eq!(displaced(&newcomer("N1")), Vec::<String>::new());
    assert_eq!(displaced(&newcomer("N2")), ["Customer N1"]);
    let said = succeed(shop.path(), &["migrate", "new", "again"]);
    assert_eq!(said, "the migrations build what the model needs; nothing was written\n");
}

#[test]
fn a_database_with_a_full_text_index_is_adopted() {
    let shop = Shop::new();
    let index = "CREATE VIRTUAL TABLE words USING fts5(text); INSERT INTO words VALUES ('tea')";
    shop.database().execute_batch(index).unwrap();
    for arguments in
        [&["model", "pull"][..], &["migrate", "new", "adopt"], &["migrate", "up"], &["check"]]
    {
        succeed(shop.path(), arguments);
    }
    let found: i64 = shop
        .database()
        .query_row("SELECT count(*) FROM words('tea')", [], |row| row.get(0))
        .unwrap();
    assert_eq!(found, 1);
}

#[test]
fn pull_overwrites_no_model_and_writes_nothing_after_an_error() {
    let shop = Shop::new();
    let file = shop.path().join("schema.graphql");
    std::fs::write(&file, "# mine\n").unwrap();
    let refused = freshql(shop.path(), &["model", "pull"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&refused.stderr)
            .contains("schema.graphql already exists; `--force` replaces it")
    );
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "# mine\n");
    assert!(!shop.path().join("migrations").exists());
    succeed(shop.path(), &["model", "pull", "--force"]);
    assert!(std::fs::read_to_string(&file).unwrap().contains("type Artist"));

    let empty = tempfile::tempdir().unwrap();
    let refused = freshql(empty.path(), &["model", "pull"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("there is no such file"));
    Connection::open(empty.path().join("freshql.db"))
        .unwrap()
        .execute_batch("CREATE TABLE a (b)")
        .unwrap();
    let refused = freshql(empty.path(), &["model", "pull"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("`a`: it has no primary key"));
    std::fs::write(
        empty.path().join("freshql.db"),
        "no database at all, but a text that is long enough",
    )
    .unwrap();
    assert_eq!(freshql(empty.path(), &["model", "pull"]).status.code(), Some(1));
    assert_eq!(std::fs::read_dir(empty.path()).unwrap().count(), 1);
}
