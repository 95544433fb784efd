//! The demo's answers to its own queries: the body byte for byte, and the headers that caches use.
//! Its data are always the same; random values and times are redacted.

use std::path::Path;

use freshql::config::Mode;
use http::header::{CACHE_CONTROL, CONTENT_LOCATION, CONTENT_TYPE, VARY};
use serde_json::{Value, json};

use crate::harness::{Answer, TestApp, url, url_with};

/// The text of one of the demo's documents.
pub(crate) fn document(name: &str) -> String {
    let file =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("queries").join(name).with_extension("graphql");
    std::fs::read_to_string(file).unwrap()
}

/// Status, headers and body. `made` contains the values of this run only.
fn shown(answer: &Answer, made: &[&str]) -> String {
    let mut text = format!("{}\n", answer.status.as_u16());
    let names = [CONTENT_TYPE, CACHE_CONTROL, VARY, CONTENT_LOCATION, http::header::ETAG];
    for name in names.iter().filter(|name| answer.headers.contains_key(*name)) {
        text.push_str(&format!("{name}: {}\n", answer.header(name)));
    }
    if let Some(value) = answer.headers.get("cdn-cache-control") {
        text.push_str(&format!("cdn-cache-control: {}\n", value.to_str().unwrap()));
    }
    let body = answer.json();
    let mut made: Vec<String> = made.iter().map(|text| (*text).to_owned()).collect();
    // The database's epoch, which is random, is part of all of them.
    collect_etags(&body, &mut made);
    // In the order of the answer, with line breaks between rows.
    text.push_str(&format!(
        "\n{}\n",
        answer.text().replace("},{", "},\n{").replace(":[{", ":[\n{")
    ));
    made.iter().fold(text, |text, made| text.replace(made, "…"))
}

fn collect_etags(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect_etags(item, found)),
        Value::Object(members) => {
            for (name, value) in members {
                match value.as_str() {
                    Some(etag) if ["etag", "currentEtag"].contains(&name.as_str()) => {
                        found.push(etag.to_owned());
                    }
                    _ => collect_etags(value, found),
                }
            }
        }
        _ => {}
    }
}

#[tokio::test]
async fn demo_answers_its_queries() {
    let app = TestApp::start(Mode::Trusted).await;
    let merchant = "018e2a5f-3490-7a04-bcea-af308142c8ea";
    let ask =
        async |name: &str, variables: Value| app.get(&url_with(&document(name), &variables)).await;

    let page = ask("MerchantPage", json!({"id": merchant, "first": 2})).await;
    insta::assert_snapshot!("merchant_page", shown(&page, &[]));
    let page = page.json();
    let products = &page["data"]["merchant"]["products"];
    let product = products["nodes"][0]["id"].as_str().unwrap();
    let next = ask(
        "MerchantPage",
        json!({"id": merchant, "first": 2, "after": products["pageInfo"]["endCursor"]}),
    )
    .await;
    insta::assert_snapshot!("merchant_page_behind_the_first", shown(&next, &[]));

    let found = ask("MerchantsOfCity", json!({"city": "Hamburg", "first": 2})).await;
    insta::assert_snapshot!("merchants_of_city", shown(&found, &[]));
    let filter = json!({"status": {"eq": "ACTIVE"}, "price": {"lt": "20.00"}});
    let list = json!({"where": filter, "orderBy": [{"price": "DESC"}], "first": 3});
    insta::assert_snapshot!("product_list", shown(&ask("ProductList", list).await, &[]));
    insta::assert_snapshot!(
        "product_page",
        shown(&ask("ProductPage", json!({"id": product, "first": 2})).await, &[])
    );
    let bare = ask("ProductPage", json!({"id": product, "withReviews": false})).await;
    insta::assert_snapshot!("product_page_without_reviews", shown(&bare, &[]));
    insta::assert_snapshot!(
        "product_search",
        shown(&ask("ProductSearch", json!({"text": "TEA", "first": 3})).await, &[])
    );
}

#[tokio::test]
async fn demo_answers_its_mutations() {
    let app = TestApp::start(Mode::Trusted).await;
    let merchant = "018e2a5f-3490-7a04-bcea-af308142c8ea";
    let run = async |name: &str, variables: Value| {
        app.post(&url(&document(name)), &json!({"variables": variables})).await
    };

    let input = json!({"merchantId": merchant, "sku": "TEA-7", "name": "Lapsang", "description": "Smoky.", "price": "7.90"});
    let made = run("CreateProduct", json!({"input": input})).await;
    let product = made.json()["data"]["createProduct"].clone();
    let (product, etag) = (product["id"].as_str().unwrap(), product["etag"].as_str().unwrap());
    insta::assert_snapshot!("create_product", shown(&made, &[product]));
    insta::assert_snapshot!(
        "create_product_again",
        shown(&run("CreateProduct", json!({"input": input})).await, &[])
    );

    let input = json!({"productId": product, "rating": 5, "body": "Just right.", "author": "Ada"});
    let review = run("CreateReview", json!({"input": input})).await;
    let (review, row) = (&review, review.json()["data"]["createReview"].clone());
    let (id, at) = (row["id"].as_str().unwrap(), row["createdAt"].as_str().unwrap());
    insta::assert_snapshot!("create_review", shown(review, &[product, id, at]));

    let patch = json!({"id": product, "patch": {"price": "8.20", "status": "ACTIVE"}, "expectedEtag": etag});
    insta::assert_snapshot!(
        "update_product",
        shown(&run("UpdateProduct", patch.clone()).await, &[product])
    );
    insta::assert_snapshot!(
        "update_product_with_an_old_etag",
        shown(&run("UpdateProduct", patch).await, &[product, etag])
    );
    let patch = json!({"id": merchant, "patch": {"country": null}});
    insta::assert_snapshot!("update_merchant", shown(&run("UpdateMerchant", patch).await, &[]));

    insta::assert_snapshot!(
        "delete_review",
        shown(&run("DeleteReview", json!({"id": id})).await, &[id])
    );
    insta::assert_snapshot!(
        "delete_product",
        shown(&run("DeleteProduct", json!({"id": product})).await, &[product])
    );
    insta::assert_snapshot!(
        "delete_product_again",
        shown(&run("DeleteProduct", json!({"id": product})).await, &[product])
    );
}

#[tokio::test]
async fn demo_shows_its_schema() {
    let app = TestApp::start(Mode::Open).await;
    insta::assert_snapshot!("schema", app.get("/schema.graphql").await.text());
}
