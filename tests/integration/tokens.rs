//! The program's own handling of tokens: `[auth]`, `freshql token`, and the secret of
//! `freshql dev`. `src/identity/tests.rs` tests the validity of tokens.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use freshql::config::{Issuer, KeySource};
use freshql::identity::{Authenticator, Carrier};
use serde_json::{Value, json};

use crate::blog::project;
use crate::program::{Program, of_project, spawn, until};

const SECRET: &str = "a secret of the tests, 32 bytes or more";
const AUTH: &str =
    "[auth]\nissuer = \"tests\"\naudience = [\"api\", \"other\"]\nsecret_env = \"SECRET\"\n";

/// Runs the program with a secret in its environment; returns its success, output and messages.
fn freshql(project: &Path, secret: Option<&str>, arguments: &[&str]) -> (bool, String, String) {
    let mut command = of_project(project);
    let command = command.envs(secret.map(|secret| ("SECRET", secret))).args(arguments);
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.success(), text(output.stdout), text(output.stderr))
}

fn with_auth(auth: &str) -> tempfile::TempDir {
    let project = project();
    std::fs::write(project.path().join("freshql.toml"), auth).unwrap();
    // With viewers, each entity needs rules.
    let model = project.path().join("schema.graphql");
    let text = std::fs::read_to_string(&model).unwrap().replace("@entity", "@allow @entity");
    std::fs::write(model, text).unwrap();
    project
}

fn claims_of(token: &str) -> Value {
    let claims = token.trim().split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap()
}

fn issuer(secret: &str) -> Issuer {
    Issuer {
        issuer: "tests".to_owned(),
        audience: vec!["api".to_owned()],
        keys: KeySource::Secret {
            variable: "SECRET".to_owned(),
            secret: Some(secret.parse().unwrap()),
        },
        roles: "/roles".to_owned(),
        cookie: None,
        leeway: Issuer::LEEWAY,
    }
}

#[tokio::test]
async fn a_token_is_minted_with_the_secret_that_the_server_verifies_with() {
    let project = with_auth(AUTH);
    let claims = r#"{"sub":"ada","roles":["editor"]}"#;
    let (is_good, token, told) =
        freshql(project.path(), Some(SECRET), &["token", "--claims", claims, "--expires", "2h"]);
    assert!(is_good && told.is_empty(), "{told}");
    let said = claims_of(&token);
    assert_eq!(
        (&said["sub"], &said["iss"], &said["aud"]),
        (&json!("ada"), &json!("tests"), &json!("api"))
    );
    assert_eq!(said["exp"].as_u64().unwrap() - said["iat"].as_u64().unwrap(), 7200);
    let authenticator = Authenticator::new(&[issuer(SECRET)]).unwrap();
    let viewer = authenticator.verify(token.trim(), Carrier::Authorization).await.unwrap();
    assert!(viewer.claims().unwrap().has_role("editor"));
    // Given claims take precedence over added ones.
    let (_, token, _) = freshql(
        project.path(),
        Some(SECRET),
        &["token", "--claims", r#"{"aud":"elsewhere","exp":1}"#],
    );
    assert_eq!(
        (&claims_of(&token)["aud"], &claims_of(&token)["exp"]),
        (&json!("elsewhere"), &json!(1))
    );
}

#[test]
fn the_token_command_reports_what_is_missing() {
    let provider = "[auth]\nissuer = \"https://login.example.com/\"\naudience = \"api\"\n";
    for (auth, secret, claims, expected) in [
        ("", Some(SECRET), "{}", "there is no [auth] in freshql.toml"),
        (AUTH, Some(SECRET), "sub=ada", "the claims are not a JSON object such as"),
        (AUTH, Some(SECRET), "[1]", "the claims are not a JSON object such as"),
        (
            AUTH,
            None,
            "{}",
            "tests signs with the secret in the environment variable SECRET, which is not set",
        ),
        (
            AUTH,
            Some("short"),
            "{}",
            "the secret in the environment variable SECRET has 5 bytes; HS256 needs 32",
        ),
        (
            provider,
            Some(SECRET),
            "{}",
            "only its provider can sign a token; start `freshql dev` once",
        ),
    ] {
        let project = with_auth(auth);
        let (is_good, token, told) =
            freshql(project.path(), secret, &["token", "--claims", claims]);
        assert!(!is_good && token.is_empty() && told.contains(expected), "{auth} {claims}: {told}");
        assert!(!told.contains(SECRET));
    }
}

#[test]
fn a_server_does_not_start_with_a_mistake_in_auth_or_without_its_secret() {
    let listen = "listen = \"127.0.0.1:0\"\nmigrate = true\n";
    let both = "[auth]\nissuer = \"https://a.example\"\naudience = \"api\"\njwks = \"file:x\"\nsecret_env = \"SECRET\"\n";
    for (auth, secret, expected) in [
        (
            AUTH,
            None,
            "tests signs with the secret in the environment variable SECRET, which is not set",
        ),
        (AUTH, Some("short"), "HS256 needs 32 or more"),
        (both, Some(SECRET), "freshql.toml:7:1"),
        (both, Some(SECRET), "an issuer has either `jwks` or `secret_env`, never both"),
    ] {
        let project = with_auth(&format!("{listen}{auth}"));
        let (is_good, _, told) = freshql(project.path(), secret, &["serve"]);
        assert!(!is_good && told.contains(expected), "{told}");
        assert!(!project.path().join("freshql.db").exists());
    }
}

#[tokio::test]
async fn a_server_in_mode_open_needs_no_secret_in_its_environment() {
    let project = with_auth(&format!("mode = \"open\"\n{AUTH}"));
    let server = Program::start(project.path()).await;
    let (is_good, token, told) = freshql(project.path(), None, &["token"]);
    assert!(is_good && told.contains("signed with the secret of `freshql dev`"), "{told}");
    let secret = std::fs::read_to_string(project.path().join(".freshql/secret")).unwrap();
    Authenticator::new(&[issuer(&secret)])
        .unwrap()
        .verify(token.trim(), Carrier::Authorization)
        .await
        .unwrap();
    drop(server);
}

/// Runs `freshql dev` until it prints a token.
async fn token_of_dev(project: &Path, secret: Option<&str>) -> String {
    let mut command = of_project(project);
    command.envs(secret.map(|secret| ("SECRET", secret)));
    command.args(["dev", "--listen", "127.0.0.1:0"]);
    let (_process, mut log) = spawn(command);
    let line = until(&mut log, "authorization: Bearer ").await;
    line.split_once("Bearer ").unwrap().1.to_owned()
}

#[tokio::test]
async fn dev_makes_a_secret_where_there_is_none_and_prints_a_token() {
    let provider =
        "[auth]\nissuer = \"https://login.example.com/\"\naudience = \"api\"\nroles = \"/x/y\"\n";
    for (auth, iss) in [(AUTH, "tests"), (provider, "freshql dev")] {
        let project = with_auth(auth);
        let token = token_of_dev(project.path(), None).await;
        assert_eq!(
            (&claims_of(&token)["sub"], &claims_of(&token)["iss"]),
            (&json!("dev"), &json!(iss))
        );
        let kept = project.path().join(".freshql/secret");
        let secret = std::fs::read_to_string(&kept).unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(kept.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        }
        let authenticator =
            Authenticator::new(&[Issuer { issuer: iss.to_owned(), ..issuer(&secret) }]).unwrap();
        authenticator.verify(&token, Carrier::Authorization).await.unwrap();
        // It uses the same secret the next time, and for `freshql token`.
        authenticator
            .verify(&token_of_dev(project.path(), None).await, Carrier::Authorization)
            .await
            .unwrap();
        let (is_good, minted, told) =
            freshql(project.path(), None, &["token", "--claims", r#"{"sub":"ada"}"#]);
        assert!(is_good && told.contains("signed with the secret of `freshql dev`"), "{told}");
        let viewer = authenticator.verify(minted.trim(), Carrier::Authorization).await.unwrap();
        assert_eq!(viewer.claims().unwrap().get("sub"), Some(&json!("ada")));
    }
    // A secret in the environment takes precedence.
    let project = with_auth(AUTH);
    let token = token_of_dev(project.path(), Some(SECRET)).await;
    Authenticator::new(&[issuer(SECRET)])
        .unwrap()
        .verify(&token, Carrier::Authorization)
        .await
        .unwrap();
    assert!(!project.path().join(".freshql/secret").exists());
}
