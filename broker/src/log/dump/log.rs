//! The batches of a `.log`, and with them their records.

use std::path::Path;

use super::batches::{Batches, FoundBatch, PIECE_BYTES, Says};
use super::text::{OptionalLong, utf8};
use super::{Dump, DumpError, failed};
use crate::record::control::coordinator_epoch;
use crate::record::raw::{RawHeader, RawRecord};
use crate::record::{Compression, ControlType, RecordError};

/// Kafka's tool cannot read larger ones, and no broker writes them.
pub(super) const SEGMENT_BYTES_MAX: u64 = i32::MAX as u64;

impl Dump<'_> {
    pub(super) fn log(&mut self, path: &Path, base: i64) -> Result<(), DumpError> {
        self.line(format_args!("Log starting offset: {base}"))?;
        let file = self.open(path)?;
        let len = log_len(path, &*file)?;
        let Ok(limit) = u64::try_from(self.options.bytes_max) else {
            return Err(failed(path, format!("{} is no number of bytes to read", self.options.bytes_max)));
        };
        let end = len.min(limit);
        let mut batches = Batches::new(&*file, 0, end, PIECE_BYTES);
        let (mut valid_until, mut last_offset) = (0, -1);
        while let Some(found) = batches.next().map_err(|reason| failed(path, reason))? {
            self.batch(path, &mut batches, &found)?;
            if self.options.deep {
                let at = |reason: String| failed(path, format!("at byte {}: {reason}", found.position));
                for record in batches.records(&found).map_err(at)? {
                    let record = record.map_err(|error| at(error.to_string()))?;
                    if record.offset != i64::wrapping_add(last_offset, 1) {
                        self.notes.gap(path, last_offset, record.offset);
                    }
                    last_offset = record.offset;
                    self.record(path, &found, &record)?;
                }
            }
            valid_until = found.position + found.size;
        }
        if end > valid_until && self.options.bytes_max == i32::MAX {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            self.line(format_args!("Found {} invalid bytes at the end of {name}", end - valid_until))?;
        }
        Ok(())
    }

    fn batch(&mut self, path: &Path, batches: &mut Batches<'_>, found: &FoundBatch) -> Result<(), DumpError> {
        let (time_type, newest, magic, codec, crc) = match &found.says {
            Says::Batch(header) => {
                self.part(format_args!(
                    "baseOffset: {} lastOffset: {} count: {} baseSequence: {} lastSequence: {} producerId: {} \
                     producerEpoch: {} partitionLeaderEpoch: {} isTransactional: {} isControl: {} deleteHorizonMs: {}",
                    header.base_offset,
                    header.last_offset(),
                    header.count,
                    header.base_sequence,
                    header.last_sequence(),
                    header.producer_id,
                    header.producer_epoch,
                    header.leader_epoch,
                    header.transactional(),
                    header.control(),
                    OptionalLong(header.delete_horizon_ms()),
                ))?;
                (time_type(header), header.max_timestamp, header.magic, header.compression(), header.crc)
            }
            Says::Legacy { offset, magic, crc, attributes, timestamp } => {
                self.part(format_args!("offset: {offset}"))?;
                let time_type = match (magic, attributes & 0x08) {
                    (0, _) => "NoTimestampType",
                    (_, 0) => "CreateTime",
                    _ => "LogAppendTime",
                };
                let codec = Compression::from_attributes(u16::from(attributes.cast_unsigned()));
                (time_type, *timestamp, *magic, codec, *crc)
            }
        };
        let codec = match codec {
            Ok(codec) => codec_name(codec),
            Err(error) => {
                self.line(format_args!(""))?;
                return Err(failed(path, format!("at byte {}: {error}", found.position)));
            }
        };
        let valid = batches.is_valid(found).map_err(|reason| failed(path, reason))?;
        self.line(format_args!(
            " position: {} {time_type}: {newest} size: {} magic: {magic} compresscodec: {codec} crc: {crc} isvalid: {valid}",
            found.position, found.size,
        ))
    }

    fn record(&mut self, path: &Path, found: &FoundBatch, record: &RawRecord) -> Result<(), DumpError> {
        let Says::Batch(header) = &found.says else { return Ok(()) };
        let mut prefix = "| ";
        if !self.options.skip_metadata {
            let size = |bytes: Option<&bytes::Bytes>| bytes.map_or(-1, |bytes| bytes.len() as i64);
            let header_keys: Vec<_> = record.header_keys.iter().map(|key| utf8(key)).collect();
            self.part(format_args!(
                "| offset: {} {}: {} keySize: {} valueSize: {} sequence: {} headerKeys: [{}]",
                record.offset,
                time_type(header),
                record.timestamp,
                size(record.key.as_ref()),
                size(record.value.as_ref()),
                record.sequence,
                header_keys.join(","),
            ))?;
            prefix = " ";
            if header.control() {
                let marker =
                    control(record).map_err(|reason| failed(path, format!("at byte {}: {reason}", found.position)))?;
                self.part(format_args!("{marker}"))?;
            }
        }
        if self.options.contents && !header.control() {
            if let Some(key) = &record.key {
                self.part(format_args!("{prefix}key: {}", utf8(key)))?;
                prefix = " ";
            }
            if let Some(value) = &record.value {
                self.part(format_args!("{prefix}payload: {}", utf8(value)))?;
            }
        }
        self.line(format_args!(""))
    }
}

/// What a control record says (`EndTransactionMarker`; others by name only).
fn control(record: &RawRecord) -> Result<String, RecordError> {
    let marker = match ControlType::of_key(record.key.as_deref().unwrap_or_default())? {
        ControlType::Abort => "ABORT",
        ControlType::Commit => "COMMIT",
        ControlType::Other(kind) => {
            let names = ["LEADER_CHANGE", "SNAPSHOT_HEADER", "SNAPSHOT_FOOTER", "KRAFT_VERSION", "KRAFT_VOTERS"];
            let name = usize::try_from(kind).ok().and_then(|kind| names.get(kind.checked_sub(2)?));
            return Ok(format!(" controlType: {}({kind})", name.unwrap_or(&"UNKNOWN")));
        }
    };
    let epoch = coordinator_epoch(record.value.as_deref().unwrap_or_default())?;
    Ok(format!(" endTxnMarker: {marker} coordinatorEpoch: {epoch}"))
}

fn time_type(header: &RawHeader) -> &'static str {
    if header.log_append_time() { "LogAppendTime" } else { "CreateTime" }
}

fn codec_name(codec: Compression) -> &'static str {
    match codec {
        Compression::None => "none",
        Compression::Gzip => "gzip",
        Compression::Snappy => "snappy",
        Compression::Lz4 => "lz4",
        Compression::Zstd => "zstd",
    }
}

/// The bytes of a log, if a segment can have as many.
pub(super) fn log_len(path: &Path, file: &dyn crate::log::io::DiskFile) -> Result<u64, DumpError> {
    let len = file.len().map_err(|error| failed(path, error))?;
    if len > SEGMENT_BYTES_MAX {
        return Err(failed(path, format!("{len} bytes are more than a segment can have ({SEGMENT_BYTES_MAX})")));
    }
    Ok(len)
}
