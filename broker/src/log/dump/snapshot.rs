//! The producers of a `.snapshot` (Kafka's `ProducerStateManager`).

use std::io::Write;
use std::path::Path;

use super::text::OptionalLong;
use super::{Dump, DumpError, failed};
use crate::log::write::producer_snapshot::{SnapshotEntry, SnapshotError, decode};

/// Bytes of the largest snapshot that is read: no broker has the memory for the producers of a larger one.
const SNAPSHOT_BYTES_MAX: u64 = 1 << 30;

impl Dump<'_> {
    pub(super) fn snapshot(&mut self, path: &Path, err: &mut dyn Write) -> Result<(), DumpError> {
        let file = self.open(path)?;
        let len = file.len().map_err(|error| failed(path, error))?;
        if len > SNAPSHOT_BYTES_MAX {
            return Err(failed(path, format!("{len} bytes are no snapshot's")));
        }
        let mut bytes = Vec::new();
        file.read_at(&mut bytes, usize::try_from(len).unwrap_or(0), 0).map_err(|error| failed(path, error))?;
        match decode(&bytes) {
            Ok(entries) => entries.iter().try_for_each(|entry| self.producer(entry)),
            // Kafka's tool prints this and continues with the next file.
            Err(error) => writeln!(err, "{}", in_kafkas_words(&error)).map_err(DumpError::Output),
        }
    }

    fn producer(&mut self, entry: &SnapshotEntry) -> Result<(), DumpError> {
        self.part(format_args!(
            "producerId: {} producerEpoch: {} coordinatorEpoch: {} currentTxnFirstOffset: {} lastTimestamp: {}",
            entry.producer,
            entry.epoch,
            entry.coordinator_epoch,
            OptionalLong(entry.transaction_from.map(|offset| offset.0).filter(|offset| *offset >= 0)),
            entry.timestamp,
        ))?;
        if entry.last_offset.0 >= 0 {
            self.part(format_args!(
                " firstSequence: {} lastSequence: {} lastOffset: {} offsetDelta: {} timestamp: {}",
                sequence_before(entry.last_sequence.0, entry.offset_delta),
                entry.last_sequence,
                entry.last_offset,
                entry.offset_delta,
                entry.timestamp,
            ))?;
        }
        self.line(format_args!(""))
    }
}

fn in_kafkas_words(error: &SnapshotError) -> String {
    match error {
        SnapshotError::Length { .. } => "Snapshot failed schema validation: null".to_owned(),
        SnapshotError::Version { version } => {
            format!("Snapshot failed schema validation: Snapshot contained an unknown file version {version}")
        }
        SnapshotError::Checksum { stored, found } => {
            format!("Snapshot is corrupt (CRC is no longer valid). Stored crc: {stored}. Computed crc: {found}")
        }
    }
}

/// Kafka's `DefaultRecordBatch.decrementSequence`.
fn sequence_before(sequence: i32, decrement: i32) -> i32 {
    if sequence < decrement {
        return i32::MAX.wrapping_sub(decrement.wrapping_sub(sequence)).wrapping_add(1);
    }
    sequence.wrapping_sub(decrement)
}
