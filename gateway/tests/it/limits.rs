//! What a client can cost: every bound refuses with its number, and others go on.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::broker::Broker;
use crate::client::{Answer, Ask};

const V2_BINARY: &str = "application/vnd.kafka.binary.v2+json";

#[tokio::test(flavor = "multi_thread")]
async fn records_and_requests_over_their_limit_are_413_with_the_limit() {
    let broker =
        Broker::start_with(|http| (http.record_bytes_max, http.request_bytes_max) = (1024, 4096), |_| {}).await;
    broker.post("/topics/t", [b'x'; 1024]).await.expect(200);
    assert_eq!(broker.post("/topics/t", [b'x'; 1025]).await.expect(413)["limit"], 1024);
    assert_eq!(broker.post("/topics/t?key=k", [b'x'; 1024]).await.expect(413)["limit"], 1024, "the key counts");
    let record = format!(r#"{{"records":[{{"value":"{}"}}]}}"#, "A".repeat(1400));
    assert_eq!(broker.send("POST", "/topics/t", V2_BINARY, record).await.expect(413)["limit"], 1024);
    assert_eq!(broker.send("POST", "/topics/t", V2_BINARY, [b' '; 4097]).await.expect(413)["limit"], 4096);
    let chunked = Ask::new("POST", "/topics/t").header("Transfer-Encoding", "chunked").header("Content-Length", "0");
    let chunk = format!("800\r\n{}\r\n0\r\n\r\n", "x".repeat(0x800));
    let refused = chunked.body(chunk).send(&broker.address).await;
    assert!(matches!(refused.status, 400 | 413), "two lengths are no way around: {}", refused.status);
    assert_eq!(broker.get("/topics/t/partitions/0/offsets").await.expect(200)["end_offset"], 1);
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chunked_body_meets_the_same_limit() {
    let broker = Broker::start_with(|http| http.record_bytes_max = 1024, |_| {}).await;
    let mut stream = TcpStream::connect(&broker.address).await.expect("connected");
    let head = format!(
        "POST /topics/t HTTP/1.1\r\nHost: {}\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n",
        broker.address
    );
    stream.write_all(head.as_bytes()).await.expect("sent");
    let chunk = format!("400\r\n{}\r\n", "x".repeat(0x400));
    for _ in 0..2 {
        stream.write_all(chunk.as_bytes()).await.expect("sent");
    }
    stream.write_all(b"0\r\n\r\n").await.expect("sent");
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.expect("an answer");
    assert_eq!(Answer::parse(&bytes).expect(413)["limit"], 1024);
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_head_has_a_bound() {
    let broker = Broker::start().await;
    let long = Ask::new("GET", "/topics").header("X-Long", &"x".repeat(200_000)).send(&broker.address).await;
    assert_eq!(long.status, 431);
    let mut many = Ask::new("GET", "/topics");
    for n in 0..200 {
        many = many.header(&format!("X-{n}"), "1");
    }
    assert_eq!(many.send(&broker.address).await.status, 431);
    assert_eq!(broker.get("/topics").await.status, 200);
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_connection_too_many_is_told_so_and_a_freed_place_is_given_away() {
    let broker = Broker::start_with(|http| http.connections_max = 2, |_| {}).await;
    let mut kept = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(&broker.address).await.expect("connected");
        let head = format!("GET /health/live HTTP/1.1\r\nHost: {}\r\n\r\n", broker.address);
        stream.write_all(head.as_bytes()).await.expect("sent");
        let mut first = [0u8; 12];
        stream.read_exact(&mut first).await.expect("an answer");
        assert_eq!(&first, b"HTTP/1.1 200");
        kept.push(stream);
    }
    let full = broker.get("/topics").await;
    assert_eq!((full.status, full.header("retry-after")), (503, Some("1")));
    kept.clear();
    // The places are free once the server has seen the closes; every refusal before that is a whole answer.
    let mut status = 503;
    for _ in 0..1000 {
        status = broker.get("/topics").await.status;
        if status == 200 {
            break;
        }
        tokio::task::yield_now().await;
    }
    assert_eq!(status, 200);
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_has_no_more_connections_than_its_share() {
    let broker = Broker::start_with(|http| http.connections_max_per_address = 1, |_| {}).await;
    let mut kept = TcpStream::connect(&broker.address).await.expect("connected");
    let head = format!("GET /health/live HTTP/1.1\r\nHost: {}\r\n\r\n", broker.address);
    kept.write_all(head.as_bytes()).await.expect("sent");
    let mut first = [0u8; 12];
    kept.read_exact(&mut first).await.expect("an answer");
    assert_eq!((&first, broker.get("/topics").await.status), (b"HTTP/1.1 200", 503));
    drop(kept);
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_connection_answers_one_request_after_the_other_and_a_stop_closes_it() {
    let broker = Broker::start().await;
    let mut stream = TcpStream::connect(&broker.address).await.expect("connected");
    for n in 0..3 {
        let head = format!("POST /topics/t HTTP/1.1\r\nHost: {}\r\nContent-Length: 1\r\n\r\n{n}", broker.address);
        stream.write_all(head.as_bytes()).await.expect("sent");
        let mut bytes = vec![0u8; 4096];
        let read = stream.read(&mut bytes).await.expect("an answer");
        let offsets = Answer::parse(&bytes[..read]).expect(200);
        assert_eq!(offsets["offsets"][0]["offset"], n);
    }
    broker.stop().await;
    assert_eq!(stream.read(&mut [0u8; 16]).await.expect("closed in order"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_trickles_and_an_idle_connection_are_cut_off_and_others_go_on() {
    let broker = Broker::start_with(|http| http.idle_timeout_ms = 100, |_| {}).await;
    let mut idle = TcpStream::connect(&broker.address).await.expect("connected");
    let mut slow = TcpStream::connect(&broker.address).await.expect("connected");
    slow.write_all(b"GET /topics HTTP/1.1\r\nHost: x\r\nX-Slow: ").await.expect("sent");
    assert_eq!(broker.get("/topics").await.status, 200);
    // Both reads end because the gateway ends the connections: it may say 408 first, and nothing else.
    for stream in [&mut idle, &mut slow] {
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes).await;
        assert!(bytes.is_empty() || bytes.starts_with(b"HTTP/1.1 408"), "{}", String::from_utf8_lossy(&bytes));
    }
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn localhost_answers_on_both_families() {
    let broker = Broker::start_with(|http| http.listen = vec!["localhost:0".into()], |_| {}).await;
    assert!(!broker.addresses.is_empty());
    for address in &broker.addresses {
        assert_eq!(Ask::new("GET", "/topics").send(address).await.status, 200, "{address}");
    }
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_that_trickle_stop_nobody() {
    let broker = Broker::start_with(|_| {}, |broker| broker.memory_max_bytes = 64 << 20).await;
    let mut uploads = Vec::new();
    for _ in 0..20 {
        let mut stream = TcpStream::connect(&broker.address).await.expect("connected");
        let head = format!(
            "POST /topics/t HTTP/1.1\r\nHost: {}\r\nContent-Type: {V2_BINARY}\r\nContent-Length: 8000000\r\n\r\n",
            broker.address
        );
        stream.write_all(head.as_bytes()).await.expect("sent");
        uploads.push(tokio::spawn(async move {
            // The gateway reads as much as it admits, and may close it.
            let _ = stream.write_all(&[b' '; 1 << 20]).await;
            std::future::pending::<()>().await;
        }));
    }
    let bystander = async {
        broker.post("/topics/t", "small").await.expect(200);
        broker.post("/topics/t", vec![b'x'; 1_000_000]).await.expect(200);
        assert_eq!(broker.get("/topics").await.status, 200);
    };
    tokio::time::timeout(std::time::Duration::from_secs(10), bystander).await.expect("the bystander is served");
    // A large one waits for those that do not come; each is ended when it is in the way.
    let record = format!(r#"{{"records":[{}{{"value":"AAAA"}}]}}"#, " ".repeat(3_000_000));
    let large = broker.send("POST", "/topics/t", V2_BINARY, record);
    let large = tokio::time::timeout(std::time::Duration::from_secs(60), large).await.expect("it is served");
    large.expect(200);
    broker.stop().await;
}
