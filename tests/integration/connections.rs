//! Requests as raw bytes: what a client library would never send, or never finish.

use std::io::Write;
use std::time::Duration;

use freshql::config::Mode;
use http::Method;
use http::header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::{CREATE, MERCHANTS, TestApp, editor, url};

/// Longer than any machine takes.
const LONG: Duration = Duration::from_secs(30);

fn status(response: &str) -> u16 {
    response.split(' ').nth(1).unwrap_or_else(|| panic!("{response:?}")).parse().unwrap()
}

/// The server's response until it closes the connection.
async fn until_closed(stream: &mut TcpStream) -> String {
    let mut response = Vec::new();
    // A reset closes it, too.
    let _ = tokio::time::timeout(LONG, stream.read_to_end(&mut response))
        .await
        .expect("the server closes");
    String::from_utf8(response).unwrap()
}

#[tokio::test]
async fn a_server_on_loopback_refuses_foreign_host_names() {
    let app = TestApp::start(Mode::Open).await;
    let body = json!({"query": "mutation { deleteMerchant(id: \"x\") { id } }"}).to_string();
    let ask = async |hosts: &str| {
        let head = format!(
            "POST /graphql HTTP/1.1\r\n{hosts}Content-Type: application/json\r\nConnection: close\r\n"
        );
        let head = format!("{head}Authorization: {}\r\n", editor());
        app.raw(&format!("{head}Content-Length: {}\r\n\r\n{body}", body.len())).await
    };
    for hosts in
        ["Host: evil.example\r\n", "Host: 192.168.1.1:8080\r\n", "Host: localhost.evil.example\r\n"]
    {
        let response = ask(hosts).await;
        assert_eq!(status(&response), 421, "{response}");
        assert!(
            response.contains("cache-control: no-store") && response.contains("`hosts`"),
            "{response}"
        );
    }
    for hosts in [
        "",
        "Host: localhost\r\nHost: localhost\r\n",
        "Host: a b\r\n",
        "Host: \r\n",
        "Host: a/b\r\n",
    ] {
        assert_eq!(status(&ask(hosts).await), 400, "{hosts:?}");
    }
    for hosts in ["Host: localhost:8080\r\n", "Host: [::1]\r\n", "Host: app.localhost\r\n"] {
        assert_eq!(status(&ask(hosts).await), 404, "no such merchant, but the operation ran");
    }
    let absolute =
        "GET http://evil.example/q HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    assert_eq!(status(&app.raw(absolute).await), 421);
    assert_eq!(
        status(&app.raw("GET /healthz HTTP/1.1\r\nHost: pod-7\r\nConnection: close\r\n\r\n").await),
        200
    );
    assert_eq!(status(&app.raw("GET /healthz HTTP/1.0\r\n\r\n").await), 200);
    let app = TestApp::start_with(Mode::Open, |config| {
        config.hosts = Some("evil.example".parse().unwrap())
    })
    .await;
    let get = "GET /graphql?query=%7B__typename%7D HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n";
    assert_eq!(status(&app.raw(get).await), 200);
}

#[tokio::test]
async fn a_body_of_ambiguous_length_is_refused() {
    let app = TestApp::start(Mode::Trusted).await;
    let chunked = "2\r\n{}\r\n0\r\n\r\n";
    let post = async |lines: &str| {
        let head = format!(
            "POST {} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n",
            url(MERCHANTS)
        );
        app.raw(&format!("{head}{lines}Connection: close\r\n\r\n{chunked}")).await
    };
    assert_eq!(status(&post("Transfer-Encoding: chunked\r\n").await), 200);
    for lines in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\ncontent-length: 5\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Content-Length: 2\r\nContent-Length: 3\r\n",
        "Content-Length: +2\r\n",
    ] {
        let response = post(lines).await;
        assert_eq!(status(&response), 400, "{lines} {response}");
        assert!(response.to_ascii_lowercase().contains("connection: close"), "{lines} {response}");
    }
    // The second of two requests in one packet is examined, too.
    let two = format!(
        "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\nPOST {} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\
         Transfer-Encoding: chunked\r\nContent-Type: application/json\r\n\r\n{chunked}",
        url(MERCHANTS)
    );
    let response = app.raw(&two).await;
    assert!(
        response.starts_with("HTTP/1.1 200") && response.contains("HTTP/1.1 400"),
        "{response}"
    );
}

#[tokio::test]
async fn an_unreadable_request_is_answered_with_the_reason() {
    let app = TestApp::start(Mode::Trusted).await;
    let long = "x".repeat(70_000);
    let headers = (0..200).map(|n| format!("x-{n}: y\r\n")).collect::<String>();
    for (request, expected) in [
        (format!("GET /q/{long} HTTP/1.1\r\nHost: localhost\r\n\r\n"), 414),
        (
            format!(
                "GET /q/{} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
                &long[..20_000]
            ),
            414,
        ),
        (format!("GET /healthz HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n"), 431),
        (format!("GET /healthz HTTP/1.1\r\nHost: localhost\r\nx: {long}{long}\r\n\r\n"), 431),
        ("GET /q/x?variables={\"id\":1} HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(), 400),
        ("nonsense\r\n\r\n".to_owned(), 400),
    ] {
        let response = app.raw(&request).await;
        let (head, body) = response.split_once("\r\n\r\n").unwrap();
        assert_eq!(status(head), expected, "{head}");
        for line in ["cache-control: no-store", "content-type: application/problem+json", "date: "]
        {
            assert_eq!(head.matches(line).count(), 1, "{line} {head}");
        }
        let body: Value =
            serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {response}"));
        assert_eq!(body["status"], expected);
    }
}

#[tokio::test]
async fn slow_clients_are_timed_out() {
    let second = Duration::from_secs(1);
    let app = TestApp::start_with(Mode::Trusted, |config| {
        config.limits.head_timeout = second;
        config.limits.body_timeout = second;
        config.limits.idle_timeout = second;
    })
    .await;
    let connect = async |bytes: &str| {
        let mut stream = TcpStream::connect(app.address()).await.unwrap();
        stream.write_all(bytes.as_bytes()).await.unwrap();
        stream
    };
    let mut silent = connect("").await;
    let mut half = connect("GET /healthz HTTP/1.1\r\nHost: loc").await;
    let mut idle = connect("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    let head = format!(
        "POST {} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n",
        url(MERCHANTS)
    );
    let mut body = connect(&format!("{head}Content-Length: 20\r\n\r\n{{")).await;
    assert_eq!(until_closed(&mut silent).await, "");
    assert_eq!(until_closed(&mut half).await, "");
    assert_eq!(status(&until_closed(&mut idle).await), 200);
    let response = until_closed(&mut body).await;
    assert_eq!(status(&response), 408, "{response}");
    assert!(response.contains("cache-control: no-store"));
}

#[tokio::test]
async fn idle_connections_do_not_keep_others_out() {
    let app = TestApp::start_with(Mode::Trusted, |config| config.limits.max_connections = 4).await;
    let mut held = Vec::new();
    for n in 0..20 {
        let mut stream = TcpStream::connect(app.address()).await.unwrap();
        if n % 2 == 0 {
            stream.write_all(b"GET /healthz HTTP/1.1\r\nHos").await.unwrap();
        }
        held.push(stream);
    }
    for _ in 0..10 {
        let get = app.raw("GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        assert_eq!(status(&tokio::time::timeout(LONG, get).await.expect("it gets in")), 200);
    }
}

#[tokio::test]
async fn unfinished_bodies_do_not_keep_others_out() {
    let app = TestApp::start_with(Mode::Trusted, |config| {
        config.limits.max_connections = 4;
        config.limits.body_timeout = 20 * LONG;
        config.limits.timeout = 20 * LONG;
    })
    .await;
    let head = format!(
        "POST {} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n",
        url(MERCHANTS)
    );
    let mut held = Vec::new();
    for n in 0..20 {
        let mut stream = TcpStream::connect(app.address()).await.unwrap();
        let framing = if n % 2 == 0 {
            "Content-Length: 20\r\n\r\n{"
        } else {
            "Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n"
        };
        stream.write_all(format!("{head}{framing}").as_bytes()).await.unwrap();
        held.push(stream);
    }
    for _ in 0..10 {
        let get = app.raw("GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        assert_eq!(status(&tokio::time::timeout(LONG, get).await.expect("it gets in")), 200);
    }
    // A client that goes on sending is answered.
    let mut stream = TcpStream::connect(app.address()).await.unwrap();
    stream
        .write_all(format!("{head}Connection: close\r\nContent-Length: 2\r\n\r\n{{").as_bytes())
        .await
        .unwrap();
    stream.write_all(b"}").await.unwrap();
    assert_eq!(status(&until_closed(&mut stream).await), 200);
}

#[tokio::test]
async fn a_gzip_body_has_the_same_limit_once_decompressed() {
    let app = TestApp::start(Mode::Trusted).await;
    let gzip = |text: &str| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let post = async |coding: &str, body: Vec<u8>| {
        let request =
            app.request(Method::POST, &url(CREATE)).header(CONTENT_TYPE, "application/json");
        request
            .header(AUTHORIZATION, editor())
            .header(CONTENT_ENCODING, coding)
            .body(body)
            .send()
            .await
            .unwrap()
    };
    let body = |description: &str, name: &str| {
        json!({"variables": {"input": {"name": name, "description": description, "city": "Ghent"}}})
            .to_string()
    };
    assert_eq!(post("gzip", gzip(&body("short", "a"))).await.status(), 200);
    assert_eq!(post("GZIP", gzip(&body(&"long ".repeat(10_000), "b"))).await.status(), 200);
    assert_eq!(post("identity", body("plain", "c").into_bytes()).await.status(), 200);
    let bomb = gzip(&body(&"x".repeat(64 << 20), "d"));
    assert!(bomb.len() < 1 << 20);
    assert_eq!(post("gzip", bomb).await.status(), 413);
    assert_eq!(post("gzip", body("plain", "e").into_bytes()).await.status(), 400);
    for coding in ["br", "gzip, gzip", "deflate"] {
        let refused = post(coding, gzip(&body("short", "f"))).await;
        assert_eq!(
            (refused.status().as_u16(), &refused.headers()[ACCEPT_ENCODING]),
            (415, &"gzip".parse().unwrap())
        );
    }
}
