//! What the program logs for its operators.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use crate::blog;
use crate::harness::{MERCHANTS, configure, project, signal, url, url_with};
use crate::program::Program;

#[tokio::test]
async fn a_request_is_a_line_of_the_access_log_without_its_variables() {
    let project = project();
    let settings = "log = \"warn,freshql::access=debug,freshql::app=info\"\nlog_format = \"json\"\nmode = \"open\"\n";
    configure(project.path(), settings);
    let mut program = Program::start(project.path()).await;
    let address = program.address.split('"').next().unwrap().to_owned();
    let path = url_with(MERCHANTS, &json!({"first": 7}));
    for _ in 0..2 {
        assert_eq!(reqwest::get(format!("{address}{path}")).await.unwrap().status(), 200);
    }
    let mut line = async || -> Value {
        let line = program.log.next_line().await.unwrap().unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    };
    let console = line().await;
    assert_eq!(console["message"], format!("the console is at {address}/"));
    for result in ["miss", "hit"] {
        let line = line().await;
        assert_eq!((&line["level"], &line["target"]), (&json!("DEBUG"), &json!("freshql::access")));
        assert_eq!(
            (&line["method"], &line["path"], &line["status"]),
            (&json!("GET"), &json!(url(MERCHANTS)), &json!(200))
        );
        assert_eq!((&line["result"], &line["operation"]), (&json!(result), &json!("Merchants")));
        assert!(line["micros"].is_u64() && !line.to_string().contains("variables"), "{line}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_refused_cors_origin_is_logged_once() {
    let project = project();
    let mut program = Program::start(project.path()).await;
    let client = reqwest::Client::new();
    let url = format!("{}{}", program.address, url(MERCHANTS));
    let own = program.address.clone();
    for origin in [own.as_str(), "http://localhost:5173", "http://localhost:5174"] {
        client.get(&url).header("origin", origin).send().await.unwrap();
        let preflight = client.request(http::Method::OPTIONS, &url).header("origin", origin);
        preflight.header("access-control-request-method", "POST").send().await.unwrap();
    }
    signal(&program.process, "TERM");
    let mut lines = Vec::new();
    while let Some(line) = program.log.next_line().await.unwrap() {
        lines.extend(line.contains("cors_origins").then_some(line));
    }
    assert!(lines.len() == 1 && lines[0].contains("origin=\"http://localhost:5173\""), "{lines:?}");
}

#[cfg(unix)]
#[tokio::test]
async fn a_second_interrupt_stops_at_once() {
    let project = project();
    let mut program = Program::start(project.path()).await;
    let address = program.address.rsplit('/').next().unwrap();
    // A request in progress: its body never arrives.
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let head = format!(
        "POST {} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n",
        url(MERCHANTS)
    );
    stream.write_all(format!("{head}Content-Length: 20\r\n\r\n{{").as_bytes()).await.unwrap();
    // It is in progress as soon as a request on a later connection has been answered.
    assert_eq!(reqwest::get(format!("http://{address}/healthz")).await.unwrap().status(), 200);
    signal(&program.process, "INT");
    loop {
        let line = program.log.next_line().await.unwrap().unwrap();
        if line.contains("a second signal stops at once") {
            break;
        }
    }
    signal(&program.process, "INT");
    let ended = tokio::time::timeout(Duration::from_secs(9), program.process.wait()).await.unwrap();
    assert_eq!(ended.unwrap().code(), Some(130));
}

#[cfg(unix)]
#[tokio::test]
async fn neither_tokens_nor_claims_nor_cookies_are_logged() {
    let project = blog::project();
    let settings = "mode = \"open\"\nlog = \"debug\"\n";
    let auth = "[auth]\nissuer = \"tests\"\naudience = \"api\"\nsecret_env = \"SECRET\"\ncookie = \"__Host-session\"\n";
    std::fs::write(project.path().join("freshql.toml"), format!("{settings}{auth}")).unwrap();
    let mut program = Program::start_with(project.path(), &[("SECRET", blog::SECRET)]).await;
    let client = reqwest::Client::new();
    let claims = json!({"sub": "canary-of-a-claim", "roles": ["canary-of-a-role"]});
    let (good, expired) =
        (blog::token(&claims), blog::token(&json!({"sub": "canary-of-a-claim", "exp": 1})));
    let broken = format!("{good}x");
    for token in [&good, &expired, &broken] {
        for path in ["messages", "posts"]
            .map(blog::path)
            .iter()
            .chain([&"/graphql?query={messages{nodes{id}}}".to_owned()])
        {
            let url = format!("{}{path}", program.address);
            let asking =
                |request: reqwest::RequestBuilder| request.header("freshql-explain", "1").send();
            asking(client.get(&url).bearer_auth(token)).await.unwrap();
            asking(client.get(&url).header("cookie", format!("__Host-session={token}")))
                .await
                .unwrap();
            client.post(&url).bearer_auth(token).json(&json!({})).send().await.unwrap();
        }
    }
    signal(&program.process, "TERM");
    let mut log = String::new();
    while let Some(line) = program.log.next_line().await.unwrap() {
        log.push_str(&line);
        log.push('\n');
    }
    assert!(log.matches("answered").count() >= 20, "{log}");
    let parts: Vec<&str> =
        [&good, &expired].into_iter().flat_map(|token| token.split('.').skip(1)).collect();
    for secret in parts.into_iter().chain(["canary", "__Host-session", blog::SECRET, "Bearer"]) {
        assert!(!log.contains(secret), "{secret} in {log}");
    }
}
