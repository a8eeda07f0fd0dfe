//! `sluice serve` from start to end: the banner, what is refused at start, signals, and what is there afterwards.

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};

use rustix::process::Signal;
use sluice_broker::log::layout::CLEAN_SHUTDOWN;

use crate::broker::Broker;
use crate::process::{one_line, run};

/// Ports of the system's choice, in a folder's default data directory.
const ANY_PORTS: [&str; 5] = ["serve", "--kafka", "localhost:0", "--http", "localhost:0"];

/// What a clean stop leaves.
fn clean_mark(dir: &Path) -> PathBuf {
    dir.join("sluice-data").join(CLEAN_SHUTDOWN)
}

fn value_at_start(broker: &Broker) -> String {
    let (status, body) = broker.http("GET", "/topics/hello/partitions/0/records?offset=0", "");
    assert_eq!(status, 200, "{body}");
    body
}

#[test]
fn what_was_posted_is_there_after_each_way_to_stop() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::start(dir.path());
    let (status, answer) = broker.http("POST", "/topics/hello", "Hello, world");
    assert_eq!(status, 200, "{answer}");
    let first = value_at_start(&broker);
    assert!(first.contains("Hello, world") || first.contains("SGVsbG8sIHdvcmxk"), "{first}");

    let mut broker = broker;
    for (signal, code, clean) in
        [(Signal::TERM, Some(0), true), (Signal::INT, Some(0), true), (Signal::KILL, None, false)]
    {
        let ended = broker.stop(signal);
        assert_eq!(ended.code, code, "{}", ended.log);
        assert_eq!(clean_mark(dir.path()).exists(), clean, "{signal:?}");
        broker = Broker::start(dir.path());
        assert_eq!(value_at_start(&broker), first, "after {signal:?}");
    }
}

#[test]
fn both_families_of_localhost_are_served_on_the_ports_of_the_banner() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::start(dir.path());
    for address in [&broker.kafka, &broker.http] {
        let (host, port) = address.rsplit_once(':').unwrap();
        assert_eq!(host, "localhost", "{address}");
        for family in ["127.0.0.1", "[::1]"] {
            assert!(TcpStream::connect(format!("{family}:{port}")).is_ok(), "{family}:{port}");
        }
    }
}

#[test]
fn a_second_process_on_the_same_folder_is_refused_and_the_first_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::start(dir.path());
    let complaint = one_line(&run(dir.path(), &ANY_PORTS));
    assert!(complaint.contains("another process uses") && complaint.contains("--data-dir"), "{complaint}");
    assert_eq!(broker.http("GET", "/health/ready", "").0, 200);
    assert_eq!(broker.stop(Signal::TERM).code, Some(0));
}

#[test]
fn a_port_in_use_is_refused_and_leaves_a_folder_that_starts_cleanly() {
    let dir = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (kafka, http, flag) in [(&*address, "localhost:0", "--kafka"), ("localhost:0", &*address, "--http")] {
        let complaint = one_line(&run(dir.path(), &["serve", "--kafka", kafka, "--http", http]));
        assert!(complaint.contains("in use") && complaint.contains(&address), "{flag}: {complaint}");
        assert!(clean_mark(dir.path()).exists());
    }
}

#[test]
fn a_folder_that_cannot_be_used_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("file"), "").unwrap();
    for folder in ["file", "file/below", "/proc/nowhere"] {
        let mut args = ANY_PORTS.to_vec();
        args.extend(["--data-dir", folder]);
        let complaint = one_line(&run(dir.path(), &args));
        assert!(complaint.contains(folder), "{complaint}");
    }
}

#[test]
fn a_request_in_flight_is_answered_before_the_broker_stops_and_no_other_is_taken() {
    let dir = tempfile::tempdir().unwrap();
    let mut broker = Broker::start(dir.path());
    assert_eq!(broker.http("POST", "/topics/hello", "first").0, 200);
    // A long poll at the end of the log is in flight until its time-out, or until the broker stops.
    let mut waiting = TcpStream::connect(&broker.http).unwrap();
    let request = format!(
        "GET /topics/hello/partitions/0/records?offset=1&timeout=60000 HTTP/1.1\r\nHost: {}\r\n\r\n",
        broker.http
    );
    std::io::Write::write_all(&mut waiting, request.as_bytes()).unwrap();
    // The gateway takes connections in order: this one's answer says that the other is being served.
    assert_eq!(broker.http("GET", "/health/live", "").0, 200);
    broker.send(Signal::TERM);
    let mut answer = String::new();
    waiting.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 "), "{answer}");
    let ended = broker.wait();
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    assert!(TcpStream::connect(&broker.http).is_err());
    assert!(clean_mark(dir.path()).exists());
}
