//! The process as the system sees it, under the names that Prometheus' own clients use, and the runtime's threads. Read from
//! `/proc` when the page is written; what a system does not have is left out. Never fails a page.

use std::fs;
use std::time::Duration;

use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};
use tokio::runtime::Handle;

use super::page::{Page, Section};
use crate::clock::SharedClock;
use crate::ids::TimestampMs;

const KIB: f64 = 1024.0;

/// The process of this broker.
#[derive(Debug)]
pub(crate) struct Process {
    opened: TimestampMs,
    runtime: Handle,
}

impl Process {
    /// For the runtime of the caller.
    pub(crate) fn current(clock: &SharedClock) -> Process {
        Process { opened: clock.wall(), runtime: Handle::current() }
    }
}

impl Section for Process {
    #[allow(clippy::cast_precision_loss, reason = "no number here is near 2^53")]
    fn show(&self, page: &mut Page<'_>) {
        page.gauges("sluice_build_info", "1, with the version of the program.", |rows| {
            rows.number(&[("version", env!("CARGO_PKG_VERSION"))], 1);
        });
        let opened = self.opened.0 as f64 / 1_000.0;
        page.gauge("process_start_time_seconds", "When the broker was opened, in seconds since 1970.", opened);
        page.counters("process_cpu_seconds", "CPU time of all threads, user and system.", |rows| {
            rows.count_of(&[], cpu_time().as_secs_f64());
        });
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let mut of_status = |name, help, key, factor| {
            page.gauges(name, help, |rows| {
                if let Some(value) = status_value(&status, key) {
                    rows.value(&[], value as f64 * factor);
                }
            });
        };
        of_status("process_resident_memory_bytes", "Memory in RAM, mapped files included.", "VmRSS", KIB);
        of_status("process_virtual_memory_bytes", "Address space.", "VmSize", KIB);
        of_status("sluice_anonymous_memory_bytes", "Memory in RAM that no file backs.", "RssAnon", KIB);
        of_status("process_threads", "Threads.", "Threads", 1.0);
        page.gauges("process_open_fds", "Open file descriptors.", |rows| {
            // The listing itself has one open.
            let open = fs::read_dir("/proc/self/fd").map(Iterator::count).ok();
            rows_number(rows, open.map(|open| open.saturating_sub(1)));
        });
        page.gauges("process_max_fds", "File descriptors that the process may have open.", |rows| {
            let max = getrlimit(Resource::Nofile).current;
            rows_number(rows, max.and_then(|max| usize::try_from(max).ok()));
        });
        self.show_runtime(page);
    }
}

impl Process {
    #[allow(clippy::cast_precision_loss, reason = "no number here is near 2^53")]
    fn show_runtime(&self, page: &mut Page<'_>) {
        let runtime = self.runtime.metrics();
        let workers = runtime.num_workers();
        page.gauge("sluice_network_threads", "Threads that serve connections.", workers as f64);
        page.counters("sluice_network_thread_busy_seconds", "Time that these threads worked, all together.", |rows| {
            let busy: Duration = (0..workers).map(|worker| runtime.worker_total_busy_duration(worker)).sum();
            rows.count_of(&[], busy.as_secs_f64());
        });
        let alive = runtime.num_alive_tasks() as f64;
        page.gauge("sluice_tasks", "Tasks of the runtime: connections, requests, services.", alive);
        let queued = runtime.global_queue_depth() as f64;
        page.gauge("sluice_tasks_queued", "Tasks that are ready and wait for a thread, in the shared queue.", queued);
    }
}

/// Memory in RAM that no file backs, in bytes; 0 where the system does not say.
pub(crate) fn anonymous_bytes() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kib = status_value(&status, "RssAnon").and_then(|kib| usize::try_from(kib).ok());
    kib.unwrap_or(0).saturating_mul(1024)
}

fn rows_number(rows: &mut super::page::Rows<'_>, number: Option<usize>) {
    if let Some(number) = number.and_then(|number| i64::try_from(number).ok()) {
        rows.number(&[], number);
    }
}

fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// A number of `/proc/self/status`: `VmRSS:      123 kB`.
fn status_value(status: &str, key: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_of_the_status_is_found_by_its_whole_name() {
        let status = "Name:\tsluice\nVmRSS:\t  1234 kB\nRssAnon:\t     7 kB\nThreads:\t9\n";
        assert_eq!(status_value(status, "VmRSS"), Some(1_234));
        assert_eq!(status_value(status, "Threads"), Some(9));
        assert_eq!(status_value(status, "Rss"), None);
        assert_eq!(status_value(status, "Name"), None);
    }
}
