//! Varnish in front of two nodes on one PostgreSQL, of one release or of two: it never has a body
//! under another one's ETag, and no copy outlives its time after a write, whoever made it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use freshql::config::Mode;
use freshql::etag::RENDERING;
use http::header::{ACCEPT_ENCODING, IF_NONE_MATCH};
use serde_json::{Value, json};

use crate::cache_over_http::decoded;
use crate::harness::{MERCHANT, MERCHANTS, TestApp, project, url, url_with};
use crate::installed_program::{program_in, there};
use crate::postgres::Postgres;
use crate::proxy::{Proxy, varnish_of_nodes};

/// Longer than a copy may be used.
const OVER: Duration = Duration::from_millis(1050);

#[tokio::test(flavor = "multi_thread")]
async fn varnish_in_front_of_two_nodes_never_confirms_or_serves_what_is_over() {
    let test = "varnish_in_front_of_two_nodes_never_confirms_or_serves_what_is_over";
    if !there(test, &[("varnishd", program_in("/usr/sbin", "varnishd").is_file())]) {
        return;
    }
    let Some(postgres) = Postgres::start() else { return };
    tokio::join!(
        serve(&postgres, "one_release", RENDERING),
        serve(&postgres, "two_releases", RENDERING + 1)
    );
}

async fn serve(postgres: &Postgres, database: &str, rendering: u32) {
    postgres.create(database);
    let directory = project();
    let model = directory.path().join("schema.graphql");
    let text = std::fs::read_to_string(&model).unwrap();
    std::fs::write(&model, text.replace("sharedMaxAge: 60", "sharedMaxAge: 1")).unwrap();
    let one = TestApp::start_in(directory, Mode::Trusted, |config| {
        config.database = postgres.url(database).parse().unwrap();
    })
    .await;
    let other = one.beside_of(rendering, |_| {}).await;
    let addresses = [&one, &other].map(|node| node.address().to_string());
    let proxy = Proxy::start(|port, directory| {
        let mut command = varnish_of_nodes([&addresses[0], &addresses[1]], port, directory);
        command.args(["-p", "http_gzip_support=off"]);
        command
    })
    .await;

    let begun = Instant::now();
    while proxy.get("/readyz", &[]).await.status == 503 {
        assert!(begun.elapsed() < Duration::from_secs(60), "Varnish finds no node ready");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    let (id, _) = one.create_merchant("A shop").await;
    let paths = [url_with(MERCHANT, &json!({"id": id})), url(MERCHANTS)];
    // The content that each ETag stands for, and the last ETags of each path and coding.
    let mut stands_for: HashMap<String, Vec<u8>> = HashMap::new();
    let mut last: HashMap<(&str, &str), Vec<String>> = HashMap::new();
    for (round, city) in ["Bergen", "Oslo", "Bergen"].into_iter().enumerate() {
        match round {
            0 => drop(one.move_merchant(&id, city).await),
            1 => drop(other.move_merchant(&id, city).await),
            _ => {
                let moved = format!("UPDATE merchants SET city = '{city}' WHERE id = '{id}'");
                drop(postgres.run(database, &moved));
            }
        }
        // Each node answers some of these, and Varnish the rest.
        for time in 0..4 {
            if time % 2 == 0 {
                tokio::time::sleep(OVER).await;
                // The nodes take turns: now, the other one answers the same request.
                assert_eq!(proxy.get("/readyz", &[]).await.status, 200);
            }
            for path in &paths {
                for coding in ["identity", "gzip", "br"] {
                    let known = last.entry((path, coding)).or_default();
                    let condition = match time {
                        0 => None,
                        1 => known.last().cloned(),
                        _ => Some(known.join(", ")),
                    };
                    let mut headers = vec![(ACCEPT_ENCODING, coding)];
                    headers.extend(condition.as_deref().map(|tags| (IF_NONE_MATCH, tags)));
                    let answer = proxy.get(path, &headers).await;
                    let etag = answer.etag().to_owned();
                    let body = match answer.status.as_u16() {
                        304 => stands_for[&etag].clone(),
                        status => {
                            assert_eq!(status, 200, "{}", answer.text());
                            decoded(&answer)
                        }
                    };
                    let before = stands_for.entry(etag.clone()).or_insert_with(|| body.clone());
                    assert_eq!(*before, body, "two bodies under {etag}");
                    let json: Value = serde_json::from_slice(&body).unwrap();
                    assert!(etag.contains(json["extensions"]["etag"].as_str().unwrap()), "{etag}");
                    assert!(
                        json.to_string().contains(&format!("\"city\":\"{city}\"")),
                        "round {round}, {} with {headers:?}: {json}",
                        answer.status
                    );
                    if !known.contains(&etag) {
                        known.push(etag);
                    }
                }
            }
        }
    }
    let etags = last.values().map(Vec::len).sum::<usize>();
    // Three states of two paths in three codings: if each release has its own, more than these.
    assert_eq!(etags > 3 * 2 * 3, rendering != RENDERING, "{etags}");
}
