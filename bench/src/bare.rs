//! What the disk alone takes: a loop of write and fdatasync, the floor under every synced latency.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;
use std::time::Instant;

use crate::report::Quantiles;

/// `count` times: append `size` bytes, sync them.
pub fn write_and_sync(dir: &Path, size: usize, count: usize) -> io::Result<Quantiles> {
    let path = dir.join("bare");
    let mut file = OpenOptions::new().create(true).append(true).open(&path)?;
    let block = vec![7u8; size];
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        let start = Instant::now();
        file.write_all(&block)?;
        file.sync_data()?;
        times.push(start.elapsed());
    }
    std::fs::remove_file(path)?;
    Ok(Quantiles::of(times))
}
