//! The PostgreSQL client on a real server: flights, their errors, abandoned flights, logins and
//! TLS.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use freshql::config::PostgresUrl;
use freshql::store::postgres::client::{
    Blocking, ClientError, Connection, Execute, Parameter, Role, Session, TransactionStatus,
};

use crate::postgres::Postgres;

async fn connect(url: &str, role: Role) -> Connection {
    Connection::connect(&url.parse().unwrap(), Session::new(role)).await.unwrap()
}

#[tokio::test]
async fn a_flight_is_one_transaction_that_sees_one_snapshot() {
    let Some(postgres) = Postgres::start() else { return };
    let mut writer = connect(&postgres.url("postgres"), Role::Write).await;
    let mut reader = connect(&postgres.url("postgres"), Role::Read).await;
    writer
        .script("CREATE TABLE a (x bigint PRIMARY KEY, y text); INSERT INTO a VALUES (1, 'one')")
        .await
        .unwrap();

    // The second statement begins long after another session has committed.
    let count = Execute::binary("SELECT count(*) FROM a", &[]);
    let slow = Execute::text("SELECT count(*), pg_sleep(0.3) FROM a", &[]);
    let flight = [count, slow, count];
    let (seen, written) = tokio::join!(reader.flight(&flight), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        writer.script("INSERT INTO a VALUES (2, NULL)").await
    });
    written.unwrap();
    let seen: Vec<_> = seen.unwrap().iter().map(|rows| rows.first().unwrap().int(0)).collect();
    assert_eq!(seen, [Some(1); 3]);

    // Parameters in both formats; NULL; rows that a statement has written.
    let insert = "INSERT INTO a VALUES ($1::bigint, $2::text) RETURNING x, y";
    let all = writer
        .flight(&[
            Execute::text(insert, &[Parameter::Text("3"), Parameter::Null]),
            Execute::binary(
                insert,
                &[Parameter::Binary(&4_i64.to_be_bytes()), Parameter::Binary("vier".as_bytes())],
            ),
            Execute::text("UPDATE a SET y = 'x' WHERE x > 2", &[]),
        ])
        .await
        .unwrap();
    assert_eq!(
        (all[0].first().unwrap().text(1), all[1].first().unwrap().text(1)),
        (None, Some("vier"))
    );
    assert_eq!((all[1].first().unwrap().int(0), all[2].affected), (Some(4), 2));

    // An error undoes the whole flight, names the statement, and leaves the connection usable.
    let failed = writer
        .flight(&[
            Execute::text("DELETE FROM a", &[]),
            Execute::text(insert, &[Parameter::Text("9"), Parameter::Null]),
            Execute::text(insert, &[Parameter::Text("9"), Parameter::Null]),
            Execute::text("SELECT 1", &[]),
        ])
        .await
        .unwrap_err();
    let error = failed.server().unwrap();
    assert_eq!((error.code.as_str(), error.statement), ("23505", Some(2)));
    assert_eq!((error.table.as_deref(), error.constraint.as_deref()), (Some("a"), Some("a_pkey")));
    assert_eq!(writer.query(count).await.unwrap().first().unwrap().int(0), Some(4));

    let refused = reader.query(Execute::text("DELETE FROM a", &[])).await.unwrap_err();
    assert_eq!(refused.code(), "25006", "who reads cannot write");

    // Data larger than all buffers are sent both ways at once.
    let large = "x".repeat(8 << 20);
    let parameters = [Parameter::Text(&large)];
    let echo = Execute::text("SELECT $1::text", &parameters);
    let echoed = reader.flight(&[echo, echo, echo]).await.unwrap();
    assert_eq!(echoed.len(), 3);
    assert!(echoed.iter().all(|rows| rows.first().unwrap().text(0) == Some(&large)));
}

#[tokio::test]
async fn statements_are_prepared_again_after_a_table_was_altered() {
    let Some(postgres) = Postgres::start() else { return };
    let mut connection = connect(&postgres.url("postgres"), Role::Write).await;
    connection.script("CREATE TABLE a (x int); INSERT INTO a VALUES (7)").await.unwrap();
    let all = Execute::text("SELECT * FROM a", &[]);
    assert_eq!(connection.query(all).await.unwrap().first().unwrap().text(0), Some("7"));
    connection.script("ALTER TABLE a ALTER x TYPE text, ADD y text DEFAULT 'new'").await.unwrap();
    let row = connection.flight(&[all, all]).await.unwrap();
    assert_eq!(row[1].first().unwrap().text(1), Some("new"));
    // A pooler may switch to another session.
    connection.script("DEALLOCATE ALL").await.unwrap();
    assert_eq!(connection.query(all).await.unwrap().len(), 1);
    // A statement whose preparation was not reached is not considered prepared.
    connection
        .flight(&[Execute::text("SELECT 1/0", &[]), Execute::text("SELECT 5", &[])])
        .await
        .unwrap_err();
    assert_eq!(
        connection.query(Execute::text("SELECT 5", &[])).await.unwrap().first().unwrap().int(0),
        Some(5)
    );
}

#[tokio::test]
async fn a_cancelled_flight_leaves_the_connection_usable() {
    let Some(postgres) = Postgres::start() else { return };
    let mut connection = connect(&postgres.url("postgres"), Role::Write).await;
    connection.script("BEGIN").await.unwrap();
    assert_eq!(connection.status(), TransactionStatus::Open);
    let sleep = [Execute::text("SELECT pg_sleep(600)", &[])];
    tokio::time::timeout(Duration::from_millis(100), connection.flight(&sleep)).await.unwrap_err();
    assert!(connection.is_busy());
    assert!(
        matches!(connection.flight(&sleep).await, Err(ClientError::Lost(_))),
        "its answer is still to come"
    );
    connection.cancel_token().cancel().await.unwrap();
    connection.drain().await.unwrap();
    assert_eq!((connection.is_busy(), connection.status()), (false, TransactionStatus::Idle));
    assert_eq!(
        connection.query(Execute::text("SELECT 5", &[])).await.unwrap().first().unwrap().int(0),
        Some(5)
    );

    let lost =
        connection.script("SELECT pg_terminate_backend(pg_backend_pid())").await.unwrap_err();
    assert_eq!(lost.code(), "57P01");
    assert!(connection.is_broken());
}

#[tokio::test]
async fn a_script_of_many_statements_is_atomic() {
    let Some(postgres) = Postgres::start() else { return };
    // Within any runtime of the caller.
    let url = postgres.url("postgres").parse().unwrap();
    let mut admin = Blocking::connect(&url, Session::new(Role::Admin)).unwrap();
    let script = "CREATE TABLE a (x int); -- a comment; with a semicolon\n;; INSERT INTO a VALUES (1), (2); TABLE a";
    let results = admin.script(script).unwrap();
    assert_eq!(
        results.last().unwrap().iter().map(|row| row.int(0)).collect::<Vec<_>>(),
        [Some(1), Some(2)]
    );
    let error = admin.script("DELETE FROM a; SELEC 1").unwrap_err();
    assert_eq!((error.code(), error.server().unwrap().position), ("42601", Some(16)));
    assert_eq!(
        admin.query(Execute::text("SELECT count(*) FROM a", &[])).unwrap().first().unwrap().int(0),
        Some(2)
    );
    assert!(admin.script("COPY a FROM STDIN").is_err(), "there are no data to copy");
    assert_eq!(admin.script("COPY a TO STDOUT; SELECT 1").unwrap().len(), 2);
    assert!(admin.script("").unwrap().is_empty());
}

/// A server that listens on TCP with TLS and requires a password: `ada` has one for SCRAM, `bob`
/// one for MD5.
fn guarded(port: u16) -> Option<Postgres> {
    let postgres = Postgres::start_with(|data| {
        certificates(data);
        let rules = "local all all trust\nhost all ada all scram-sha-256\nhost all bob all md5\nhost all eve all password\n";
        std::fs::write(data.join("pg_hba.conf"), rules).unwrap();
        format!("-c listen_addresses=127.0.0.1 -c port={port} -c ssl=on")
    })?;
    // Connections through the socket use the same port.
    let url = format!("{}?port={port}", postgres.url("postgres")).parse().unwrap();
    let mut admin = Blocking::connect(&url, Session::new(Role::Admin)).unwrap();
    admin
        .script(
            "CREATE ROLE ada LOGIN PASSWORD 'p@ss:wörd'; SET password_encryption = 'md5';
             CREATE ROLE bob LOGIN PASSWORD 'secret'; CREATE ROLE eve LOGIN PASSWORD 'secret'",
        )
        .unwrap();
    Some(postgres)
}

/// An authority `ca.crt`, and its certificate for `localhost`.
fn certificates(data: &Path) {
    let script = "set -e
        openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=ca -keyout ca.key -out ca.crt
        openssl req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout server.key -out server.csr
        printf 'subjectAltName=DNS:localhost\\n' > names
        openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile names -out server.crt
        chmod 600 server.key; cp ca.crt \"$OUT\"";
    let out = std::env::temp_dir().join(format!("freshql-test-ca-{}.crt", std::process::id()));
    let output =
        Command::new("sh").args(["-c", script]).current_dir(data).env("OUT", out).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn logins_and_tls_follow_the_url() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let Some(_postgres) = guarded(port) else { return };
    let ca = std::env::temp_dir().join(format!("freshql-test-ca-{}.crt", std::process::id()));
    let ca = ca.to_str().unwrap();
    let attempt = async |user: &str, host: &str, parameters: &str| {
        let url: PostgresUrl =
            format!("postgres://{user}@{host}:{port}/postgres?{parameters}").parse().unwrap();
        let mut connection =
            Connection::connect(&url, Session::new(Role::Read)).await.map_err(|e| e.to_string())?;
        let sql = "SELECT ssl, current_user::text FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
        let rows = connection.query(Execute::binary(sql, &[])).await.unwrap();
        let row = rows.first().unwrap();
        Ok::<_, String>((row.is(0), row.string(1)))
    };
    let ada = "ada:p%40ss%3Aw%C3%B6rd";
    let as_ada = |tls| Ok((tls, "ada".to_owned()));
    assert_eq!(attempt(ada, "127.0.0.1", "sslmode=disable").await, as_ada(false));
    assert_eq!(attempt(ada, "127.0.0.1", "").await, as_ada(true));
    assert_eq!(attempt(ada, "127.0.0.1", "sslmode=require").await, as_ada(true));
    assert_eq!(
        attempt(ada, "127.0.0.1", &format!("sslmode=verify-ca&sslrootcert={ca}")).await,
        as_ada(true)
    );
    assert_eq!(
        attempt(ada, "localhost", &format!("sslmode=verify-full&sslrootcert={ca}")).await,
        as_ada(true)
    );

    let has = |result: Result<_, String>, words: &str| {
        let error = result.unwrap_err();
        assert!(
            error.contains(words) && !error.contains("p@ss") && !error.contains("secret"),
            "{error}"
        );
    };
    has(
        attempt(ada, "127.0.0.1", &format!("sslmode=verify-full&sslrootcert={ca}")).await,
        "not valid for",
    );
    has(attempt(ada, "localhost", "sslmode=verify-ca").await, "no TLS with localhost");
    has(attempt("ada:p%40ss", "127.0.0.1", "").await, "28P01");
    has(attempt("ada", "127.0.0.1", "").await, "requires a password");

    // Passwords that anybody on the network could use are only sent over private connections.
    assert!(attempt("bob:secret", "127.0.0.1", "sslmode=require").await.is_ok());
    has(attempt("bob:secret", "127.0.0.1", "sslmode=disable").await, "use TLS");
    assert!(attempt("eve:secret", "127.0.0.1", "sslmode=require").await.is_ok());
    has(attempt("eve:secret", "127.0.0.1", "sslmode=disable").await, "use TLS");
    std::fs::remove_file(ca).unwrap();
}
