//! Control records (KIP-98): the markers that end a transaction. Read from stored batches by whoever replays a log, and by
//! `sluice log dump`. Never shown to consumers.
//! Layout: Kafka's `ControlRecordType` (key) and `EndTransactionMarker` (value).

use bytes::Buf;

use super::batch::StoredBatch;
use super::error::RecordError;
use crate::ids::{LeaderEpoch, ProducerEpoch, ProducerId};

/// Where the producer id of a batch is; its epoch follows.
const PRODUCER_ID_AT: usize = 43;

/// What a control record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ControlType {
    /// The transaction's records do not count.
    Abort,
    /// The transaction's records count.
    Commit,
    /// No transaction marker: a record of Kafka's metadata quorum, or of a later version.
    Other(i16),
}

impl ControlType {
    /// The type that a control record's key names.
    ///
    /// # Errors
    /// `Corrupt` when the key is too short or its version is negative.
    pub(crate) fn of_key(key: &[u8]) -> Result<ControlType, RecordError> {
        match key {
            [v0, v1, t0, t1, ..] if i16::from_be_bytes([*v0, *v1]) >= 0 => Ok(match i16::from_be_bytes([*t0, *t1]) {
                0 => ControlType::Abort,
                1 => ControlType::Commit,
                other => ControlType::Other(other),
            }),
            _ => Err(RecordError::Corrupt { reason: "the key of a control record is too short or invalid".to_owned() }),
        }
    }
}

/// The epoch of the transaction coordinator that wrote a marker with this value.
///
/// # Errors
/// `Corrupt` when the value is too short or its version is negative.
pub(crate) fn coordinator_epoch(value: &[u8]) -> Result<LeaderEpoch, RecordError> {
    match value {
        [v0, v1, e0, e1, e2, e3, ..] if i16::from_be_bytes([*v0, *v1]) >= 0 => {
            Ok(LeaderEpoch(i32::from_be_bytes([*e0, *e1, *e2, *e3])))
        }
        _ => {
            Err(RecordError::Corrupt { reason: "the value of a transaction marker is too short or invalid".to_owned() })
        }
    }
}

/// A producer id with its epoch: whose transaction a batch is part of, or ends. A marker has them without a sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ProducerIdent {
    /// The producer.
    pub(crate) id: ProducerId,
    /// Its incarnation.
    pub(crate) epoch: ProducerEpoch,
}

impl ProducerIdent {
    /// Who wrote a batch. `None` for a producer without an id.
    #[must_use]
    pub(crate) fn of(batch: &StoredBatch) -> Option<ProducerIdent> {
        let mut bytes = batch.bytes().get(PRODUCER_ID_AT..PRODUCER_ID_AT + 10)?;
        let (id, epoch) = (bytes.get_i64(), bytes.get_i16());
        (id >= 0).then_some(ProducerIdent { id: ProducerId(id), epoch: ProducerEpoch(epoch) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_names_the_type_of_its_record() {
        let of = |version: i16, kind: i16| {
            let mut key = version.to_be_bytes().to_vec();
            key.extend(kind.to_be_bytes());
            ControlType::of_key(&key)
        };
        assert_eq!(of(0, 0), Ok(ControlType::Abort));
        assert_eq!(of(0, 1), Ok(ControlType::Commit));
        assert_eq!(of(3, 1), Ok(ControlType::Commit), "a later version begins as version 0 does");
        assert_eq!(of(0, 2), Ok(ControlType::Other(2)));
        assert!(matches!(of(-1, 1), Err(RecordError::Corrupt { .. })));
        assert!(matches!(ControlType::of_key(&[0, 0, 1]), Err(RecordError::Corrupt { .. })));
    }

    #[test]
    fn a_value_names_the_epoch_of_the_coordinator() {
        assert_eq!(coordinator_epoch(&[0, 0, 0, 0, 1, 2]), Ok(LeaderEpoch(258)));
        assert!(matches!(coordinator_epoch(&[0xff, 0xff, 0, 0, 1, 2]), Err(RecordError::Corrupt { .. })));
        assert!(matches!(coordinator_epoch(&[0, 0, 0]), Err(RecordError::Corrupt { .. })));
    }
}
