//! A panic in the process: what it is vital for ends it with exit code 70, what serves one stranger does not.

use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Stdio;

use rustix::process::Signal;

use crate::broker::Broker;
use crate::process::sluice;

/// A broker that panics where it is told to.
struct Panicking {
    broker: Broker,
    panics: std::fs::File,
}

impl Panicking {
    fn start(dir: &Path) -> Panicking {
        let fifo = dir.join("panics");
        if !fifo.exists() {
            let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
            rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        }
        let mut command = sluice(dir, &["serve", "--kafka", "localhost:0", "--http", "localhost:0"]);
        command.env("SLUICE_TESTS_PANICS", &fifo);
        let broker = Broker::spawn(command.stdout(Stdio::piped()).stderr(Stdio::piped()));
        // Opens when the broker reads.
        let panics = OpenOptions::new().write(true).open(fifo).unwrap();
        Panicking { broker, panics }
    }

    fn panic_in(&mut self, task: &str) {
        writeln!(self.panics, "{task}").unwrap();
    }
}

#[test]
fn a_panic_in_a_vital_task_ends_the_process_with_code_70_and_a_line_that_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let vital = [
        "log-flusher",
        "log-retention",
        "log-cleaner",
        "log-remover",
        "kafka-port",
        "http-port",
        "gateway",
        "group-timer",
        "delay-service",
        "plugin-ticker",
    ];
    for task in vital {
        let mut process = Panicking::start(dir.path());
        let (status, body) = process.broker.http("POST", "/topics/hello", task);
        assert_eq!(status, 200, "a supervisor starts it again after a panic, and it serves: {body}");
        process.panic_in(task);
        // The remover runs while there is something to remove.
        while task == "log-remover"
            && process.broker.try_http("POST", "/topics/hello", task).is_some()
            && process.broker.try_http("DELETE", "/topics/hello", "").is_some()
        {}
        let ended = process.broker.wait();
        assert_eq!(ended.code, Some(70), "{}", ended.log);
        let line = ended.log.lines().rev().find(|line| line.starts_with("sluice: ")).unwrap_or_default();
        assert!(line.contains(task) && line.contains("panicked"), "{}", ended.log);
    }
}

#[test]
fn a_panic_in_the_connection_of_a_stranger_closes_it_and_the_process_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let mut process = Panicking::start(dir.path());
    for (task, address) in
        [("kafka-connection", process.broker.kafka.clone()), ("http-connection", process.broker.http.clone())]
    {
        let mut stranger = TcpStream::connect(address).unwrap();
        process.panic_in(task);
        assert_eq!(stranger.read(&mut [0]).unwrap(), 0, "{task}: the connection is closed");
    }
    assert_eq!(process.broker.http("POST", "/topics/hello", "still here").0, 200);
    assert_eq!(process.broker.http("GET", "/health/ready", "").0, 200);
    assert_eq!(process.broker.stop(Signal::TERM).code, Some(0));
}
