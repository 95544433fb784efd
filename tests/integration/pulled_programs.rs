//! PostgreSQL databases of two grown programs: what `freshql model pull` cannot express it says; the
//! rest is served and written, and whatever the programs change there, by whatever statement,
//! changes exactly the answers that show it.

use serde_json::json;

use crate::postgres::Postgres;
use crate::pulled::{Pulled, get, post};

/// The helpdesk's queries.
const ACCOUNTS: &str = "{ accounts { nodes { subdomain plan credit settings flags createdAt } } }";
const USERS: &str = "{ users { nodes { type email signInCount bornOn rating deletedAt createdAt account { subdomain } } } }";
const AGENTS: &str =
    r#"{ users(where: { type: { eq: "Agent" } }) { totalCount nodes { email } } }"#;
const TICKETS: &str = "{ tickets(first: 50) { nodes { number subject priority metadata commentsCount dueAt requester { email }
  assignee { email } parent { number } } } }";
const FIFTH: &str = r#"{ ticketByAccountAndNumber(accountId: "11111111-1111-4111-8111-111111111111", number: 5) {
  subject commentsCount } }"#;
const ASSIGNED: &str =
    r#"{ user(id: "3") { email ticketsByAssignee { totalCount nodes { number } } } }"#;
const OF_GROUPS: &str = r#"{ comments(where: { commentableType: { eq: "Group" } }) { nodes { body author { email } } } }"#;
const URGENT: &str = r#"{ tagByName(name: "urgent") { name } }"#;
const DONE: &str = "{ schemaMigrations { nodes { version } } }";
const HELPDESK: [&str; 9] =
    [ACCOUNTS, USERS, AGENTS, TICKETS, FIFTH, ASSIGNED, OF_GROUPS, URGENT, DONE];

const AT_THE_HELPDESK: &[(&str, &[&str])] = &[
    // The program's trigger counts comments.
    (
        "INSERT INTO comments (commentable_type, commentable_id, body) VALUES ('Ticket', 5, 'x')",
        &[TICKETS, FIFTH],
    ),
    (
        "INSERT INTO comments (commentable_type, commentable_id, body) VALUES ('Group', 1, 'x')",
        &[OF_GROUPS],
    ),
    // A comment moves to another ticket.
    ("UPDATE comments SET commentable_id = 7 WHERE commentable_id = 5", &[TICKETS, FIFTH]),
    // The program's trigger takes the change back.
    ("UPDATE tickets SET subject = '  Printer 5 on fire ' WHERE number = 5", &[]),
    ("UPDATE tickets SET spent = '1 hour', metadata = metadata WHERE number = 5", &[]),
    ("UPDATE tickets SET subject = ' Printer 5 is gone ' WHERE number = 5", &[TICKETS, FIFTH]),
    ("UPDATE users SET roles = '{c}', extras = 'x=>y', last_sign_in_ip = '::1', avatar = '\\x00'", &[]),
    ("UPDATE users SET deleted_at = now() WHERE id = 9", &[USERS, AGENTS, TICKETS]),
    (
        "INSERT INTO users (account_id, email, created_at, updated_at) VALUES
           ('22222222-2222-4222-8222-222222222222', 'root@globex.test', now(), now())
         ON CONFLICT (account_id, email) WHERE deleted_at IS NULL DO NOTHING",
        &[],
    ),
    (
        "INSERT INTO users (account_id, email, created_at, updated_at) VALUES
           ('22222222-2222-4222-8222-222222222222', 'root@globex.test', now(), now())
         ON CONFLICT (account_id, email) WHERE deleted_at IS NULL DO UPDATE SET sign_in_count = users.sign_in_count + 1",
        &[USERS],
    ),
    // Nobody has seen what is prepared only.
    (
        "BEGIN; UPDATE accounts SET plan = 1 WHERE subdomain = 'Globex'; PREPARE TRANSACTION 'plan'",
        &[],
    ),
    ("COMMIT PREPARED 'plan'", &[ACCOUNTS, USERS]),
    (
        "BEGIN; SAVEPOINT s; UPDATE tags SET name = 'late' WHERE id = 2; ROLLBACK TO s;
         INSERT INTO schema_migrations VALUES ('20250101000000'); COMMIT",
        &[DONE],
    ),
    (
        "DO $$ BEGIN BEGIN UPDATE tags SET name = 'late' WHERE id = 2; RAISE 'no'; EXCEPTION WHEN OTHERS THEN NULL; END; END $$",
        &[],
    ),
    // The keys that refer to the user become NULL: at once, and at the commit.
    (
        "BEGIN; UPDATE tickets SET requester_id = 1 WHERE requester_id = 3; DELETE FROM users WHERE id = 3; COMMIT",
        &[USERS, AGENTS, TICKETS, ASSIGNED, OF_GROUPS],
    ),
    (
        "WITH gone AS (DELETE FROM tags WHERE name = 'urgent' RETURNING name) INSERT INTO tags (name) SELECT upper(name) FROM gone",
        &[URGENT],
    ),
    ("REFRESH MATERIALIZED VIEW ticket_stats; DELETE FROM groups_users; TRUNCATE taggings", &[]),
    ("TRUNCATE comments", &[OF_GROUPS]),
    // Tables are swapped, as after a copy: every answer is another one then.
    (
        "BEGIN; CREATE TABLE tags_new (LIKE tags INCLUDING ALL); INSERT INTO tags_new VALUES (1, 'urgent');
         ALTER TABLE tags RENAME TO tags_old; ALTER TABLE tags_new RENAME TO tags; ROLLBACK",
        &[],
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_helpdesk_whose_own_triggers_change_rows_is_pulled_and_every_change_of_a_row_is_seen() {
    let Some(postgres) = Postgres::start() else { return };
    let pulled = Pulled::new(&postgres, "helpdesk", include_str!("pulled/helpdesk.sql"));
    for left_out in [
        "`taggings`: its primary key has several columns",
        "`groups_users`: it has no primary key",
        "`ticket_stats`: it is a view",
    ] {
        assert!(pulled.said.contains(left_out), "{}", pulled.said);
    }
    for line in [
        "enum TicketPriority { low normal high }",
        "credit: Decimal! @column(precision: 10, scale: 2) @default(value: \"0.0\")",
        "# left out: `search`, declared tsvector, and no type reads it",
        // Neither a GIN index nor one with a condition serves look-ups.
        "  subject: String!\n",
        "@entity(managed: false)\n  @index(fields: [\"type\", \"email\"]) {",
    ] {
        assert!(pulled.model.contains(line), "{line} is not in\n{}", pulled.model);
    }
    let node = pulled.serve().await;
    let (_, _, tickets) = get(&node, TICKETS, None).await;
    assert_eq!(
        tickets["data"]["tickets"]["nodes"][1],
        json!({"number": 2, "subject": "Printer 2 on fire", "priority": "normal", "metadata": {"n": 2}, "commentsCount": 1,
               "dueAt": "2024-10-27T00:30:00.000Z", "requester": {"email": "user3@acme.test"},
               "assignee": {"email": "user3@acme.test"}, "parent": {"number": 1}})
    );
    pulled.change(&node, &HELPDESK, AT_THE_HELPDESK).await;

    // The answer of a mutation shows what the program's triggers have left, here and elsewhere.
    let now = "2025-01-02T03:04:05.000Z";
    let made = post(&node, &format!("mutation {{ createTicket(input: {{ accountId: \"11111111-1111-4111-8111-111111111111\", number: 77,
        requesterId: \"1\", subject: \"  Coffee  \", createdAt: \"{now}\", updatedAt: \"{now}\" }}) {{ id etag subject priority }} }}")).await;
    let row = &made["data"]["createTicket"];
    assert_eq!(row["subject"], "Coffee", "{made}");
    let (id, token) = (row["id"].as_str().unwrap(), row["etag"].as_str().unwrap());
    let (_, fifth, _) = get(&node, FIFTH, None).await;
    let said = post(&node, &format!("mutation {{ createComment(input: {{ commentableType: \"Ticket\", commentableId: \"{id}\", body: \"b\" }}) {{ id }} }}")).await;
    assert!(said.get("errors").is_none(), "{said}");
    assert_eq!(get(&node, FIFTH, fifth.as_deref()).await.0, 304);
    let patch = |token: &str| {
        format!(
            "mutation {{ updateTicket(id: \"{id}\", patch: {{ priority: high }}, expectedEtag: \"{token}\") {{ etag commentsCount }} }}"
        )
    };
    let refused = post(&node, &patch(token)).await;
    let told = &refused["errors"][0]["extensions"];
    assert_eq!(told["code"], "PRECONDITION_FAILED", "{refused}");
    assert_eq!(told["current"]["commentsCount"], 1, "{refused}");
    let done = post(&node, &patch(told["currentEtag"].as_str().unwrap())).await;
    assert_eq!(done["data"]["updateTicket"]["commentsCount"], 1, "{done}");
    // The index that is unique among the living only.
    let twice = post(&node, &format!("mutation {{ createUser(input: {{ accountId: \"11111111-1111-4111-8111-111111111111\", email: \"user1@acme.test\",
        createdAt: \"{now}\", updatedAt: \"{now}\" }}) {{ id }} }}")).await;
    assert_eq!(twice["errors"][0]["extensions"]["code"], "CONFLICT", "{twice}");
}

/// The ledger's queries.
const COMPANIES: &str =
    "{ companies { nodes { companyID name user table grE country iban isActive mainContact { name }
  contacts { totalCount } } } }";
const CONTACTS: &str =
    "{ contacts { nodes { name kind n1stSeen contactsByReportsTo { nodes { name } } } } }";
const DOCUMENTS: &str =
    "{ documents { nodes { phase was net taxRate gross stamp company { name } } } }";
const ACCOUNT: &str =
    r#"{ ledgers(where: { account: { eq: "41" } }) { totalCount nodes { id amount text } } }"#;
const ENTRY: &str = r#"{ ledger(id: "1201") { amount } }"#;
const ALLOCATIONS: &str = "{ allocations { nodes { document position share } } }";
const UNITS: &str = "{ units { nodes { code name document low less } } }";
const LONG: &str = "{ aTableWhoseNameIsAsLongAsPostgresqlLetsANameBe63cs { nodes { owner {
  aColumnWhoseNameIsAsLongAsPostgresqlLetsANameBe63b bColumnWhoseNameIsAsLongAsPostgresqlLetsANameBe63b { name } } } } }";
const SCRATCHES: &str = "{ scratches { totalCount nodes { note } } }";
const LEDGER: [&str; 9] =
    [COMPANIES, CONTACTS, DOCUMENTS, ACCOUNT, ENTRY, ALLOCATIONS, UNITS, LONG, SCRATCHES];

const IN_THE_LEDGER: &[(&str, &[&str])] = &[
    // Tables of the same name in other schemas.
    (
        "UPDATE core.documents SET title = 'x'; INSERT INTO archive.documents SELECT * FROM sales.documents LIMIT 1",
        &[],
    ),
    ("UPDATE documents SET exact = 1, cash = '2', runs = '1 day', at_time = '10:00'", &[]),
    ("UPDATE documents SET net = 200 WHERE id = 1", &[DOCUMENTS]),
    ("UPDATE lines SET position = 2", &[ALLOCATIONS]),
    ("UPDATE ledger_1a SET amount = amount + 1 WHERE id = 101", &[ACCOUNT]),
    // To another partition, of another schema.
    ("UPDATE ledger SET id = 1950 WHERE id = 401", &[ACCOUNT]),
    ("UPDATE archive.ledger_2 SET amount = 0.5 WHERE id = 1201", &[ENTRY]),
    ("TRUNCATE ledger_1b", &[ACCOUNT]),
    (
        "BEGIN; SET CONSTRAINTS ALL DEFERRED; UPDATE \"Company\" SET \"MainContact\" = 9 WHERE \"Company ID\" = 2;
         INSERT INTO contacts (id, company, name) OVERRIDING SYSTEM VALUE VALUES (9, 2, 'Lea'); COMMIT",
        &[COMPANIES, CONTACTS, DOCUMENTS],
    ),
    (
        "ALTER TABLE ledger DETACH PARTITION archive.ledger_2; UPDATE archive.ledger_2 SET amount = 9",
        &LEDGER,
    ),
    // It comes back with other rows, which no trigger has seen.
    ("ALTER TABLE ledger ATTACH PARTITION archive.ledger_2 FOR VALUES FROM (1000) TO (2000)", &LEDGER),
    // A type that a column has through two domains.
    ("ALTER TYPE core.phase RENAME VALUE 'closed' TO 'shut'", &LEDGER),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_of_several_schemas_is_pulled_and_every_change_of_a_row_is_seen() {
    let Some(postgres) = Postgres::start() else { return };
    let pulled = Pulled::new(&postgres, "ledger", include_str!("pulled/ledger.sql"));
    for left_out in [
        "`documents`: it is in the schema `core`",
        "`documents`: it is in the schema `archive`",
        "`rates`: its primary key `currency` is character(3)",
        "`log_lines`: it has no primary key",
        "`Order`: its name differs from that of `order` only in upper and lower case",
        "`order`: its name differs from that of `Order` only in upper and lower case",
        "`pets`: the names of its columns `name` and `Name` differ only in upper and lower case",
        "`animals`: others inherit from it",
        "`plants`: others inherit from it",
        "`remote`: it is a foreign table",
        "`spread`: its partition `spread_far` is a foreign table",
    ] {
        assert!(pulled.said.contains(left_out), "{}", pulled.said);
    }
    for line in [
        // Through two domains.
        "net: Decimal! @column(precision: 14, scale: 2)\n",
        "# left out: `exact`, declared numeric(38,10), and a Decimal has at most 18 digits",
        "# points to `core.documents`, which is no entity",
        "low: Int! @default(value: -1)",
        "less: Decimal! @column(precision: 6, scale: 3) @default(value: \"-0.5\")",
        "# part of a foreign key to `lines` over several columns",
    ] {
        assert!(pulled.model.contains(line), "{line} is not in\n{}", pulled.model);
    }
    let node = pulled.serve().await;
    let (_, _, documents) = get(&node, DOCUMENTS, None).await;
    assert_eq!(
        documents["data"]["documents"]["nodes"][0],
        json!({"phase": "open", "was": "yes", "net": "100.00", "taxRate": "0.1900", "gross": "119.00",
               "stamp": "2024-01-01T18:04:05.678Z", "company": {"name": "Ahrens & Söhne"}})
    );
    let etags = pulled.change(&node, &LEDGER, IN_THE_LEDGER).await;
    let (_, _, documents) = get(&node, DOCUMENTS, None).await;
    assert_eq!(documents["data"]["documents"]["nodes"][1]["phase"], "shut");
    let (_, _, entry) = get(&node, ENTRY, None).await;
    assert_eq!(entry["data"]["ledger"]["amount"], "9.00");

    // After a crash, an unlogged table is empty, and no record says so. Other validators stay.
    postgres.restart("immediate");
    for (query, etag) in LEDGER.iter().zip(&etags) {
        let mut answer = get(&node, query, Some(etag)).await;
        while answer.0 == 503 {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            answer = get(&node, query, Some(etag)).await;
        }
        assert_eq!(answer.0, if *query == SCRATCHES { 200 } else { 304 }, "{query}: {}", answer.2);
    }
    let (_, _, scratches) = get(&node, SCRATCHES, None).await;
    assert_eq!(scratches["data"]["scratches"], json!({"totalCount": 0, "nodes": []}));

    for (mutation, code) in [
        ("createDocument(input: { net: \"1\" }) { gross phase }", None),
        ("createUnit(input: { code: \"m\" }) { low less }", None),
        (
            "createATableWhoseNameIsAsLongAsPostgresqlLetsANameBe63c(input: { ownerId: \"1\" }) { id }",
            None,
        ),
        (
            "updateCompany(companyID: \"1\", patch: { mainContactId: \"2\", grE: \"M\" }) { grE }",
            None,
        ),
        ("createDocument(input: { net: \"-1\" }) { id }", Some("CONFLICT")),
        (
            "updateCompany(companyID: \"1\", patch: { iban: \"nonsense\" }) { name }",
            Some("CONFLICT"),
        ),
        ("deleteContact(id: \"2\") { id }", Some("CONFLICT")),
        ("deleteCompany(companyID: \"1\") { name }", Some("CONFLICT")),
    ] {
        let said = post(&node, &format!("mutation {{ {mutation} }}")).await;
        let got = said["errors"][0]["extensions"]["code"].as_str();
        assert_eq!(got, code, "{mutation}: {said}");
    }
}
