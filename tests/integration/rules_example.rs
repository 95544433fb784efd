//! The demo's rules: everybody may read, and all answers to queries are public; a merchant may
//! change its own rows, an editor everything; nobody writes without a token.

use freshql::app;
use freshql::config::{Mode, PartialConfig};
use http::header::{
    AUTHORIZATION, CACHE_CONTROL, HeaderName, IF_NONE_MATCH, VARY, WWW_AUTHENTICATE,
};
use serde_json::{Value, json};

use crate::demo_answers::document;
use crate::harness::{Answer, TestApp, demo_bearer, editor, url, url_with};
use crate::installed_program::top;

const TEA: &str = "018e2a5f-3490-7a04-bcea-af308142c8ea";
const CLAY: &str = "018e49c1-1b4e-73a1-be02-ff05b7c1dce2";

/// A token for somebody who works for a merchant.
fn merchant(id: &str) -> String {
    demo_bearer(&json!({"sub": "mia", "merchant": id}))
}

async fn post(app: &TestApp, name: &str, variables: Value, token: Option<&str>) -> Answer {
    // An empty scheme means an anonymous viewer.
    let headers: [(HeaderName, &str); 1] = [(AUTHORIZATION, token.unwrap_or("None"))];
    app.post_with(&url(&document(name)), &json!({"variables": variables}), &headers).await
}

/// One of this merchant's products, and its etag.
async fn product_of(app: &TestApp, id: &str) -> (String, String) {
    let page =
        app.get(&url_with(&document("MerchantPage"), &json!({"id": id, "first": 1}))).await.json();
    let product =
        page["data"]["merchant"]["products"]["nodes"][0]["id"].as_str().unwrap().to_owned();
    let page = app.get(&url_with(&document("ProductPage"), &json!({"id": product}))).await.json();
    (product, page["data"]["product"]["etag"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn the_demo_is_read_by_everybody_and_stays_public() {
    let overrides = PartialConfig { dir: Some(top().to_owned()), ..PartialConfig::default() };
    let listed = app::queries(&app::configure(overrides).unwrap(), true).await.unwrap();
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let listed = listed.as_array().unwrap();
    let mutations = listed.iter().filter(|operation| operation["kind"] == "mutation").count();
    assert!((1..listed.len()).contains(&mutations), "{mutations} of {}", listed.len());
    for operation in listed {
        let is_mutation = operation["kind"] == "mutation";
        assert_eq!(operation["private"].is_null(), !is_mutation, "{operation}");
    }

    let app = TestApp::start(Mode::Trusted).await;
    let filter = json!({"where": {"merchant": {"verified": {"eq": true}}}, "orderBy": [{"price": "DESC"}], "first": 3});
    for (name, variables) in [
        ("ProductList", filter),
        ("ProductList", json!({})),
        ("MerchantPage", json!({"id": TEA})),
        ("MerchantsOfCity", json!({"city": "Hamburg"})),
        ("ProductSearch", json!({"text": "tea"})),
        ("ProductPage", json!({"id": product_of(&app, TEA).await.0})),
    ] {
        let path = url_with(&document(name), &variables);
        let answer = app.get(&path).await;
        assert_eq!(answer.header(CACHE_CONTROL), "public, max-age=0, s-maxage=60", "{name}");
        assert_eq!(answer.header(VARY), "Accept-Encoding", "{name}");
        // One answer for all: with a token, without one, and with an invalid one.
        for token in [&editor(), &merchant(TEA), "Bearer rubbish"] {
            let same = app
                .get_with(&path, &[(AUTHORIZATION, token), (IF_NONE_MATCH, answer.etag())])
                .await;
            assert_eq!(
                (same.status.as_u16(), same.header(CACHE_CONTROL)),
                (304, answer.header(CACHE_CONTROL)),
                "{name}"
            );
        }
    }
}

#[tokio::test]
async fn a_merchant_changes_what_is_its_own_and_an_editor_everything() {
    let app = TestApp::start(Mode::Trusted).await;
    let ((tea, etag), (clay, _)) = (product_of(&app, TEA).await, product_of(&app, CLAY).await);
    let update = |id: &str, patch: Value| json!({"id": id, "patch": patch});
    let price = || json!({"price": "3.00"});

    let nobody = post(&app, "UpdateProduct", update(&tea, price()), None).await;
    nobody.assert_error(401, "UNAUTHENTICATED");
    assert_eq!(nobody.header(WWW_AUTHENTICATE), "Bearer realm=\"freshql\"");
    let customer = demo_bearer(&json!({"sub": "carl"}));
    for (token, id, patch, status) in [
        (&customer, &tea, price(), 403),
        (&merchant(CLAY), &tea, price(), 403),
        (&merchant(TEA), &clay, price(), 403),
        // It cannot be given to another merchant.
        (&merchant(TEA), &tea, json!({"merchantId": CLAY}), 403),
        (&demo_bearer(&json!({"merchant": [TEA]})), &tea, price(), 403),
        (&merchant(TEA), &tea, price(), 200),
        (&editor(), &clay, price(), 200),
    ] {
        let answer = post(&app, "UpdateProduct", update(id, patch.clone()), Some(token)).await;
        assert_eq!(answer.status, status, "{patch}: {}", answer.text());
    }
    // Refused changes have had no effect; allowed ones have changed the etag.
    let stale = json!({"id": tea, "patch": price(), "expectedEtag": etag});
    post(&app, "UpdateProduct", stale.clone(), Some(&merchant(TEA)))
        .await
        .assert_error(412, "PRECONDITION_FAILED");
    // A viewer who may not write does not learn whether the etag matches.
    post(&app, "UpdateProduct", stale, Some(&merchant(CLAY))).await.assert_error(403, "FORBIDDEN");

    for (patch, token, status) in [
        (json!({"city": "Bremen"}), merchant(TEA), 200),
        (json!({"city": "Bremen"}), merchant(CLAY), 403),
        // Only an editor can verify a merchant.
        (json!({"verified": true}), merchant(TEA), 403),
        (json!({"verified": true}), editor(), 200),
    ] {
        let answer = post(&app, "UpdateMerchant", update(TEA, patch), Some(&token)).await;
        assert_eq!(answer.status, status, "{}", answer.text());
    }
    let own = |id: &str| json!({"input": {"merchantId": id, "sku": "X-1", "name": "X", "description": "X", "price": "1.00"}});
    for (id, status) in [(CLAY, 403), (TEA, 200)] {
        assert_eq!(post(&app, "CreateProduct", own(id), Some(&merchant(TEA))).await.status, status);
    }
    let opinion =
        json!({"input": {"productId": tea, "rating": 5, "body": "Good.", "author": "Carl"}});
    post(&app, "CreateReview", opinion.clone(), None).await.assert_error(401, "UNAUTHENTICATED");
    let review =
        post(&app, "CreateReview", opinion, Some(&customer)).await.json()["data"]["createReview"]["id"].clone();
    // A merchant cannot remove reviews, neither directly nor by deleting its product.
    for (name, id) in [("DeleteReview", &review), ("DeleteProduct", &json!(tea))] {
        post(&app, name, json!({"id": id}), Some(&merchant(TEA)))
            .await
            .assert_error(403, "FORBIDDEN");
        post(&app, name, json!({"id": id}), None).await.assert_error(401, "UNAUTHENTICATED");
        assert_eq!(post(&app, name, json!({"id": id}), Some(&editor())).await.status, 200);
    }
}
