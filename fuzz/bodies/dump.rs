//! The dump tool over hostile files of every kind, each beside the other files of its segment.

use std::path::PathBuf;

use sluice_broker::log::dump::{DumpOptions, dump};
use sluice_broker::log::io::Disk;

use super::files::edited;

const SEGMENT: &str = "/data/t-0/00000000000000000000";
const KINDS: [&str; 5] = ["log", "index", "timeindex", "txnindex", "snapshot"];

/// Three bytes of options; the rest are edits.
pub fn run(bytes: &[u8]) {
    let Some(([flags, max_bytes, message_bytes], edits)) = bytes.split_first_chunk::<3>() else { return };
    let disk = edited(edits);
    let flag = |bit: u8| flags & (1 << bit) != 0;
    let options = DumpOptions {
        deep: flag(0),
        contents: flag(1),
        skip_metadata: flag(2),
        verify_only: flag(3),
        sanity_only: flag(4),
        message_bytes_max: if *message_bytes == 0 { i32::MAX } else { i32::from(*message_bytes) * 8 },
        bytes_max: if *max_bytes == 0 { i32::MAX } else { i32::from(*max_bytes) * 16 },
    };
    let path = |stem: &str, kind: &str| PathBuf::from(format!("{stem}.{kind}"));
    let mut files: Vec<PathBuf> = KINDS.iter().map(|kind| path(SEGMENT, kind)).collect();
    for entry in disk.list(std::path::Path::new("/data/t-0")).unwrap_or_default() {
        files.push(PathBuf::from("/data/t-0").join(entry.name));
    }
    for file in files {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        drop(dump(&[file], options, &|path| disk.open(path), &mut out, &mut err));
        assert!(out.len() < 64 << 20, "so much cannot be in there");
    }
}
