//! One row an API: which versions are spoken and which are advertised. What has no row is not there.
//! Floor: Kafka 4.4's minimum (KIP-896). Ceiling: the smaller of Kafka 4.4's maximum and the codec's.

use kafka_protocol::messages::ApiKey;

/// The versions of one API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// The API.
    pub(crate) key: ApiKey,
    /// The lowest version that is answered.
    pub(crate) min: i16,
    /// The highest version that is answered.
    pub(crate) max: i16,
    /// The lowest version that ApiVersions names.
    pub(crate) advertised_min: i16,
}

const fn row(key: ApiKey, min: i16, max: i16) -> Row {
    Row { key, min, max, advertised_min: min }
}

/// In order of keys, as ApiVersions lists them.
pub(super) const ROWS: &[Row] = &[
    // librdkafka takes the lowest produce version for the message format that the broker stores, and stops compressing when it
    // is not 0 (KAFKA-18659). Versions 0 to 2 are refused all the same, as Kafka does.
    Row { key: ApiKey::Produce, min: 3, max: 13, advertised_min: 0 },
    row(ApiKey::Fetch, 4, 18),
    row(ApiKey::ListOffsets, 1, 10),
    row(ApiKey::Metadata, 0, 13),
    row(ApiKey::OffsetCommit, 2, 9),
    row(ApiKey::OffsetFetch, 1, 9),
    row(ApiKey::FindCoordinator, 0, 6),
    row(ApiKey::JoinGroup, 0, 9),
    row(ApiKey::Heartbeat, 0, 4),
    row(ApiKey::LeaveGroup, 0, 5),
    row(ApiKey::SyncGroup, 0, 5),
    row(ApiKey::DescribeGroups, 0, 6),
    row(ApiKey::ListGroups, 0, 5),
    row(ApiKey::ApiVersions, 0, 4),
    row(ApiKey::CreateTopics, 2, 7),
    row(ApiKey::DeleteTopics, 1, 6),
    row(ApiKey::DeleteRecords, 0, 2),
    // Version 6 is unstable (KIP-939).
    row(ApiKey::InitProducerId, 0, 5),
    row(ApiKey::OffsetForLeaderEpoch, 2, 4),
    row(ApiKey::DescribeConfigs, 1, 4),
    row(ApiKey::AlterConfigs, 0, 2),
    row(ApiKey::CreatePartitions, 0, 3),
    row(ApiKey::IncrementalAlterConfigs, 0, 1),
    row(ApiKey::DescribeCluster, 0, 2),
    row(ApiKey::DescribeTopicPartitions, 0, 0),
];

/// The row of an API; `None` for one that is not offered.
pub(super) fn of(key: ApiKey) -> Option<&'static Row> {
    ROWS.iter().find(|row| row.key == key)
}

/// Whether this version of the API uses compact encodings and tagged fields (KIP-482).
pub(super) fn flexible(key: ApiKey, version: i16) -> bool {
    key.request_header_version(version) >= 2
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages;
    use kafka_protocol::protocol::{Message, Request};

    use super::*;

    /// Key, minimum and maximum of Kafka 4.4, as its message definitions have them, and what the codec has of both directions.
    macro_rules! apis {
        ($($request:ident $kafka:expr;)*) => {
            vec![$((
                messages::$request::KEY,
                $kafka,
                messages::$request::VERSIONS
                    .intersect(&<messages::$request as Request>::Response::VERSIONS),
            ),)*]
        };
    }

    #[test]
    fn the_floor_is_kafkas_and_the_ceiling_the_smaller_of_kafkas_and_the_codecs() {
        let apis = apis! {
            ProduceRequest (3, 13);
            FetchRequest (4, 18);
            ListOffsetsRequest (1, 11);
            MetadataRequest (0, 13);
            OffsetCommitRequest (2, 10);
            OffsetFetchRequest (1, 10);
            FindCoordinatorRequest (0, 6);
            JoinGroupRequest (0, 9);
            HeartbeatRequest (0, 4);
            LeaveGroupRequest (0, 5);
            SyncGroupRequest (0, 5);
            DescribeGroupsRequest (0, 6);
            ListGroupsRequest (0, 5);
            ApiVersionsRequest (0, 5);
            CreateTopicsRequest (2, 7);
            DeleteTopicsRequest (1, 6);
            DeleteRecordsRequest (0, 2);
            InitProducerIdRequest (0, 5);
            OffsetForLeaderEpochRequest (2, 4);
            DescribeConfigsRequest (1, 4);
            AlterConfigsRequest (0, 2);
            CreatePartitionsRequest (0, 3);
            IncrementalAlterConfigsRequest (0, 1);
            DescribeClusterRequest (0, 2);
            DescribeTopicPartitionsRequest (0, 0);
        };
        assert_eq!(ROWS.len(), apis.len());
        for (row, (key, (min, max), codec)) in ROWS.iter().zip(apis) {
            assert_eq!(row.key as i16, key);
            assert_eq!((row.min, row.max), (min, max.min(codec.max)), "{:?}", row.key);
            assert!(codec.min <= row.min, "{:?}", row.key);
        }
    }

    #[test]
    fn produce_is_advertised_from_version_0_or_librdkafka_stops_compressing() {
        let produce = of(ApiKey::Produce).expect("there is a row for Produce");
        assert_eq!((produce.advertised_min, produce.min), (0, 3));
        assert!(ROWS.iter().filter(|row| row.key != ApiKey::Produce).all(|row| row.advertised_min == row.min));
    }
}
