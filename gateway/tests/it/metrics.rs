//! `GET /metrics`: its text is well formed, docs/metrics.md lists what is in it, and it counts what came over HTTP.

use std::collections::{BTreeMap, BTreeSet};

use crate::broker::Broker;
use crate::client::Ask;

/// What Prometheus sends, shortened.
const ACCEPTS: &str = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";

/// One line of a page that is no comment.
#[derive(Debug)]
struct Sample {
    name: String,
    labels: Vec<(String, String)>,
    value: f64,
}

/// A family: its type and its samples.
#[derive(Debug, Default)]
struct Family {
    kind: String,
    samples: Vec<Sample>,
}

/// Reads a page as the format demands: HELP and TYPE before the samples of each family, which stand together; the end marked.
#[track_caller]
fn parse(page: &str) -> BTreeMap<String, Family> {
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let (mut current, mut helped) = (String::new(), String::new());
    let lines = page.strip_suffix("# EOF\n").expect("the page is whole").lines();
    for line in lines {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, text) = help.split_once(' ').expect("a help text");
            assert!(text.ends_with('.') && text.len() < 200, "{line}");
            name.clone_into(&mut helped);
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').expect("a type");
            assert_eq!(name, helped, "the help of a family comes before its type");
            let family = Family { kind: kind.to_owned(), samples: Vec::new() };
            assert!(families.insert(name.to_owned(), family).is_none(), "{name} is there twice");
            name.clone_into(&mut current);
        } else {
            let sample = parse_sample(line);
            let family = families.get_mut(&current).expect("a family");
            let suffixes: &[&str] = match family.kind.as_str() {
                "counter" => &["_total"],
                "gauge" => &[""],
                "histogram" => &["_bucket", "_sum", "_count"],
                other => panic!("{current} is a {other}"),
            };
            let suffix = sample.name.strip_prefix(&*current).expect("the samples of a family stand together");
            assert!(suffixes.contains(&suffix), "{line}");
            family.samples.push(sample);
        }
    }
    families
}

#[track_caller]
fn parse_sample(line: &str) -> Sample {
    let (before, value) = line.rsplit_once(' ').expect("a value");
    let value: f64 = value.parse().unwrap_or_else(|_| panic!("{line} has no number"));
    let (name, labels) = match before.split_once('{') {
        None => (before, ""),
        Some((name, labels)) => (name, labels.strip_suffix('}').expect("labels end")),
    };
    assert!(name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'), "{line}");
    let labels = labels.split("\",").filter(|label| !label.is_empty()).map(|label| {
        let (key, text) = label.split_once("=\"").expect("a label");
        (key.to_owned(), text.trim_end_matches('"').to_owned())
    });
    Sample { name: name.to_owned(), labels: labels.collect(), value }
}

impl Sample {
    fn label(&self, key: &str) -> Option<&str> {
        self.labels.iter().find(|(name, _)| name == key).map(|(_, text)| text.as_str())
    }

    fn without(&self, key: &str) -> Vec<(String, String)> {
        self.labels.iter().filter(|(name, _)| name != key).cloned().collect()
    }
}

async fn scrape(broker: &Broker) -> BTreeMap<String, Family> {
    let answer = Ask::new("GET", "/metrics").header("Accept", ACCEPTS).send(&broker.address).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    parse(answer.text())
}

#[track_caller]
fn value(page: &BTreeMap<String, Family>, family: &str, labels: &[(&str, &str)]) -> f64 {
    let is_it = |sample: &&Sample| labels.iter().all(|(key, text)| sample.label(key) == Some(text));
    let found: Vec<&Sample> = page[family].samples.iter().filter(is_it).collect();
    assert_eq!(found.len(), 1, "{family} {labels:?}: {:?}", page[family].samples);
    found[0].value
}

/// Requests of every kind, so that every family has rows.
async fn busy() -> Broker {
    let broker = Broker::start().await;
    for _ in 0..3 {
        broker.post("/topics/orders", "a record").await.expect(200);
    }
    broker.topic("orders.delay.1h", 1).await;
    broker.post("/topics/orders.delay.1h", "later").await.expect(200);
    let commit = r#"{"offsets":[{"topic":"orders","partition":0,"next_offset":1}]}"#;
    broker.send("POST", "/groups/billing/offsets", "application/json", commit).await.expect(204);
    broker
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_counted_by_route_and_never_by_path() {
    let broker = busy().await;
    broker.get("/topics/orders/partitions/0/records?offset=0").await.expect(200);
    for n in 0..5 {
        assert_eq!(broker.get(&format!("/no/such/path/{n}")).await.status, 404);
    }
    assert_eq!(Ask::new("BREW", "/topics").send(&broker.address).await.status, 405);
    let page = scrape(&broker).await;
    let posts = [("route", "/topics/{topic}"), ("method", "POST")];
    assert_eq!(value(&page, "sluice_http_requests", &[posts[0], posts[1], ("status", "200")]), 4.0);
    assert_eq!(value(&page, "sluice_http_request_bytes", &posts), 3.0 * 8.0 + 5.0);
    let nowhere = [("route", "none"), ("method", "GET"), ("status", "404")];
    assert_eq!(value(&page, "sluice_http_requests", &nowhere), 5.0);
    let odd = [("route", "/topics"), ("method", "other"), ("status", "405")];
    assert_eq!(value(&page, "sluice_http_requests", &odd), 1.0);
    let own = [("route", "/metrics"), ("method", "GET")];
    assert_eq!(value(&page, "sluice_http_requests_under_way", &own), 1.0, "the scrape itself");
    assert_eq!(value(&page, "sluice_partition_high_watermark", &[("topic", "orders"), ("partition", "0")]), 3.0);
    assert_eq!(value(&page, "sluice_group_lag_records", &[("group", "billing"), ("topic", "orders")]), 2.0);
    assert_eq!(value(&page, "sluice_delay_records_waiting", &[("topic", "orders.delay.1h")]), 1.0);
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn histograms_add_up_and_no_sample_is_there_twice() {
    let broker = busy().await;
    let page = scrape(&broker).await;
    for (name, family) in &page {
        let mut seen = BTreeSet::new();
        for sample in &family.samples {
            assert!(seen.insert((&sample.name, &sample.labels)), "{sample:?} is there twice");
            assert!(family.kind == "gauge" || sample.value >= 0.0, "{sample:?}");
        }
        let counts = family.samples.iter().filter(|sample| sample.name == format!("{name}_count"));
        for count in counts {
            let of_it =
                |sample: &&Sample| sample.name == format!("{name}_bucket") && sample.without("le") == count.labels;
            let buckets: Vec<f64> = family.samples.iter().filter(of_it).map(|bucket| bucket.value).collect();
            assert!(buckets.is_sorted(), "{name}: {buckets:?}");
            assert_eq!(buckets.last(), Some(&count.value), "the last bucket has everything");
        }
    }
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_type_of_the_answer_is_what_the_scraper_accepts() {
    let broker = Broker::start().await;
    let plain = broker.get("/metrics").await;
    assert_eq!(plain.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    assert_eq!(plain.header("cache-control"), Some("no-store"));
    assert!(plain.text().contains("\n# TYPE sluice_refusals_total counter\n"), "counters have a type in this one too");
    let open = Ask::new("GET", "/metrics").header("Accept", ACCEPTS).send(&broker.address).await;
    assert_eq!(open.header("content-type"), Some("application/openmetrics-text; version=1.0.0; charset=utf-8"));
    parse(open.text());
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_counted_by_its_reason() {
    let broker = Broker::start_with(|http| http.record_bytes_max = 1024, |_| {}).await;
    broker.post("/topics/t", [b'x'; 1025]).await.expect(413);
    let foreign = Ask::new("GET", "/topics").header("Sec-Fetch-Site", "cross-site");
    assert_eq!(foreign.send(&broker.address).await.status, 403);
    assert_eq!(broker.get("/topics/missing/partitions").await.status, 404);
    let page = scrape(&broker).await;
    assert_eq!(value(&page, "sluice_refusals", &[("class", "too_large")]), 1.0);
    assert_eq!(value(&page, "sluice_refusals", &[("class", "foreign_page")]), 1.0);
    let all: f64 = page["sluice_refusals"].samples.iter().map(|sample| sample.value).sum();
    assert_eq!(all, 2.0, "a 404 is an answer, not a refusal");
    broker.stop().await;
}

/// What docs/metrics.md says of a metric: its type and its labels.
fn documented() -> BTreeMap<String, (String, BTreeSet<String>)> {
    let text = include_str!("../../../docs/metrics.md");
    let words = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    let rows = text.lines().filter_map(|line| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let known = cells.len() > 4 && ["counter", "gauge", "histogram"].contains(&cells[2]);
        known.then(|| (words(cells[1]), cells[2].to_owned(), words(cells[3])))
    });
    let named = rows.flat_map(|(names, kind, labels)| {
        names.into_iter().map(move |name| (name, (kind.clone(), labels.iter().cloned().collect())))
    });
    named.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_in_the_docs_lists_every_metric_with_its_type_and_labels_and_no_other() {
    let broker = busy().await;
    let page = scrape(&broker).await;
    let documented = documented();
    let shown_as = |name: &str, family: &Family| match family.kind.as_str() {
        "counter" => format!("{name}_total"),
        _ => name.to_owned(),
    };
    let shown: BTreeSet<String> = page.iter().map(|(name, family)| shown_as(name, family)).collect();
    let listed: BTreeSet<String> = documented.keys().cloned().collect();
    assert_eq!(shown, listed);
    for (name, family) in &page {
        let (kind, labels) = &documented[&shown_as(name, family)];
        assert_eq!(kind, &family.kind, "{name}");
        for sample in &family.samples {
            let keys: BTreeSet<String> = sample.without("le").into_iter().map(|(key, _)| key).collect();
            assert_eq!(&keys, labels, "{name}");
        }
    }
    broker.stop().await;
}

#[test]
fn the_alerts_use_documented_metrics_only() {
    let (documented, mut used) = (documented(), 0);
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    for word in include_str!("../../../docs/alerts.yml").split(|c| !is_name(c)) {
        if word.starts_with("sluice_") || word.starts_with("process_") {
            let family = word.strip_suffix("_bucket").unwrap_or(word);
            assert!(documented.contains_key(family), "docs/metrics.md does not list {family}");
            used += 1;
        }
    }
    assert!(used >= 10, "{used}");
}
