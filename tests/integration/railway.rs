//! A project that differs from the demo in everything (`tests/railway`), served over HTTP through
//! its registered documents: reading, paging both ways, writing, conditional requests, caching
//! headers. Its migrations are those that `migrate new` writes.

use std::path::{Path, PathBuf};

use freshql::config::Mode;
use http::header::{CACHE_CONTROL, ETAG, IF_MATCH, IF_NONE_MATCH};
use serde_json::{Value, json};

use crate::commands::freshql;
use crate::harness::{Answer, TestApp, copy, url, url_with};

struct Railway(TestApp);

fn files() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/railway")
}

fn document(name: &str) -> String {
    std::fs::read_to_string(files().join("queries").join(name).with_extension("graphql")).unwrap()
}

impl Railway {
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        copy(&files(), directory.path());
        let new = freshql(directory.path(), &["migrate", "new", "init"]);
        assert!(new.status.success(), "{}", String::from_utf8_lossy(&new.stderr));
        Self(TestApp::start_in(directory, Mode::Trusted, |_| {}).await)
    }

    async fn get(&self, name: &str, variables: &Value, etag: Option<&str>) -> Answer {
        let headers: Vec<_> = etag.into_iter().map(|etag| (IF_NONE_MATCH, etag)).collect();
        self.0.get_with(&url_with(&document(name), variables), &headers).await
    }

    /// The data of a query that succeeds.
    async fn read(&self, name: &str, variables: Value) -> Value {
        let answer = self.get(name, &variables, None).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["data"].clone()
    }

    async fn post(&self, operation: &str, variables: Value, if_match: Option<&str>) -> Answer {
        let headers: Vec<_> = if_match.into_iter().map(|etag| (IF_MATCH, etag)).collect();
        let path = format!("{}/{operation}", url(&document("writes")));
        self.0.post_with(&path, &json!({ "variables": variables }), &headers).await
    }

    /// The row that a mutation returns.
    async fn write(&self, operation: &str, variables: Value) -> Value {
        let answer = self.post(operation, variables, None).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.header(CACHE_CONTROL), "no-store");
        answer.json()["data"].as_object().unwrap().values().next().unwrap().clone()
    }

    async fn create_stations(&self, rows: &[(&str, &str, Option<&str>)]) {
        for (code, name, opened) in rows {
            let input = json!({"code": code, "name": name, "opened": opened});
            assert_eq!(self.write("CreateStation", json!({ "input": input })).await["code"], *code);
        }
    }

    /// An external writer.
    fn shell(&self, sql: &str) {
        self.0.outsider().execute(sql);
    }
}

const STATIONS: [(&str, &str, Option<&str>); 7] = [
    ("A/1", "Ärgernis", None),
    ("b", "Berlin", Some("1838-10-29")),
    ("B", "berlin Ost", Some("0001-01-01")),
    ("c d", "100%_x", Some("9999-12-31")),
    ("ß?&#", "Straße \"q\"", None),
    ("", "nowhere", Some("1838-10-29")),
    ("é", "e\u{301}", None),
];

#[tokio::test]
async fn client_assigned_keys_are_stored_unchanged() {
    let railway = Railway::start().await;
    railway.create_stations(&STATIONS).await;
    for (code, name, opened) in STATIONS {
        let station = &railway.read("station", json!({ "code": code })).await["station"];
        assert_eq!(
            (&station["code"], &station["name"], &station["opened"]),
            (&json!(code), &json!(name), &json!(opened))
        );
        assert_eq!(
            railway.read("name", json!({ "name": name })).await["stationByName"]["code"],
            code
        );
    }
    let patch = json!({
        "altitude": -0.5, "passengersPerYear": "9223372036854775807", "parentId": "b",
        "facilities": {"lifts": [1, 2.5, {"up": null}], "Ü": "\u{1f682}"}
    });
    railway.write("UpdateStation", json!({"code": "A/1", "patch": patch})).await;
    let station = &railway.read("station", json!({"code": "A/1"})).await["station"];
    for name in ["altitude", "passengersPerYear", "facilities"] {
        assert_eq!(station[name], patch[name]);
    }
    assert_eq!(
        railway.read("name", json!({"name": "Ärgernis"})).await["stationByName"]["parent"]["name"],
        "Berlin"
    );
    let twice = railway
        .post("CreateStation", json!({"input": {"code": "x", "name": "Berlin"}}), None)
        .await;
    twice.assert_error(409, "CONFLICT");
    assert_eq!(twice.json()["errors"][0]["extensions"]["fields"], json!(["name"]));
    let input = json!({"code": "x", "name": "x", "hasLift": null});
    let null = railway.post("CreateStation", json!({ "input": input }), None).await;
    null.assert_error(422, "BAD_USER_INPUT");
    assert!(
        null.text().contains("may not be null; leave it out to get its default"),
        "{}",
        null.text()
    );
}

/// All codes, read in pages of this size; `forward`, or from the end.
async fn walk(railway: &Railway, order: &Value, size: usize, forward: bool) -> Vec<String> {
    let mut codes: Vec<String> = Vec::new();
    let mut cursor = Value::Null;
    loop {
        let variables = match forward {
            true => json!({"first": size, "after": cursor, "orderBy": order}),
            false => json!({"last": size, "before": cursor, "orderBy": order}),
        };
        let list = &railway.read("stations", variables).await["stations"];
        assert_eq!(list["totalCount"], STATIONS.len());
        let page = list["nodes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|node| node["code"].as_str().unwrap().to_owned());
        let info = &list["pageInfo"];
        match forward {
            true => codes.extend(page),
            false => codes = page.chain(std::mem::take(&mut codes)).collect(),
        }
        let (more, next) =
            if forward { ("hasNextPage", "endCursor") } else { ("hasPreviousPage", "startCursor") };
        if info[more] == false {
            return codes;
        }
        cursor = info[next].clone();
    }
}

#[tokio::test]
async fn pages_in_either_direction_add_up_to_the_whole_list() {
    let railway = Railway::start().await;
    railway.create_stations(&STATIONS).await;
    for (order, wanted) in [
        (json!(null), ["c d", "b", "ß?&#", "B", "é", "", "A/1"]),
        (json!([{"opened": "ASC"}]), ["A/1", "ß?&#", "é", "B", "", "b", "c d"]),
        (
            json!([{"opened": "DESC_NULLS_FIRST"}, {"name": "DESC"}]),
            ["A/1", "é", "ß?&#", "c d", "", "b", "B"],
        ),
        (
            json!([{"opened": "ASC_NULLS_LAST"}, {"code": "DESC"}]),
            ["B", "b", "", "c d", "é", "ß?&#", "A/1"],
        ),
    ] {
        for size in [1, 2, 3, 5] {
            assert_eq!(walk(&railway, &order, size, true).await, wanted, "{order} by {size}");
            assert_eq!(
                walk(&railway, &order, size, false).await,
                wanted,
                "{order} by {size}, from the end"
            );
        }
    }
    let too_many = railway.get("stations", &json!({"first": 6}), None).await;
    too_many.assert_error(422, "BAD_USER_INPUT");
    let filter = json!({"or": [{"opened": {"isNull": true}}, {"not": {"name": {"contains": "BERLIN", "mode": "INSENSITIVE"}}}]});
    let list = &railway.read("stations", json!({"where": filter, "first": 1})).await["stations"];
    assert_eq!(list["totalCount"], 5);
}

#[tokio::test]
async fn an_etag_changes_exactly_when_its_answer_does() {
    let railway = Railway::start().await;
    railway.create_stations(&STATIONS).await;
    let link = json!({"fromId": "b", "toId": "c d", "lengthKm": "12.500"});
    assert_eq!(
        railway.write("CreateLink", json!({ "input": link })).await,
        json!({"id": "1", "track": 1, "gauge": "STANDARD"})
    );
    let variables = json!({"code": "b"});
    let first = railway.get("station", &variables, None).await;
    let mut etag = first.etag().to_owned();
    let asked = async |etag: &str| railway.get("station", &variables, Some(etag)).await;
    let unchanged = asked(&etag).await;
    assert_eq!(
        (unchanged.status.as_u16(), unchanged.etag(), unchanged.body.len()),
        (304, &etag[..], 0)
    );

    // Changes elsewhere: other rows, other lists.
    railway.write("UpdateStation", json!({"code": "A/1", "patch": {"note": "x"}})).await;
    railway
        .write("CreateLink", json!({"input": {"fromId": "B", "toId": "b", "lengthKm": "1"}}))
        .await;
    railway.shell(
        "UPDATE stations SET altitude = 5 WHERE code = ''; DELETE FROM stations WHERE code = 'é'",
    );
    assert_eq!(asked(&etag).await.status, 304);

    // The row, a row of its list, a row that one of these shows, an additional row, one less.
    for change in [
        "UPDATE stations SET passengers_per_year = 1 WHERE code = 'b'",
        "UPDATE hops SET length = length + 1 WHERE id = 1",
        "UPDATE stations SET name = 'elsewhere' WHERE code = 'c d'",
        "INSERT INTO hops (from_code, to_id, track, length) VALUES ('b', 'B', 3, 7000)",
        "DELETE FROM hops WHERE track = 3",
        "UPDATE hops SET from_code = 'B', track = 9 WHERE id = 1",
    ] {
        railway.shell(change);
        let changed = asked(&etag).await;
        assert_eq!(changed.status, 200, "{change}");
        assert_ne!(changed.etag(), etag, "{change}");
        etag = changed.etag().to_owned();
        assert_eq!(asked(&etag).await.status, 304, "{change}");
    }
    let gone = railway.write("DeleteStation", json!({"code": "ß?&#"})).await;
    assert_eq!(gone["code"], "ß?&#");
    assert_eq!(asked(&etag).await.status, 304);
}

#[tokio::test]
async fn mutually_referring_rows_are_written_under_their_etags() {
    let railway = Railway::start().await;
    let operator = railway
        .write("Found", json!({"operator": {"name": "ACME", "secret": "s", "founded": "1999-12-31T23:00:00-01:00"}}))
        .await;
    let (id, read) = (&operator["id"], operator["etag"].as_str().unwrap());
    let driver = json!({"operatorId": id, "name": "Al", "born": "2000-02-29", "salary": "12345678901234.5678"});
    let driver = railway.write("Hire", json!({ "driver": driver })).await;
    assert_eq!(driver["salary"], "12345678901234.5678");

    let lead = |etag: Value| json!({"operator": id, "chief": driver["id"], "etag": etag});
    let unguarded =
        railway.post("Lead", json!({"operator": id, "chief": driver["id"]}), None).await;
    unguarded.assert_error(428, "PRECONDITION_REQUIRED");
    let done = railway
        .post("Lead", json!({"operator": id, "chief": driver["id"]}), Some(&format!("\"{read}\"")))
        .await;
    assert_eq!(done.status, 200, "{}", done.text());
    assert_eq!(done.json()["data"]["updateOperator"]["chief"]["name"], "Al");
    let late = railway.post("Lead", lead(json!(read)), None).await;
    late.assert_error(412, "PRECONDITION_FAILED");
    let now = &done.json()["data"]["updateOperator"]["etag"];
    assert_eq!(late.json()["errors"][0]["extensions"]["currentEtag"], *now);

    // Any client gets it, but shared caches do not store it.
    let list = railway.get("operators", &json!({}), None).await;
    assert_eq!(list.header(CACHE_CONTROL), "private, no-cache");
    assert_eq!(list.json()["data"]["operators"]["nodes"][0]["chief"]["operator"]["name"], "ACME");
    assert!(list.headers.contains_key(ETAG));

    let train = railway.write("Buy", json!({"train": {"operatorId": id}})).await;
    let defaults = json!({
        "number": "1", "label": null, "maxSpeed": 160, "weight": 80.5, "axles": "8", "price": "1.50", "day": "2024-02-29",
        "extra": {"seats": [1, 2, {"a": null}], "wifi": true}
    });
    assert_eq!(train, defaults);
    railway
        .post("Sell", json!({"operator": id, "etag": now}), None)
        .await
        .assert_error(409, "CONFLICT");
    railway.shell("DELETE FROM trains");
    assert_eq!(railway.post("Sell", json!({"operator": id, "etag": now}), None).await.status, 200);
    assert_eq!(railway.read("operators", json!({})).await["operators"]["nodes"], json!([]));
}

#[tokio::test]
async fn an_answer_has_the_shortest_max_age_of_its_selection() {
    let railway = Railway::start().await;
    railway.create_stations(&STATIONS[..2]).await;
    for (name, variables, wanted) in [
        ("stations", json!({}), "public, max-age=30, s-maxage=300"),
        ("name", json!({"name": "Berlin"}), "public, max-age=30, s-maxage=300"),
        // Links have no setting, so they are never fresh.
        ("station", json!({"code": "b"}), "public, max-age=0, s-maxage=0, must-revalidate"),
    ] {
        let answer = railway.get(name, &variables, None).await;
        assert_eq!(answer.header(CACHE_CONTROL), wanted, "{name}");
        let again = railway.get(name, &variables, Some(answer.etag())).await;
        assert_eq!((again.status.as_u16(), again.header(CACHE_CONTROL)), (304, wanted), "{name}");
    }
    let stations = railway.get("stations", &json!({}), None).await;
    assert_eq!(stations.header("cdn-cache-control"), "max-age=300, stale-while-revalidate=60");
}
