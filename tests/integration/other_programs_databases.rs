//! Databases created by well-known programs, each reduced to a few tables of the same shape: the
//! pulled model passes its own check, the server's answers agree with plain SQL whatever the
//! program writes afterwards, and nothing of the program's own is changed.

use std::path::Path;

use freshql::app::RunningServer;
use freshql::config::Mode;
use freshql::model::parse::parse;
use freshql::model::{Entity, Model, Scalar};
use rusqlite::Connection;
use rusqlite::types::Value as Sql;
use serde_json::{Value, json};

use crate::harness::serve;
use crate::program::of_project;

/// A program's database.
struct Program {
    /// What it created, with the first rows.
    made: &'static str,
    /// What it writes while freshql serves.
    writes: &'static str,
    /// What it also writes if freshql adds no column to its tables: statements without column
    /// names, triggers that copy whole rows.
    writes_by_position: &'static str,
    /// The tables that are not entities.
    left_out: &'static [&'static str],
}

fn freshql(directory: &Path, arguments: &[&str]) -> String {
    let output = of_project(directory).args(arguments).output().unwrap();
    let model = std::fs::read_to_string(directory.join("schema.graphql")).unwrap_or_default();
    assert!(
        output.status.success(),
        "{arguments:?}: {}\n{model}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// All rows of all the program's tables, without what freshql added; and their definitions, if
/// nothing was added.
fn everything(database: &Connection, with_schema: bool) -> Vec<String> {
    let own =
        "name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND name NOT LIKE '\\_freshql\\_%' ESCAPE '\\'";
    let sql =
        format!("SELECT name FROM sqlite_schema WHERE type = 'table' AND {own} ORDER BY name");
    let tables: Vec<String> = database
        .prepare(&sql)
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let mut found = Vec::new();
    for table in tables {
        // Some cannot even be read without the program's own collation.
        let Ok(mut statement) = database.prepare(&format!("SELECT * FROM \"{table}\"")) else {
            continue;
        };
        let names: Vec<String> = statement.column_names().map(str::to_owned).collect();
        let mut rows = statement.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            let values =
                names.iter().enumerate().filter(|(_, name)| with_schema || *name != "_version");
            let values: Vec<Sql> = values.map(|(at, _)| row.get(at).unwrap()).collect();
            found.push(format!("{table}: {values:?}"));
        }
    }
    if with_schema {
        let sql = format!(
            "SELECT type || ' ' || name || ': ' || ifnull(sql, '') FROM sqlite_schema WHERE {own}"
        );
        found.extend(
            database
                .prepare(&sql)
                .unwrap()
                .query_map([], |row| row.get(0))
                .unwrap()
                .map(Result::unwrap),
        );
    }
    found.sort();
    found
}

/// The value as the API should show it.
fn shown(scalar: Scalar, value: Sql) -> Value {
    match (scalar, value) {
        (_, Sql::Null) => Value::Null,
        (Scalar::Json, Sql::Text(text)) => serde_json::from_str(&text).unwrap(),
        (Scalar::Boolean, Sql::Integer(int)) => json!(int == 1),
        (Scalar::Int, Sql::Integer(int)) => json!(int),
        (Scalar::Float, Sql::Integer(int)) => json!(int as f64),
        (Scalar::Float, Sql::Real(real)) => json!(real),
        (_, Sql::Integer(int)) => json!(int.to_string()),
        (_, Sql::Real(real)) => json!(json!(real).to_string()),
        (_, Sql::Text(text)) => json!(text),
        (_, Sql::Blob(_)) => panic!("a blob in a field"),
    }
}

/// All rows of an entity, by key, read with plain SQL.
fn rows(database: &Connection, entity: &Entity) -> Vec<Value> {
    let columns: Vec<String> =
        entity.columns.iter().map(|column| format!("\"{}\"", column.name)).collect();
    let key = &entity.column(entity.key).name;
    let sql = format!("SELECT {} FROM \"{}\" ORDER BY \"{key}\"", columns.join(", "), entity.table);
    let mut statement = database.prepare(&sql).unwrap();
    let mut rows = statement.query([]).unwrap();
    let mut found = Vec::new();
    while let Some(row) = rows.next().unwrap() {
        let values = entity.columns.iter().enumerate();
        let values = values
            .map(|(at, column)| (column.field.clone(), shown(column.scalar, row.get(at).unwrap())));
        found.push(Value::Object(values.collect()));
    }
    found
}

struct Served {
    running: RunningServer,
    client: reqwest::Client,
}

impl Served {
    async fn get(&self, query: &str, etag: Option<&str>) -> (u16, String, Value) {
        let url = format!("http://{}/graphql", self.running.address);
        let mut request = self.client.get(url).query(&[("query", query)]);
        if let Some(etag) = etag {
            request = request.header("if-none-match", etag);
        }
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let etag = answer
            .headers()
            .get("etag")
            .map(|etag| etag.to_str().unwrap().to_owned())
            .unwrap_or_default();
        let body = answer.text().await.unwrap();
        (status, etag, serde_json::from_str(&body).unwrap_or_default())
    }

    /// The list of an entity in pages of two rows, so that cursors are used, too.
    async fn all(&self, entity: &Entity) -> Vec<Value> {
        let fields: Vec<&str> = entity.columns.iter().map(|column| column.field.as_str()).collect();
        let list = &entity.plural;
        let (mut found, mut after) = (Vec::new(), Value::Null);
        loop {
            let query = format!(
                "{{ {list}(first: 2, after: {after}, orderBy: [{{ {}: ASC }}]) {{ nodes {{ {} }} pageInfo {{ hasNextPage endCursor }} }} }}",
                entity.column(entity.key).field,
                fields.join(" ")
            );
            let (status, _, body) = self.get(&query, None).await;
            assert!(status == 200 && body.get("errors").is_none(), "{query}: {body:#}");
            found.extend(body["data"][list]["nodes"].as_array().unwrap().iter().cloned());
            after = body["data"][list]["pageInfo"]["endCursor"].clone();
            if body["data"][list]["pageInfo"]["hasNextPage"] == json!(false) {
                return found;
            }
        }
    }

    /// Lists that clients have cached, each with its ETag.
    async fn kept(&self, model: &Model) -> Vec<(String, String)> {
        let mut kept = Vec::new();
        for entity in &model.entities {
            let fields: Vec<&str> =
                entity.columns.iter().map(|column| column.field.as_str()).collect();
            let query = format!(
                "{{ {}(first: 100) {{ totalCount nodes {{ {} }} }} }}",
                entity.plural,
                fields.join(" ")
            );
            let (status, etag, body) = self.get(&query, None).await;
            assert!(status == 200 && !etag.is_empty(), "{query}: {body:#}");
            kept.push((query, etag));
        }
        kept
    }
}

async fn is_adopted(program: Program) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let database = Connection::open(path.join("freshql.db")).unwrap();
    database.execute_batch("PRAGMA journal_mode = WAL").unwrap();
    database.execute_batch(program.made).unwrap();
    let before = [false, true].map(|with_schema| everything(&database, with_schema));
    let said = freshql(path, &["model", "pull"]);
    let left_out: Vec<&str> = said
        .lines()
        .filter_map(|line| line.strip_prefix("left out `")?.split('`').next())
        .collect();
    assert_eq!(left_out, program.left_out, "{said}");
    for arguments in [&["migrate", "new", "adopt"][..], &["migrate", "up"], &["check"]] {
        freshql(path, arguments);
    }
    let sdl = std::fs::read_to_string(path.join("schema.graphql")).unwrap();
    let model = parse("schema.graphql", &sdl).unwrap().model;
    let leaves_no_trace = sdl.contains("managed: false");
    assert_eq!(everything(&database, false), before[0]);
    if leaves_no_trace {
        assert_eq!(everything(&database, true), before[1]);
    }

    let running = serve(path, Mode::Open).await;
    let served = Served { running, client: reqwest::Client::new() };
    for entity in &model.entities {
        assert_eq!(served.all(entity).await, rows(&database, entity), "{}\n{sdl}", entity.name);
    }

    let writes = [program.writes, if leaves_no_trace { program.writes_by_position } else { "" }];
    for writes in writes {
        let kept = served.kept(&model).await;
        let old: Vec<_> = model.entities.iter().map(|entity| rows(&database, entity)).collect();
        database
            .execute_batch(writes)
            .unwrap_or_else(|error| panic!("the program itself fails: {error}"));
        for ((entity, old), (query, etag)) in model.entities.iter().zip(old).zip(kept) {
            let new = rows(&database, entity);
            let (status, _, _) = served.get(&query, Some(&etag)).await;
            assert!(status == 200 || (status == 304 && old == new), "{status}: {query}");
            assert_eq!(served.all(entity).await, new, "{}\n{sdl}", entity.name);
        }
    }
    served.running.stop().await.unwrap();
}

#[tokio::test]
async fn django() {
    is_adopted(Program {
        made: r#"
        CREATE TABLE "django_migrations" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "app" varchar(255) NOT NULL, "name" varchar(255) NOT NULL, "applied" datetime NOT NULL);
        CREATE TABLE "django_content_type" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "app_label" varchar(100) NOT NULL, "model" varchar(100) NOT NULL);
        CREATE UNIQUE INDEX "django_content_type_app_label_model_uniq" ON "django_content_type" ("app_label", "model");
        CREATE TABLE "auth_user" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "password" varchar(128) NOT NULL, "last_login" datetime NULL, "is_superuser" bool NOT NULL, "username" varchar(150) NOT NULL UNIQUE, "is_active" bool NOT NULL, "date_joined" datetime NOT NULL);
        CREATE TABLE "auth_group" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "name" varchar(150) NOT NULL UNIQUE);
        CREATE TABLE "auth_user_groups" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "user_id" integer NOT NULL REFERENCES "auth_user" ("id") DEFERRABLE INITIALLY DEFERRED, "group_id" integer NOT NULL REFERENCES "auth_group" ("id") DEFERRABLE INITIALLY DEFERRED);
        CREATE UNIQUE INDEX "auth_user_groups_user_id_group_id_uniq" ON "auth_user_groups" ("user_id", "group_id");
        CREATE INDEX "auth_user_groups_user_id" ON "auth_user_groups" ("user_id");
        CREATE TABLE "django_admin_log" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "object_id" text NULL, "object_repr" varchar(200) NOT NULL, "action_flag" smallint unsigned NOT NULL CHECK ("action_flag" >= 0), "change_message" text NOT NULL, "content_type_id" integer NULL REFERENCES "django_content_type" ("id") DEFERRABLE INITIALLY DEFERRED, "user_id" integer NOT NULL REFERENCES "auth_user" ("id") DEFERRABLE INITIALLY DEFERRED, "action_time" datetime NOT NULL);
        CREATE TABLE "django_session" ("session_key" varchar(40) NOT NULL PRIMARY KEY, "session_data" text NOT NULL, "expire_date" datetime NOT NULL);
        CREATE INDEX "django_session_expire_date" ON "django_session" ("expire_date");
        CREATE TABLE "shop_order" ("id" char(32) NOT NULL PRIMARY KEY, "total" decimal NOT NULL, "due" date NULL, "data" text NOT NULL CHECK ((JSON_VALID("data") OR "data" IS NULL)), "count" integer unsigned NOT NULL CHECK ("count" >= 0), "took" bigint NOT NULL, "open_at" time NULL);
        INSERT INTO auth_user VALUES (1, 'x', NULL, 1, 'ann', 1, '2024-05-01 12:00:00.123456');
        INSERT INTO django_content_type VALUES (1, 'auth', 'user');"#,
        writes: r#"
        INSERT INTO django_session (session_key, session_data, expire_date) VALUES ('abc', 'e30', '2024-06-01 12:00:00.123456'), ('007', '', '2024-06-01 12:00:00');
        INSERT INTO django_migrations (app, name, applied) VALUES ('auth', '0001', '2024-05-01 12:00:00'), ('auth', '0002', '2024-05-01 12:00:01.5'), ('auth', '0003', '2024-05-01');
        INSERT INTO auth_group (name) VALUES ('staff'); INSERT INTO auth_user_groups (user_id, group_id) VALUES (1, 1);
        INSERT INTO django_admin_log (object_repr, action_flag, change_message, content_type_id, user_id, action_time) VALUES ('ann', 2, '[{"changed": {}}]', 1, 1, '2024-05-01 12:00:00.000001');
        INSERT INTO shop_order (id, total, due, data, count, took, open_at) VALUES ('0190b4f4000070008000000000000000', '12.50', '2024-05-01', '{"a": [1.10]}', 4000000000, 86400000000, '08:30:00'), ('1', 7, NULL, '[]', 1, 1, NULL);
        UPDATE auth_user SET last_login = '2024-05-02 00:00:00.5' WHERE id = 1;"#,
        writes_by_position: "INSERT INTO auth_group VALUES (7, 'more'); DELETE FROM django_session",
        left_out: &[],
    })
    .await;
}

#[tokio::test]
async fn rails() {
    is_adopted(Program {
        made: r#"
        CREATE TABLE "schema_migrations" ("version" varchar NOT NULL PRIMARY KEY);
        CREATE TABLE "ar_internal_metadata" ("key" varchar NOT NULL PRIMARY KEY, "value" varchar, "created_at" datetime(6) NOT NULL, "updated_at" datetime(6) NOT NULL);
        CREATE TABLE "users" ("id" integer PRIMARY KEY AUTOINCREMENT NOT NULL, "email" varchar DEFAULT '' NOT NULL, "admin" boolean DEFAULT 'f', "active" boolean DEFAULT 0 NOT NULL, "lock_version" integer, "created_at" datetime(6) NOT NULL);
        CREATE UNIQUE INDEX "index_users_on_email" ON "users" ("email");
        CREATE TABLE "comments" ("id" integer PRIMARY KEY AUTOINCREMENT NOT NULL, "body" text, "commentable_type" varchar NOT NULL, "commentable_id" integer NOT NULL, "user_id" integer, "score" float, "price" decimal(10,2) DEFAULT 0.0, "extra" json DEFAULT '{}', CONSTRAINT "fk_rails_1" FOREIGN KEY ("user_id") REFERENCES "users" ("id"));
        CREATE INDEX "index_comments_on_commentable" ON "comments" ("commentable_type", "commentable_id");
        CREATE TABLE "attachments" ("id" varchar(36) NOT NULL PRIMARY KEY, "record_type" varchar NOT NULL, "record_id" bigint NOT NULL, "blob" blob, "type" varchar);
        CREATE TABLE "tags_users" ("tag_id" integer, "user_id" integer);
        INSERT INTO schema_migrations VALUES ('20240501120000'), ('20240501120001');
        INSERT INTO ar_internal_metadata VALUES ('environment', 'production', '2024-05-01 12:00:00.123456', '2024-05-01 12:00:00.123456');"#,
        writes: r#"
        INSERT INTO schema_migrations (version) VALUES ('20240601120000');
        INSERT INTO users (email, admin, active, created_at) VALUES ('a@x.example', 't', 1, '2024-05-01 12:00:00.123456'), ('b@x.example', 'f', 0, '2024-05-01 12:00:00');
        INSERT INTO comments (body, commentable_type, commentable_id, user_id, score, price, extra) VALUES ('hi', 'User', 1, 1, 1.5, 2.5, '{"a": 1}'), (NULL, 'Post', 5000000000, NULL, 3, 10, '{}');
        INSERT INTO attachments (id, record_type, record_id, blob) VALUES ('0190b4f4-0000-7000-8000-000000000000', 'User', 1, x'00ff'), ('B', 'User', 2, NULL);
        DELETE FROM comments WHERE body = 'hi'; UPDATE users SET lock_version = 1;"#,
        writes_by_position: "INSERT INTO schema_migrations VALUES ('20250101000000')",
        left_out: &["tags_users"],
    })
    .await;
}

#[tokio::test]
async fn anki() {
    // Its collation `unicase` exists only there: NOCASE replaces it until everything has been
    // created.
    is_adopted(Program {
        made: r#"
        CREATE TABLE col (id integer PRIMARY KEY, crt integer NOT NULL, mod integer NOT NULL, scm integer NOT NULL, ver integer NOT NULL, usn integer NOT NULL, conf text NOT NULL);
        CREATE TABLE notes (id integer PRIMARY KEY, guid text NOT NULL, mid integer NOT NULL, mod integer NOT NULL, usn integer NOT NULL, tags text NOT NULL, flds text NOT NULL, sfld integer NOT NULL, csum integer NOT NULL, data text NOT NULL);
        CREATE TABLE cards (id integer PRIMARY KEY, nid integer NOT NULL, did integer NOT NULL, ord integer NOT NULL, due integer NOT NULL, ivl integer NOT NULL, factor integer NOT NULL, data text NOT NULL);
        CREATE TABLE revlog (id integer PRIMARY KEY, cid integer NOT NULL, ease integer NOT NULL, time integer NOT NULL);
        CREATE TABLE config (KEY text NOT NULL PRIMARY KEY, usn integer NOT NULL, val blob NOT NULL) without rowid;
        CREATE TABLE decks (id integer PRIMARY KEY NOT NULL, name text NOT NULL COLLATE NOCASE, mtime_secs integer NOT NULL, common blob NOT NULL);
        CREATE UNIQUE INDEX idx_decks_name ON decks (name);
        CREATE TABLE tags (tag text NOT NULL PRIMARY KEY COLLATE NOCASE, usn integer NOT NULL) without rowid;
        CREATE INDEX ix_notes_csum ON notes (csum); CREATE INDEX ix_cards_nid ON cards (nid);
        INSERT INTO col VALUES (1, 1700000000, 1700000000123, 1700000000123, 11, 0, '{}');
        INSERT INTO decks VALUES (1, 'Default', 0, x'00');
        INSERT INTO notes VALUES (1600000000001, 'f', 1600000000002, 1600000000, -1, '', 'x', 'x', 1214567890, '');
        PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = replace(sql, 'NOCASE', 'unicase'); PRAGMA writable_schema = OFF;"#,
        writes: r#"
        INSERT INTO notes (id, guid, mid, mod, usn, tags, flds, sfld, csum, data) VALUES (1700000000001, 'g', 1700000000002, 1700000000, -1, '', 'a' || char(31) || 'b', 'a', 3214567890, ''), (1700000000002, 'h', 1700000000002, 1700000001, -1, '', '7', '7', 5, '');
        INSERT INTO cards (id, nid, did, ord, due, ivl, factor, data) VALUES (1700000000003, 1700000000001, 1, 0, 1, -60, 2500, '{}');
        INSERT INTO revlog (id, cid, ease, time) VALUES (1700000000004, 1700000000003, 3, 4000), (1700000000005, 1700000000003, 2, 4000), (1700000000006, 1700000000003, 2, 4000);
        UPDATE col SET mod = 1800000000123; DELETE FROM revlog WHERE ease = 3;"#,
        writes_by_position: "INSERT INTO revlog VALUES (1700000000009, 1, 1, 1)",
        left_out: &["config", "decks", "tags"],
    })
    .await;
}

#[tokio::test]
async fn northwind() {
    is_adopted(Program {
        made: r#"
        CREATE TABLE [Categories] ([CategoryID] INTEGER PRIMARY KEY AUTOINCREMENT, [CategoryName] TEXT, [Picture] BLOB);
        CREATE TABLE [Customers] ([CustomerID] TEXT, [CompanyName] TEXT, [Postal Code] TEXT, PRIMARY KEY (`CustomerID`));
        CREATE TABLE [Employees] ([EmployeeID] INTEGER PRIMARY KEY AUTOINCREMENT, [LastName] TEXT, [BirthDate] DATE, [ReportsTo] INTEGER, FOREIGN KEY ([ReportsTo]) REFERENCES [Employees] ([EmployeeID]) ON DELETE NO ACTION);
        CREATE TABLE [Orders] ([OrderID] INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, [CustomerID] TEXT, [EmployeeID] INTEGER, [OrderDate] DATETIME, [Freight] NUMERIC DEFAULT 0, FOREIGN KEY ([EmployeeID]) REFERENCES [Employees] ([EmployeeID]), FOREIGN KEY ([CustomerID]) REFERENCES [Customers] ([CustomerID]));
        CREATE TABLE [Order Details] ([OrderID] INTEGER NOT NULL, [ProductID] INTEGER NOT NULL, [Quantity] INTEGER NOT NULL DEFAULT 1, PRIMARY KEY ("OrderID", "ProductID"), CHECK ([Quantity] > 0));
        CREATE TABLE [Shipping Methods] ([Method ID] INTEGER PRIMARY KEY, [Method Name] TEXT NOT NULL DEFAULT 'post', [Created] TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP);
        CREATE VIEW [Alphabetical list of Orders] AS SELECT * FROM Orders -- all of them
        ; CREATE VIEW [Order Subtotals] AS SELECT OrderID, sum(Quantity) FROM [Order Details] GROUP BY OrderID; /* so */
        CREATE TABLE Regions (RegionID STRING PRIMARY KEY, Name TEXT);
        INSERT INTO Customers VALUES ('ALFKI', 'Alfreds', '12209'); INSERT INTO Employees VALUES (1, 'Davolio', '1968-12-08', NULL), (2, 'Fuller', '1952-02-19', 1);
        INSERT INTO Orders VALUES (10248, 'ALFKI', 1, '2016-07-04', 32.38), (10249, 'ALFKI', 2, '2016-07-05', 11);"#,
        writes: r#"
        INSERT INTO Categories (CategoryName, Picture) VALUES ('Beverages', x'ff'), (NULL, NULL);
        INSERT INTO Employees (LastName, BirthDate, ReportsTo) VALUES ('King', '1960-05-29', 2);
        INSERT INTO Orders (CustomerID, EmployeeID, OrderDate, Freight) VALUES (NULL, NULL, '2016-07-04 10:00:00', 3), ('ALFKI', 3, 1467626400, 0.5);
        INSERT INTO "Shipping Methods" ("Method ID") VALUES (5); INSERT INTO "Shipping Methods" ("Method Name") VALUES ('air');
        UPDATE Customers SET "Postal Code" = '01234'; DELETE FROM Orders WHERE OrderID = 10248;"#,
        writes_by_position: "INSERT INTO Categories VALUES (9, 'x', NULL)",
        left_out: &["Order Details", "Alphabetical list of Orders", "Order Subtotals", "Regions"],
    })
    .await;
}

#[tokio::test]
async fn firefox() {
    is_adopted(Program {
        made: r#"
        CREATE TABLE moz_places (id INTEGER PRIMARY KEY, url LONGVARCHAR, title LONGVARCHAR, visit_count INTEGER DEFAULT 0, hidden INTEGER DEFAULT 0 NOT NULL, frecency INTEGER DEFAULT -1 NOT NULL, last_visit_date INTEGER, guid TEXT, foreign_count INTEGER DEFAULT 0 NOT NULL, url_hash INTEGER DEFAULT 0 NOT NULL, origin_id INTEGER REFERENCES moz_origins(id));
        CREATE TABLE moz_origins (id INTEGER PRIMARY KEY, prefix TEXT NOT NULL, host TEXT NOT NULL, frecency INTEGER NOT NULL, UNIQUE (prefix, host));
        CREATE TABLE moz_historyvisits (id INTEGER PRIMARY KEY, from_visit INTEGER, place_id INTEGER, visit_date INTEGER, visit_type INTEGER, session INTEGER);
        CREATE TABLE moz_bookmarks (id INTEGER PRIMARY KEY, type INTEGER, fk INTEGER DEFAULT NULL, parent INTEGER, position INTEGER, title LONGVARCHAR, dateAdded INTEGER, guid TEXT);
        CREATE TABLE moz_keywords (id INTEGER PRIMARY KEY AUTOINCREMENT, keyword TEXT UNIQUE, place_id INTEGER, post_data TEXT);
        CREATE TABLE moz_meta (key TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID;
        CREATE UNIQUE INDEX moz_places_guid_uniqueindex ON moz_places (guid);
        CREATE INDEX moz_places_hiddenindex ON moz_places (hidden) WHERE hidden = 1;
        CREATE INDEX moz_bookmarks_itemindex ON moz_bookmarks (fk, type);
        CREATE TRIGGER moz_visits_count AFTER INSERT ON moz_historyvisits FOR EACH ROW BEGIN
            UPDATE moz_places SET visit_count = visit_count + (SELECT NEW.visit_type NOT IN (0, 4)), last_visit_date = MAX(IFNULL(last_visit_date, 0), NEW.visit_date) WHERE id = NEW.place_id; END;
        CREATE TRIGGER moz_bookmarks_foreign_count AFTER INSERT ON moz_bookmarks FOR EACH ROW WHEN NEW.fk IS NOT NULL BEGIN
            UPDATE moz_places SET foreign_count = foreign_count + 1 WHERE id = NEW.fk; END;
        INSERT INTO moz_places (id, url, title, guid, url_hash) VALUES (1, 'https://x.example/', 'X', 'aaaaaaaaaaaa', 125511712345678), (2, 'https://y.example/', NULL, 'bbbbbbbbbbbb', 47358327123126);"#,
        writes: r#"
        INSERT INTO moz_origins (prefix, host, frecency) VALUES ('https://', 'x.example', 100); UPDATE moz_places SET origin_id = 1, frecency = 2000;
        INSERT INTO moz_historyvisits (from_visit, place_id, visit_date, visit_type, session) VALUES (0, 1, 1700000000000000, 1, 0), (1, 2, 1700000001000000, 1, 0);
        INSERT INTO moz_bookmarks (type, fk, parent, position, title, dateAdded, guid) VALUES (1, 1, 0, 0, 'X', 1700000000000000, 'cccccccccccc');
        INSERT INTO moz_keywords (keyword, place_id) VALUES ('x', 1);
        INSERT OR REPLACE INTO moz_places (id, url, guid) VALUES (3, 'https://z.example/', 'bbbbbbbbbbbb');"#,
        writes_by_position: "INSERT INTO moz_origins VALUES (8, 'http://', 'y', -1)",
        left_out: &["moz_meta"],
    })
    .await;
}

#[tokio::test]
async fn alembic() {
    is_adopted(Program {
        made: r#"
        CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL, CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num));
        CREATE TABLE account (id CHAR(32) NOT NULL, email VARCHAR NOT NULL, active BOOLEAN DEFAULT (1) NOT NULL, created_at DATETIME DEFAULT (CURRENT_TIMESTAMP) NOT NULL, settings JSON, kind VARCHAR(5) NOT NULL, balance NUMERIC(12, 2), ratio FLOAT, born DATE, CONSTRAINT pk_account PRIMARY KEY (id), CONSTRAINT ck_account_kind CHECK (kind IN ('user', 'admin')), CONSTRAINT ck_active CHECK (active IN (0, 1)));
        CREATE TABLE entry (id INTEGER NOT NULL, account_id CHAR(32) NOT NULL, body TEXT, size BIGINT, taken INTERVAL, raw BLOB, PRIMARY KEY (id), FOREIGN KEY(account_id) REFERENCES account (id) ON DELETE CASCADE);
        CREATE UNIQUE INDEX ix_account_email ON account (email); CREATE INDEX ix_entry_account_id ON entry (account_id);
        CREATE INDEX ix_account_lower ON account (lower(email)) WHERE active;
        INSERT INTO alembic_version VALUES ('ae1027a6acf1');"#,
        writes: r#"
        INSERT INTO account (id, email, settings, kind, balance, ratio, born) VALUES ('0190b4f4000070008000000000000000', 'a@x.example', '{"a": null}', 'user', 12.5, 1, '2000-01-01'), ('2', 'b@x.example', 'null', 'admin', 3, 0.1, NULL);
        INSERT INTO entry (account_id, body, size, taken, raw) VALUES ('2', 'x', 9007199254740993, '1970-01-01 00:01:00.000000', x'00'), ('2', NULL, NULL, NULL, NULL);
        UPDATE alembic_version SET version_num = 'b1'; UPDATE account SET active = 0 WHERE id = '2'; DELETE FROM entry WHERE body IS NULL;"#,
        writes_by_position: "INSERT INTO entry VALUES (77, '2', 'y', 1, NULL, NULL)",
        left_out: &[],
    })
    .await;
}

#[tokio::test]
async fn prisma() {
    is_adopted(Program {
        made: r#"
        CREATE TABLE "_prisma_migrations" ("id" TEXT PRIMARY KEY NOT NULL, "checksum" TEXT NOT NULL, "finished_at" DATETIME, "migration_name" TEXT NOT NULL, "logs" TEXT, "rolled_back_at" DATETIME, "started_at" DATETIME NOT NULL DEFAULT current_timestamp, "applied_steps_count" INTEGER UNSIGNED NOT NULL DEFAULT 0);
        CREATE TABLE "User" ("id" TEXT NOT NULL PRIMARY KEY, "email" TEXT NOT NULL, "createdAt" DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP, "updatedAt" DATETIME NOT NULL, "big" BIGINT, "price" DECIMAL, "meta" JSONB, "raw" BLOB);
        CREATE TABLE "Post" ("id" INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, "title" TEXT NOT NULL, "published" BOOLEAN NOT NULL DEFAULT false, "authorId" TEXT NOT NULL, CONSTRAINT "Post_authorId_fkey" FOREIGN KEY ("authorId") REFERENCES "User" ("id") ON DELETE RESTRICT ON UPDATE CASCADE);
        CREATE TABLE "_PostToTag" ("A" INTEGER NOT NULL, "B" INTEGER NOT NULL, CONSTRAINT "_PostToTag_A_fkey" FOREIGN KEY ("A") REFERENCES "Post" ("id") ON DELETE CASCADE ON UPDATE CASCADE);
        CREATE UNIQUE INDEX "User_email_key" ON "User"("email"); CREATE UNIQUE INDEX "_PostToTag_AB_unique" ON "_PostToTag"("A", "B");
        INSERT INTO _prisma_migrations (id, checksum, finished_at, migration_name, started_at, applied_steps_count) VALUES ('0190b4f4-0000-4000-8000-000000000000', 'c', 1700000000123, '20240501120000_init', 1700000000000, 1);"#,
        writes: r#"
        INSERT INTO "User" (id, email, createdAt, updatedAt, big, price, meta) VALUES ('clx1', 'a@x.example', 1700000000123, 1700000000124, 9007199254740993, 12.5, '{"a":1}');
        INSERT INTO "User" (id, email, updatedAt, price) VALUES ('clx2', 'b@x.example', '2024-05-01T12:00:00.000+00:00', 3);
        INSERT INTO Post (title, published, authorId) VALUES ('x', 1, 'clx1'), ('y', 0, 'clx2');
        UPDATE "User" SET id = 'clx3' WHERE id = 'clx2'; UPDATE _prisma_migrations SET rolled_back_at = 1700000000999;"#,
        writes_by_position: "INSERT INTO Post VALUES (9, 'z', 1, 'clx1')",
        left_out: &["_PostToTag"],
    })
    .await;
}

#[tokio::test]
async fn sqlite_utils() {
    is_adopted(Program {
        made: r#"
        CREATE TABLE [articles] ([id] INTEGER PRIMARY KEY, [title] TEXT, [body] TEXT, [rank] FLOAT, [seen] INTEGER);
        CREATE VIRTUAL TABLE [articles_fts] USING FTS5 ([title], [body], content=[articles]);
        CREATE TRIGGER [articles_ai] AFTER INSERT ON [articles] BEGIN
            INSERT INTO [articles_fts] (rowid, [title], [body]) VALUES (new.rowid, new.[title], new.[body]); END;
        CREATE TRIGGER [articles_ad] AFTER DELETE ON [articles] BEGIN
            INSERT INTO [articles_fts] ([articles_fts], rowid, [title], [body]) VALUES('delete', old.rowid, old.[title], old.[body]); END;
        CREATE TRIGGER [articles_au] AFTER UPDATE ON [articles] BEGIN
            INSERT INTO [articles_fts] ([articles_fts], rowid, [title], [body]) VALUES('delete', old.rowid, old.[title], old.[body]);
            INSERT INTO [articles_fts] (rowid, [title], [body]) VALUES (new.rowid, new.[title], new.[body]); END;
        CREATE TABLE [feeds] ([url] TEXT PRIMARY KEY, [data] TEXT);
        CREATE TABLE [no_key] ([a] TEXT);"#,
        writes: r#"
        INSERT INTO feeds (url, data) VALUES ('https://x.example/', '{}'), ('7', NULL);"#,
        writes_by_position: r#"
        INSERT INTO articles (title, body, rank, seen) VALUES ('Tea', 'green', 1, 1700000000), ('Coffee', NULL, 0.5, NULL);
        UPDATE articles SET body = 'black' WHERE id = 1; UPDATE articles SET title = 'Cacao' WHERE id = 2;
        INSERT INTO articles VALUES (3, 'Mate', '', 2, 2); DELETE FROM articles WHERE id = 1;
        INSERT INTO articles_fts (articles_fts) VALUES ('integrity-check');"#,
        left_out: &["articles_fts", "no_key"],
    })
    .await;
}

#[tokio::test]
async fn wordpress() {
    is_adopted(Program {
        made: r#"
        CREATE TABLE wp_users (ID INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, user_login text NOT NULL DEFAULT '' COLLATE NOCASE, user_registered text NOT NULL DEFAULT '0000-00-00 00:00:00', user_status INTEGER NOT NULL DEFAULT 0);
        CREATE TABLE wp_posts (ID INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, post_author INTEGER NOT NULL DEFAULT 0, post_date text NOT NULL DEFAULT '0000-00-00 00:00:00', post_title text NOT NULL COLLATE NOCASE, post_parent INTEGER NOT NULL DEFAULT 0, menu_order INTEGER NOT NULL DEFAULT 0);
        CREATE TABLE wp_options (option_id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, option_name text NOT NULL DEFAULT '' COLLATE NOCASE, option_value text NOT NULL, autoload text NOT NULL DEFAULT 'yes');
        CREATE TABLE wp_postmeta (meta_id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, post_id INTEGER NOT NULL DEFAULT 0, meta_key text DEFAULT NULL COLLATE NOCASE, meta_value text);
        CREATE TABLE wp_term_relationships (object_id INTEGER NOT NULL DEFAULT 0, term_taxonomy_id INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (object_id, term_taxonomy_id));
        CREATE UNIQUE INDEX wp_options__option_name ON wp_options (option_name); CREATE INDEX wp_posts__post_parent ON wp_posts (post_parent);
        CREATE TRIGGER wp_posts_touched AFTER UPDATE ON wp_posts BEGIN INSERT INTO wp_postmeta (post_id, meta_key) VALUES (NEW.ID, 'touched'); END;
        INSERT INTO wp_options (option_name, option_value) VALUES ('siteurl', 'https://x.example'), ('cron', 'a:1:{}');"#,
        writes: r#"
        INSERT INTO wp_users (user_login) VALUES ('admin'); INSERT INTO wp_posts (post_author, post_title) VALUES (1, 'Hello'), (1, 'hello');
        INSERT INTO wp_postmeta (post_id, meta_key, meta_value) VALUES (1, '_edit_lock', '1700000000:1');
        INSERT INTO wp_options (option_name, option_value) VALUES ('SITEURL', 'other') ON CONFLICT (option_name) DO UPDATE SET option_value = excluded.option_value;
        REPLACE INTO wp_options (option_name, option_value) VALUES ('CRON', 'b'); DELETE FROM wp_posts WHERE ID = 2;"#,
        writes_by_position: "UPDATE wp_posts SET post_title = 'Hi' WHERE ID = 1; INSERT INTO wp_users VALUES (5, 'x', '', 0)",
        left_out: &["wp_term_relationships"],
    })
    .await;
}
