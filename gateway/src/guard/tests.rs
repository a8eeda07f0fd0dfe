//! The guard's rules as tables: what comes in, whether it passes.

use http::Request;

use super::*;

fn guard() -> Guard {
    let config = GatewayConfig {
        listen: vec!["localhost:8082".into(), "broker.lan.example:8082".into()],
        allowed_origins: vec!["https://app.example".into(), "http://localhost:5173".into()],
        hosts: vec!["kafka.intern.example.".into()],
        public_url: Some("https://Kafka.Example/gw".into()),
        ..GatewayConfig::default()
    };
    Guard::new(&config, Some("Box.Local"))
}

fn parts(method: &str, target: &str, headers: &[(&str, &str)]) -> Parts {
    let mut request = Request::builder().method(method).uri(target);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).expect("a request of the table").into_parts().0
}

fn check(method: &str, target: &str, headers: &[(&str, &str)]) -> Result<(), Refused> {
    guard().check(&parts(method, target, headers))
}

#[test]
fn hosts_that_nobody_else_controls_pass() {
    let names = [
        "localhost",
        "localhost:8082",
        "LOCALHOST:1",
        "localhost.",
        "app.localhost:8082",
        "127.0.0.1",
        "127.0.0.1:8082",
        "10.1.2.3",
        "[::1]:8082",
        "[fe80::1%25eth0]:8082",
        "broker",
        "broker:9",
        "box.local",
        "broker.lan.example",
        "kafka.example",
        "kafka.example:443",
        "kafka.intern.example",
        "kafka.intern.example.:8082",
        "",
    ];
    for host in names {
        assert_eq!(check("POST", "/topics/t", &[("host", host)]), Ok(()), "{host}");
    }
    assert_eq!(check("POST", "/topics/t", &[]), Ok(()), "no Host at all");
}

#[test]
fn other_host_names_are_refused_and_the_setting_is_named() {
    let names = [
        "evil.example",
        "evil.example:8082",
        "localhost.evil.example",
        "evillocalhost.example",
        "127.0.0.1.evil.example",
        "kafka.example.evil.example",
        "xkafka.example",
        "sub.kafka.example",
        "evil.",
        "user@localhost",
        "localhost:80:90",
        "localhost/x",
        "a b",
    ];
    for host in names {
        let refused = check("GET", "/topics", &[("host", host)]);
        assert_eq!(refused, Err(Refused::Host { host: host.to_owned() }), "{host}");
    }
    let text = check("GET", "/", &[("host", "evil.example")]).expect_err("refused").to_string();
    assert!(text.contains("http.hosts"), "{text}");
}

#[test]
fn a_target_in_absolute_form_and_a_second_host_are_checked_as_well() {
    assert!(check("GET", "http://evil.example/topics", &[("host", "localhost")]).is_err());
    assert!(check("GET", "http://localhost/topics", &[("host", "evil.example")]).is_err());
    assert!(check("GET", "http://localhost/topics", &[("host", "localhost")]).is_ok());
    assert!(check("GET", "/topics", &[("host", "localhost"), ("host", "localhost")]).is_err());
}

#[test]
fn probes_may_call_by_any_name() {
    assert_eq!(check("GET", "/health/live", &[("host", "pod.cluster.example")]), Ok(()));
    assert!(check("GET", "/healthy", &[("host", "pod.cluster.example")]).is_err());
}

#[test]
fn fetch_metadata_decides_before_origin() {
    // (Sec-Fetch-Site, Origin, passes)
    let table = [
        ("same-origin", None, true),
        ("none", None, true),
        ("none", Some("null"), true),
        ("same-origin", Some("http://localhost:8082"), true),
        ("same-site", None, false),
        ("cross-site", None, false),
        ("cross-site", Some("null"), false),
        ("same-site", Some("http://localhost:3000"), false),
        // Our own origin is nothing that a cross-site request can have; only the list counts.
        ("cross-site", Some("http://localhost:8082"), false),
        ("cross-site", Some("https://kafka.example"), false),
        ("cross-site", Some("https://app.example"), true),
        ("cross-site", Some("HTTPS://APP.example:443"), true),
        ("cross-site", Some("http://app.example"), false),
        ("cross-site", Some("https://app.example.evil.example"), false),
        ("same-site", Some("http://localhost:5173"), true),
        ("Same-Origin", None, false),
        ("nonsense", None, false),
        ("", None, false),
    ];
    for method in ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"] {
        for (site, origin, passes) in table {
            let mut headers = vec![("host", "localhost:8082"), ("sec-fetch-site", site)];
            headers.extend(origin.map(|origin| ("origin", origin)));
            assert_eq!(check(method, "/topics/t", &headers).is_ok(), passes, "{method} {site} {origin:?}");
        }
    }
}

#[test]
fn a_second_site_or_origin_does_not_help() {
    let host = ("host", "localhost:8082");
    assert!(check("POST", "/t", &[host, ("sec-fetch-site", "none"), ("sec-fetch-site", "cross-site")]).is_err());
    let two =
        [host, ("sec-fetch-site", "cross-site"), ("origin", "https://app.example"), ("origin", "https://x.example")];
    assert!(check("POST", "/t", &two).is_err());
    assert!(check("POST", "/t", &[host, ("origin", "https://app.example"), ("origin", "https://x.example")]).is_err());
}

#[test]
fn an_origin_alone_must_be_ours_or_listed() {
    let table = [
        ("localhost:8082", "http://localhost:8082", true),
        ("LOCALHOST:8082", "http://localhost:8082", true),
        ("localhost", "http://localhost", true),
        ("localhost:80", "http://localhost", true),
        ("[::1]:8082", "http://[::1]:8082", true),
        ("localhost:8082", "https://localhost:8082", false),
        ("localhost:8082", "http://localhost:3000", false),
        ("localhost:8082", "http://127.0.0.1:8082", false),
        ("localhost:8082", "null", false),
        ("localhost:8082", "", false),
        ("localhost:8082", "file://", false),
        ("localhost:8082", "https://kafka.example", true),
        ("localhost:8082", "https://kafka.example:444", false),
        ("localhost:8082", "https://app.example", true),
        ("localhost:8082", "https://evil.example", false),
    ];
    for method in ["GET", "POST", "DELETE"] {
        for (host, origin, passes) in table {
            let got = check(method, "/topics/t", &[("host", host), ("origin", origin)]);
            assert_eq!(got.is_ok(), passes, "{method} {host} {origin}");
        }
    }
    assert!(check("POST", "/t", &[("origin", "http://localhost:8082")]).is_err(), "no Host to compare with");
    let text =
        check("POST", "/t", &[("host", "localhost"), ("origin", "https://x.example")]).expect_err("no").to_string();
    assert!(text.contains("http.allowed_origins") && text.contains("https://x.example"), "{text}");
}

#[test]
fn curl_passes() {
    for method in ["GET", "POST", "PUT", "DELETE", "PATCH"] {
        assert_eq!(check(method, "/topics/t", &[("host", "localhost:8082"), ("user-agent", "curl/8")]), Ok(()));
    }
}

#[test]
fn a_link_from_elsewhere_may_open_pages_that_change_nothing() {
    // (method, path, mode, dest, passes)
    let table = [
        ("GET", "/docs", "navigate", "document", true),
        ("GET", "/docs?x=1", "navigate", "document", true),
        ("GET", "/console", "navigate", "document", true),
        ("GET", "/openapi.json", "navigate", "document", true),
        ("GET", "/health/ready", "navigate", "document", true),
        ("GET", "/topics", "navigate", "document", false),
        ("GET", "/docs/app.js", "navigate", "document", false),
        ("GET", "/docs", "no-cors", "image", false),
        ("GET", "/docs", "navigate", "iframe", false),
        ("GET", "/docs", "cors", "empty", false),
        ("GET", "/health/ready", "no-cors", "image", false),
        ("POST", "/docs", "navigate", "document", false),
        ("HEAD", "/docs", "navigate", "document", false),
    ];
    for site in ["cross-site", "same-site"] {
        for (method, path, mode, dest, passes) in table {
            let headers = [
                ("host", "localhost:8082"),
                ("sec-fetch-site", site),
                ("sec-fetch-mode", mode),
                ("sec-fetch-dest", dest),
            ];
            assert_eq!(check(method, path, &headers).is_ok(), passes, "{site} {method} {path} {mode} {dest}");
        }
    }
}
