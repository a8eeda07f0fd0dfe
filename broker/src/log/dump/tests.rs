//! The dump tool's lines: the words are those of Kafka's tool, which tests/clients compares over whole files of both
//! brokers; here is what such files do not hold.

use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::{DumpError, DumpOptions, dump};
use crate::ids::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence, TimestampMs};
use crate::log::io::Disk;
use crate::log::io::faulty::FaultyDisk;
use crate::log::layout::{SegmentFile, segment_file};
use crate::record::{Compression, Header, Message, ProducerStamp, build};

const CODECS: [Compression; 5] =
    [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

/// Two records: one with everything, one with nulls.
fn batch(base: i64, codec: Compression) -> Vec<u8> {
    let full = Message {
        key: Some(Bytes::from_static(b"k")),
        value: Some(Bytes::from_static("wért".as_bytes())),
        headers: vec![
            Header { key: "h1".to_owned(), value: None },
            Header { key: "h2".to_owned(), value: Some(Bytes::from_static(b"x")) },
        ],
        timestamp: Some(TimestampMs(1_000 + base)),
    };
    let producer = ProducerStamp { id: ProducerId(7), epoch: ProducerEpoch(1), first: Sequence(base as i32) };
    let built = build(&[full, Message::default()], TimestampMs(1_000), codec, Some(producer)).unwrap();
    let stamped = built.stamp(Offset(base), LeaderEpoch(3), None);
    [&stamped.head[..], &stamped.body[..]].concat()
}

fn write(disk: &FaultyDisk, kind: SegmentFile, bytes: &[u8]) -> PathBuf {
    let path = Path::new("/d").join(segment_file(Offset(0), kind));
    disk.create_dir(Path::new("/d")).unwrap();
    disk.create(&path).unwrap().write_at(bytes, &[], 0).unwrap();
    path
}

/// Standard output, standard error, and how it ended.
fn shown(disk: &FaultyDisk, path: &Path, options: DumpOptions) -> (Vec<String>, Vec<String>, Result<(), String>) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let ended = dump(&[path.to_path_buf()], options, &|path| disk.open(path), &mut out, &mut err);
    let lines = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().lines().map(str::to_owned).collect::<Vec<_>>();
    let ended = ended.map_err(|error| match error {
        DumpError::File { reason, .. } => reason,
        DumpError::Output(error) => error.to_string(),
    });
    (lines(out), lines(err), ended)
}

fn contents() -> DumpOptions {
    DumpOptions { deep: true, contents: true, ..DumpOptions::default() }
}

#[test]
fn batches_and_records_are_lines_in_kafkas_words() {
    for (codec, name) in CODECS.into_iter().zip(["none", "gzip", "snappy", "lz4", "zstd"]) {
        let disk = FaultyDisk::new();
        let (at, size) = (batch(0, codec).len(), batch(2, codec).len());
        let bytes = [batch(0, codec), batch(2, codec)].concat();
        let path = write(&disk, SegmentFile::Log, &bytes);
        let (out, err, ended) = shown(&disk, &path, contents());
        assert_eq!((err.len(), ended), (0, Ok(())), "{name}");
        assert_eq!(out[0], "Dumping /d/00000000000000000000.log");
        assert_eq!(out[1], "Log starting offset: 0");
        let crc = u32::from_be_bytes(bytes[at + 17..at + 21].try_into().unwrap());
        assert_eq!(
            out[5],
            format!(
                "baseOffset: 2 lastOffset: 3 count: 2 baseSequence: 2 lastSequence: 3 producerId: 7 producerEpoch: 1 \
                 partitionLeaderEpoch: 3 isTransactional: false isControl: false deleteHorizonMs: OptionalLong.empty \
                 position: {at} CreateTime: 1002 size: {size} magic: 2 compresscodec: {name} crc: {crc} isvalid: true"
            )
        );
        assert_eq!(
            out[6],
            "| offset: 2 CreateTime: 1002 keySize: 1 valueSize: 5 sequence: 2 headerKeys: [h1,h2] key: k payload: wért"
        );
        assert_eq!(out[7], "| offset: 3 CreateTime: 1000 keySize: -1 valueSize: -1 sequence: 3 headerKeys: []");
        let bare = DumpOptions { skip_metadata: true, ..contents() };
        assert_eq!(shown(&disk, &path, bare).0[3..5], ["| key: k payload: wért", ""]);
    }
}

#[test]
fn damage_is_shown_and_what_follows_a_torn_end_is_counted() {
    let disk = FaultyDisk::new();
    let mut bytes = [batch(0, Compression::None), batch(2, Compression::None), batch(4, Compression::None)].concat();
    let size = bytes.len() / 3;
    bytes[size + 61 + 20] ^= 1;
    bytes.truncate(3 * size - 7);
    let path = write(&disk, SegmentFile::Log, &bytes);
    let (out, err, ended) = shown(&disk, &path, DumpOptions::default());
    assert_eq!((out.len(), err.len(), ended), (5, 0, Ok(())));
    assert!(out[2].ends_with("isvalid: true") && out[3].ends_with("isvalid: false"), "{out:?}");
    assert_eq!(out[4], format!("Found {} invalid bytes at the end of 00000000000000000000.log", size - 7));
    let first = DumpOptions { bytes_max: i32::try_from(size).unwrap(), ..DumpOptions::default() };
    assert_eq!(shown(&disk, &path, first).0.len(), 3);

    bytes[8..12].copy_from_slice(&3i32.to_be_bytes());
    let path = write(&disk, SegmentFile::Log, &bytes);
    let (out, _, ended) = shown(&disk, &path, DumpOptions::default());
    assert_eq!((out.len(), ended), (2, Err("at byte 0 a batch begins whose length field is 3".to_owned())));
}

#[test]
fn offsets_that_do_not_follow_are_told_at_the_end() {
    let disk = FaultyDisk::new();
    let path = write(&disk, SegmentFile::Log, &[batch(0, Compression::None), batch(6, Compression::None)].concat());
    let (_, err, _) = shown(&disk, &path, contents());
    assert_eq!(err, ["Non-consecutive offsets in /d/00000000000000000000.log", "  1 is followed by 6"]);
}

#[test]
fn indexes_are_held_against_the_log() {
    let disk = FaultyDisk::new();
    let one = batch(0, Compression::Lz4);
    let size = u32::try_from(one.len()).unwrap();
    write(&disk, SegmentFile::Log, &[one, batch(2, Compression::Lz4), batch(4, Compression::Lz4)].concat());
    let entry = |offset: u32, position: u32| [offset.to_be_bytes(), position.to_be_bytes()].concat();
    let index = write(&disk, SegmentFile::Index, &[entry(3, size), entry(4, 2 * size)].concat());
    let (out, err, ended) = shown(&disk, &index, DumpOptions::default());
    assert_eq!(out[1..], [format!("offset: 3 position: {size}"), format!("offset: 4 position: {}", 2 * size)]);
    assert_eq!(err, ["Mismatches in :/d/00000000000000000000.index", "  Index offset: 4, log offset: 5"]);
    assert_eq!(ended, Ok(()));
    let quiet = DumpOptions { verify_only: true, ..DumpOptions::default() };
    assert_eq!(shown(&disk, &index, quiet).0.len(), 1);
    let sane = DumpOptions { sanity_only: true, ..DumpOptions::default() };
    assert_eq!(shown(&disk, &index, sane).0[1], "/d/00000000000000000000.index passed sanity check.");

    let time = |timestamp: i64, offset: u32| [&timestamp.to_be_bytes()[..], &offset.to_be_bytes()].concat();
    let entries = [time(1_000, 1), time(1_003, 3), time(1_003, 4), time(1_004, 5), time(1_005, 9)].concat();
    let times = write(&disk, SegmentFile::TimeIndex, &entries);
    let (out, err, ended) = shown(&disk, &times, DumpOptions::default());
    assert_eq!((out.len(), ended), (6, Ok(())));
    let of = "/d/00000000000000000000.timeindex";
    assert_eq!(
        err,
        [
            &format!("Found timestamp mismatch in :{of}"),
            "  Index timestamp: 1003, log timestamp: 1002",
            &format!("The following indexed offsets are not found in :{of}"),
            "Indexed offset: 4, found log offset: 5",
            "Indexed offset: 9, found log offset: -1",
        ]
    );
    write(&disk, SegmentFile::Index, &entry(3, 1 << 30));
    assert!(shown(&disk, &index, DumpOptions::default()).2.is_err());
}

#[test]
fn snapshots_that_cannot_be_read_are_told_and_the_next_file_is_shown() {
    let disk = FaultyDisk::new();
    for (bytes, said) in [
        (vec![0, 1, 0], "Snapshot failed schema validation: null"),
        (
            vec![0, 2, 0, 0, 0, 0, 0, 0, 0, 0],
            "Snapshot failed schema validation: Snapshot contained an unknown file version 2",
        ),
        (
            vec![0, 1, 0, 0, 0, 9, 0, 0, 0, 0],
            "Snapshot is corrupt (CRC is no longer valid). Stored crc: 9. Computed crc: 1214729159",
        ),
    ] {
        let path = write(&disk, SegmentFile::Snapshot, &bytes);
        let (out, err, ended) = shown(&disk, &path, DumpOptions::default());
        assert_eq!((out.len(), err, ended), (1, vec![said.to_owned()], Ok(())));
    }
}

#[test]
fn hostile_bytes_are_an_error_or_lines_and_never_a_panic() {
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    let whole = [batch(0, Compression::None), batch(2, Compression::Zstd), batch(4, Compression::Gzip)].concat();
    for _ in 0..300 {
        let disk = FaultyDisk::new();
        let mut bytes = whole.clone();
        for _ in 0..=random() % 4 {
            let at = random() as usize % bytes.len();
            bytes[at] = random() as u8;
        }
        let path = write(&disk, SegmentFile::Log, &bytes);
        drop(shown(&disk, &path, contents()));
        let entries: Vec<u8> =
            (0..96).map(|at| if at % 4 < 3 && random() % 4 > 0 { 0 } else { random() as u8 }).collect();
        for kind in [SegmentFile::Index, SegmentFile::TimeIndex, SegmentFile::TxnIndex, SegmentFile::Snapshot] {
            let path = write(&disk, kind, &entries);
            drop(shown(&disk, &path, DumpOptions::default()));
        }
    }
}
