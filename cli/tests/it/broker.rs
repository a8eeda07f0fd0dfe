//! A broker as a process of its own: its banner is read, HTTP is spoken to it, signals are sent. Nothing here waits by the
//! clock: a line of the banner, the end of an answer and the end of the process are what is waited for.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::process::sluice;

/// A running broker; dropping it kills it.
pub(crate) struct Broker {
    child: Child,
    stdout: BufReader<ChildStdout>,
    /// `host:port`, from the banner.
    pub(crate) kafka: String,
    /// The same.
    pub(crate) http: String,
}

/// How a process ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) log: String,
}

impl Broker {
    /// Starts one in `dir` on ports that the system chooses, and reads its banner.
    pub(crate) fn start(dir: &Path) -> Broker {
        Broker::start_with(dir, &["--kafka", "localhost:0", "--http", "localhost:0"])
    }

    /// The same with these flags.
    pub(crate) fn start_with(dir: &Path, flags: &[&str]) -> Broker {
        let mut args = vec!["serve"];
        args.extend(flags);
        Broker::spawn(sluice(dir, &args).stdout(Stdio::piped()).stderr(Stdio::piped()))
    }

    /// Starts the command and reads its banner.
    pub(crate) fn spawn(command: &mut Command) -> Broker {
        let mut child = command.spawn().expect("the binary of this build runs");
        let stdout = BufReader::new(child.stdout.take().expect("standard output is piped"));
        let mut broker = Broker { child, stdout, kafka: String::new(), http: String::new() };
        let mut banner = String::new();
        while broker.kafka.is_empty() || broker.http.is_empty() {
            let mut line = String::new();
            if broker.stdout.read_line(&mut line).expect("the banner is text") == 0 {
                panic!("it ended before its banner was whole: {banner:?} {:?}", broker.wait());
            }
            match line.split_whitespace().collect::<Vec<_>>()[..] {
                ["Kafka", address] if broker.kafka.is_empty() => broker.kafka = address.to_owned(),
                ["HTTP", url] if broker.http.is_empty() => broker.http = url.replace("http://", ""),
                _ => {}
            }
            banner.push_str(&line);
        }
        broker
    }

    /// One request; status and body.
    pub(crate) fn http(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        self.try_http(method, path, body).expect("a request is answered")
    }

    /// The same of a broker that may end meanwhile.
    pub(crate) fn try_http(&self, method: &str, path: &str, body: &str) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect(&self.http).ok()?;
        let length = body.len();
        let host = &self.http;
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\
             Connection: close\r\n\r\n{body}"
        )
        .ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some((status, body.to_owned()))
    }

    pub(crate) fn send(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("the broker is running");
    }

    /// Sends a signal and waits for the end.
    pub(crate) fn stop(mut self, signal: Signal) -> Ended {
        self.send(signal);
        self.wait()
    }

    pub(crate) fn wait(&mut self) -> Ended {
        let mut log = String::new();
        if let Some(mut stderr) = self.child.stderr.take() {
            stderr.read_to_string(&mut log).expect("the log is text");
        }
        Ended { code: self.child.wait().expect("it is our child").code(), log }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
