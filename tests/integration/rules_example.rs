//! The example with rules does what its README says.

use std::path::Path;

use freshql::app;
use freshql::config::{Mode, Overrides};
use http::header::{CACHE_CONTROL, IF_NONE_MATCH};
use serde_json::{Value, json};

use crate::harness::{Answer, TestApp, copy, url};
use crate::newsroom::{issuer, path, role, user};

const SALES: &str = include_str!("../../examples/rules/queries/sales.graphql");
const PRODUCTS: &str = include_str!("../../examples/rules/queries/products.graphql");
const COSTS: &str = include_str!("../../examples/rules/queries/costs.graphql");
const REPRICE: &str = include_str!("../../examples/rules/queries/reprice.graphql");

async fn get(app: &TestApp, text: &str, token: Option<&str>, etag: Option<&str>) -> Answer {
    let bearer = token.map(|token| format!("Bearer {token}"));
    let mut headers = Vec::new();
    headers.extend(bearer.as_deref().map(|bearer| (http::header::AUTHORIZATION, bearer)));
    headers.extend(etag.map(|etag| (IF_NONE_MATCH, etag)));
    app.ask(http::Method::GET, &path(text, &Value::Null), &headers).await
}

#[tokio::test]
async fn the_example_with_rules_does_what_its_readme_says() {
    let directory = tempfile::tempdir().unwrap();
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/rules"), directory.path());
    let overrides = Overrides { dir: Some(directory.path().to_owned()), ..Overrides::default() };
    let config = app::configure(overrides).unwrap();
    let report = app::check(&config).await.unwrap_or_else(|error| panic!("{error:?}"));
    assert!(report.warnings.iter().all(|warning| !warning.message.contains("rule")), "{:#?}", report.warnings);
    let listed = app::queries(&config, false).await.unwrap();
    assert!(listed.contains("query, public") && listed.contains("query, private by sales (3:3)"), "{listed}");
    assert!(listed.contains("query, private by cost (7:7)"), "{listed}");

    let app = TestApp::start_in(directory, Mode::Trusted, |config| config.auth = vec![issuer()]).await;
    let (ada, bob, editor) = (user("ada"), user("bob"), role("eve", "editor"));
    let public = get(&app, PRODUCTS, None, None).await;
    assert_eq!(public.json()["data"]["products"]["totalCount"], 3, "{}", public.text());
    assert!(public.header(CACHE_CONTROL).starts_with("public"));
    for token in [&ada, &bob, &editor] {
        assert_eq!(get(&app, PRODUCTS, Some(token), Some(public.etag())).await.status, 304);
    }
    get(&app, SALES, None, None).await.assert_error(401, "UNAUTHENTICATED");
    for (token, count) in [(&ada, 2), (&bob, 1), (&editor, 3)] {
        let sales = get(&app, SALES, Some(token), None).await;
        assert_eq!(sales.json()["data"]["sales"]["totalCount"], count, "{}", sales.text());
        assert_eq!(sales.header(CACHE_CONTROL), "private, no-cache");
        let again = get(&app, SALES, Some(token), Some(sales.etag())).await;
        assert_eq!((again.status.as_u16(), again.header(CACHE_CONTROL)), (304, "private, no-cache"));
    }
    get(&app, COSTS, None, None).await.assert_error(401, "UNAUTHENTICATED");
    get(&app, COSTS, Some(&ada), None).await.assert_error(403, "FORBIDDEN");
    assert_eq!(get(&app, COSTS, Some(&editor), None).await.status, 200);
    for (token, status) in [(None, 401), (Some(&bob), 403), (Some(&ada), 200), (Some(&editor), 200)] {
        let bearer = token.map(|token| format!("Bearer {token}"));
        let headers: Vec<_> =
            bearer.as_deref().map(|bearer| (http::header::AUTHORIZATION, bearer)).into_iter().collect();
        let variables = json!({"variables": {"id": "p1", "price": "13.00"}});
        let answer = app.post_with(&url(REPRICE), &variables, &headers).await;
        assert_eq!(answer.status, status, "{}", answer.text());
    }
}
