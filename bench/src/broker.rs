//! Starts the brokers that are compared, and reads from `/proc` what they use.

use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// What can be measured.
pub enum Kind {
    /// Ours, with its defaults: synced before every answer.
    Sluice(PathBuf),
    /// Another build of ours, to be measured in the same rounds.
    SluiceBefore(PathBuf),
    /// Apache Kafka as shipped: not synced.
    Kafka(PathBuf),
    /// Apache Kafka with `log.flush.interval.messages=1`: synced.
    KafkaFlushing(PathBuf),
}

/// A running broker; stopped when dropped.
pub struct Broker {
    pub name: &'static str,
    pub bootstrap: String,
    pid: u32,
    child: Option<Child>,
}

/// What a process has used so far.
pub struct Usage {
    pub cpu_seconds: f64,
    pub rss_mb: f64,
}

type Failure = Box<dyn std::error::Error>;

impl Broker {
    /// Starts one and waits until its port answers.
    pub fn start(kind: &Kind, dir: &Path) -> Result<Broker, Failure> {
        match kind {
            Kind::Sluice(binary) => Broker::start_sluice(binary, &dir.join("sluice"), &[]),
            Kind::SluiceBefore(binary) => {
                let mut broker = Broker::start_sluice(binary, &dir.join("sluice-before"), &[])?;
                broker.name = "before";
                Ok(broker)
            }
            Kind::Kafka(script) => start_kafka("kafka", script, &dir.join("kafka"), ""),
            Kind::KafkaFlushing(script) => {
                start_kafka("kafka-flush", script, &dir.join("kafka-flush"), "log.flush.interval.messages=1")
            }
        }
    }

    /// Starts one of ours in a folder, with more environment variables; the folder may hold data.
    pub fn start_sluice(binary: &Path, dir: &Path, variables: &[(String, String)]) -> Result<Broker, Failure> {
        let port = free_port()?;
        let mut child = Command::new(binary)
            .args(["serve", "--kafka", &format!("127.0.0.1:{port}"), "--http", "127.0.0.1:0", "--data-dir"])
            .arg(dir)
            .envs(variables.iter().cloned())
            .stdout(Stdio::null())
            .spawn()?;
        let bootstrap = format!("127.0.0.1:{port}");
        for _ in 0..200 {
            if TcpStream::connect(&bootstrap).is_ok() {
                return Ok(Broker { name: "sluice", bootstrap, pid: child.id(), child: Some(child) });
            }
            if let Some(status) = child.try_wait()? {
                return Err(format!("sluice ended at start: {status}").into());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Err("sluice does not answer".into())
    }

    /// CPU seconds since its start and resident memory now.
    pub fn usage(&self) -> Result<Usage, Failure> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid))?;
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        // Fields 14 and 15 of proc(5), counted from the state, which is the third; in ticks of 10 ms.
        let ticks: f64 = fields[11].parse::<f64>()? + fields[12].parse::<f64>()?;
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid))?;
        let rss = status.lines().find(|line| line.starts_with("VmRSS")).and_then(|line| line.split_whitespace().nth(1));
        Ok(Usage { cpu_seconds: ticks / 100.0, rss_mb: rss.unwrap_or("0").parse::<f64>()? / 1024.0 })
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // The scripts' brokers are not our children: they are stopped by their pid.
        let _ = Command::new("kill").arg(self.pid.to_string()).status();
        if let Some(mut child) = self.child.take() {
            let _ = child.wait();
        }
    }
}

fn start_kafka(name: &'static str, script: &Path, dir: &Path, extra: &str) -> Result<Broker, Failure> {
    let port = free_port()?;
    // Not `output()`: the broker inherits the pipe and would keep it open for ever.
    let mut child = Command::new(script)
        .arg("start")
        .arg(dir)
        .arg(port.to_string())
        .env("KAFKA_EXTRA", extra)
        .stdout(Stdio::piped())
        .spawn()?;
    let mut line = String::new();
    let stdout = child.stdout.take().ok_or("no output of the Kafka script")?;
    BufReader::new(stdout).read_line(&mut line)?;
    let pid = line.trim().parse().map_err(|_| format!("Kafka did not start: {line}"))?;
    Ok(Broker { name, bootstrap: format!("127.0.0.1:{port}"), pid, child: Some(child) })
}

fn free_port() -> std::io::Result<u16> {
    // Kafka's controller takes the next port as well; both are free at this moment, which is enough on a quiet machine.
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
