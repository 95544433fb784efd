//! What commands report about rules: which operations are private and why, what a rule comes down
//! to for a viewer, and what is missing or deserves a second look.

use freshql::app::{self, ExplainRequest, StartError, TestOptions};
use freshql::config::{Config, PartialConfig};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::newsroom::{MODEL, Newsroom, issuer, project};

const POSTS: &str = "query Posts { posts { nodes { id } } }";
const PAGES: &str = "query Pages { pages { nodes { id } } }";
const NAMES: &str = "query Names { users { nodes { id name email } } }";
const ANY: &str = "query Any($where: UserWhere) { users(where: $where) { nodes { id } } }";

fn config(directory: &TempDir, has_auth: bool) -> Config {
    let overrides =
        PartialConfig { dir: Some(directory.path().to_owned()), ..PartialConfig::default() };
    let mut config = app::configure(overrides).unwrap();
    if has_auth {
        config.auth = vec![issuer()];
    }
    config
}

async fn mistakes(model: &str, has_auth: bool) -> Vec<String> {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("schema.graphql"), model).unwrap();
    match app::check(&config(&directory, has_auth)).await {
        Err(StartError::Mistakes(mistakes)) => {
            mistakes.into_iter().map(|mistake| mistake.message).collect()
        }
        Err(error) => panic!("{error:?}"),
        Ok(report) => report.warnings.into_iter().map(|warning| warning.message).collect(),
    }
}

#[tokio::test]
async fn the_queries_command_shows_which_operations_are_private_and_why() {
    let directory = project(MODEL, "", &[POSTS, PAGES, NAMES, ANY]);
    let listed = app::queries(&config(&directory, true), true).await.unwrap();
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let private: Vec<_> =
        listed.as_array().unwrap().iter().map(|one| (&one["operation"], &one["private"])).collect();
    for (operation, by) in [
        ("Posts", json!("posts (1:15)")),
        ("Pages", Value::Null),
        ("Names", json!("email (1:39)")),
        // Everything that the variable can select is allowed.
        ("Any", json!("users (1:32)")),
    ] {
        assert!(private.contains(&(&json!(operation), &by)), "{operation} {by}: {private:?}");
    }
    let report = app::check(&config(&directory, true)).await.unwrap();
    let warned = |text: &str| report.warnings.iter().any(|warning| warning.message.contains(text));
    assert!(
        warned("the operation Names is private only because of `email`"),
        "{:#?}",
        report.warnings
    );
    assert!(!warned("the operation Posts is private"));
}

#[tokio::test]
async fn an_entity_without_a_rule_and_a_rule_without_auth_are_errors() {
    let open = "type A @entity { id: ID! @id name: String }";
    let ruled = "type A @entity @allow { id: ID! @id name: String }";
    assert!(
        mistakes(open, true)
            .await
            .contains(&"`A` has no `@allow`, so nobody could do anything with it".to_owned())
    );
    assert!(
        mistakes(ruled, false).await.iter().any(|message| message.contains("without `[auth]`"))
    );
    for (model, has_auth) in [(open, false), (ruled, true)] {
        let found = mistakes(model, has_auth).await;
        assert!(!found.iter().any(|message| message.contains("allow")), "{found:?}");
    }
}

#[tokio::test]
async fn check_warns_of_rules_that_reveal_more_than_they_seem_to() {
    let model = r#"
        type Org @entity @allow(to: [READ], role: "auditor") @allow(to: [DELETE], role: "owner") {
          id: ID! @id
          name: String!
          docs: [Doc!]! @derivedFrom(field: "org")
        }
        type Doc @entity @allow(to: [READ, CREATE], where: {owner: {eq: "$sub"}})
          @allow(to: [READ], where: {org: {name: {eq: "$org"}}}) {
          id: ID! @id
          slug: String! @unique
          owner: String!
          org: Org! @relation(onDelete: CASCADE)
        }
    "#;
    let found = mistakes(model, true).await;
    for expected in [
        "a conflict tells whoever writes a `Doc` whether slug is taken, even by a row that they may not read",
        "this rule reads `Doc.owner`, which has no index",
        "this rule reads `Org`, which the viewers that it admits may not read",
        "deleting a `Org` also deletes its `Doc` rows, which the rules of `Doc` do not allow everybody",
    ] {
        assert!(found.iter().any(|message| message == expected), "{expected}: {found:#?}");
    }
}

#[tokio::test]
async fn explain_runs_as_a_viewer_and_shows_the_rules_that_remain() {
    let room = Newsroom::open(&[POSTS, PAGES]).await;
    let explain = async |document: &str, claims: Option<&str>| {
        let wanted = ExplainRequest {
            document: document.to_owned(),
            variables: None,
            operation: None,
            json: true,
            claims: claims.map(str::to_owned),
        };
        let text = app::explain(&room.app.config, &wanted).await.unwrap();
        serde_json::from_str::<Value>(&text).unwrap()
    };
    let ada = explain("Posts", Some(r#"{"sub": "ada"}"#)).await;
    let rules = &ada["question"]["view"]["rules"];
    assert_eq!((&rules[0]["entity"], &rules[0]["operation"]), (&json!("Post"), &json!("READ")));
    let rows = rules[0]["rows"].as_str().unwrap();
    assert!(rows.contains("{authorId: {eq: \"ada\"}}") && rows.contains("PUBLISHED"), "{rows}");
    let as_requested = room.get(POSTS, &Value::Null, Some(&crate::newsroom::user("ada"))).await;
    assert_eq!(ada["etag"]["value"], as_requested.json()["extensions"]["etag"]);
    let editor = explain("Posts", Some(r#"{"roles": ["editor"]}"#)).await;
    assert_eq!(editor["question"]["view"]["rules"][0]["rows"], "every row");
    assert_eq!(explain("Pages", None).await["question"].get("view"), None);
}

#[tokio::test]
async fn a_test_case_runs_and_revalidates_as_its_viewer() {
    let project = crate::blog::project();
    let queries = project.path().join("queries");
    for file in ["CreatePost", "Messages", "Notes", "Page", "Post", "UpdatePost"] {
        std::fs::remove_file(queries.join(file).with_extension("graphql")).unwrap();
    }
    let cases = r#"{
      "nobody": {},
      "ada": { "as": { "sub": "ada" } },
      "editor": { "as": { "roles": ["editor"] } }
    }"#;
    std::fs::write(queries.join("Posts.cases.json"), cases).unwrap();
    let notes = "query Notes { pages { nodes { id notes } } }";
    std::fs::write(queries.join("Notes.graphql"), notes).unwrap();
    let cases = r#"{
      "nobody": { "status": 401 },
      "ada": { "as": { "sub": "ada" }, "status": 403 },
      "editor": { "as": { "roles": ["editor"] } }
    }"#;
    std::fs::write(queries.join("Notes.cases.json"), cases).unwrap();
    let config = config(&project, false);
    // The ETag is that of the viewer's own answer: a change to a row that only others see does not
    // change it.
    let options = TestOptions { update: true, ..TestOptions::default() };
    let (told, is_good) = app::test(&config, &options).await.unwrap();
    assert!(is_good, "{told}");
    assert_eq!(
        app::test(&config, &TestOptions::default()).await.unwrap(),
        ("6 passed\n".to_owned(), true)
    );
    let snapshot =
        |name: &str| std::fs::read_to_string(queries.join("snapshots").join(name)).unwrap();
    for (name, count) in
        [("Posts__nobody.snap", 2), ("Posts__ada.snap", 3), ("Posts__editor.snap", 4)]
    {
        assert!(snapshot(name).contains(&format!("\"totalCount\": {count}")), "{}", snapshot(name));
        assert!(snapshot(name).contains("cache-control: private, no-cache"), "{}", snapshot(name));
    }
    assert!(
        snapshot("Notes__ada.snap").contains("\"FORBIDDEN\"")
            && snapshot("Notes__editor.snap").contains("for editors")
    );

    // Without `[auth]`, there are no viewers.
    let project = project_without_rules();
    let (told, is_good) = app::test(&self::config(&project, false), &options).await.unwrap();
    assert!(!is_good && told.contains("so a case cannot say `as` whom it asks"), "{told}");
}

fn project_without_rules() -> TempDir {
    let directory =
        project("type Book @entity { id: ID! @id }", "", &["query Books { books { totalCount } }"]);
    std::fs::write(
        directory.path().join("queries/q0.cases.json"),
        r#"{"ada": {"as": {"sub": "ada"}}}"#,
    )
    .unwrap();
    directory
}
