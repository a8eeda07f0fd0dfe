//! Throttling (KIP-219): an answer goes out at once and says for how long its client has to wait; the connection is not read for
//! that time, whether or not the client waits. Between `call.rs`, which sets it, and `connection.rs`, which keeps it. Decides
//! nothing: quotas will.

use std::time::Duration;

use kafka_protocol::messages;

/// How long a client has to wait before its next request is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Throttle(Duration);

impl Throttle {
    /// No wait.
    pub(super) const NONE: Throttle = Throttle(Duration::ZERO);

    /// Of that length.
    pub(super) fn of(duration: Duration) -> Throttle {
        Throttle(duration)
    }

    /// For how long the connection is not read.
    pub(super) fn duration(self) -> Duration {
        self.0
    }

    /// `throttle_time_ms` of an answer.
    pub(super) fn ms(self) -> i32 {
        i32::try_from(self.0.as_millis()).unwrap_or(i32::MAX)
    }
}

/// A response that can carry a throttle time; the codec leaves it out of versions that have no place for it.
pub(super) trait Throttled {
    /// Puts it in.
    fn set_throttle(&mut self, throttle: Throttle);
}

macro_rules! throttled {
    ($($response:ident)*) => {$(
        impl Throttled for messages::$response {
            fn set_throttle(&mut self, throttle: Throttle) {
                self.throttle_time_ms = throttle.ms();
            }
        }
    )*};
}

throttled! {
    ProduceResponse FetchResponse ListOffsetsResponse MetadataResponse OffsetCommitResponse OffsetFetchResponse
    FindCoordinatorResponse JoinGroupResponse HeartbeatResponse LeaveGroupResponse SyncGroupResponse DescribeGroupsResponse
    ListGroupsResponse ApiVersionsResponse CreateTopicsResponse DeleteTopicsResponse DeleteRecordsResponse
    InitProducerIdResponse OffsetForLeaderEpochResponse DescribeConfigsResponse AlterConfigsResponse
    CreatePartitionsResponse IncrementalAlterConfigsResponse DescribeClusterResponse DescribeTopicPartitionsResponse
}

#[cfg(test)]
mod tests {
    use kafka_protocol::protocol::Decodable;

    use super::*;
    use crate::kafka::call::Envelope;
    use crate::kafka::connection::Outcome;
    use crate::kafka::versions::{self, flexible};

    /// The body of an answer in one version.
    fn body(
        version: i16,
        response: impl Throttled
        + kafka_protocol::protocol::Encodable
        + kafka_protocol::protocol::HeaderVersion
        + Send
        + 'static,
        header: usize,
    ) -> bytes::Bytes {
        let envelope = Envelope { correlation: 1, version, throttle: Throttle::of(Duration::from_millis(7)) };
        let Outcome::Reply(reply) = envelope.seal(response) else { panic!("version {version} cannot be encoded") };
        assert_eq!(reply.throttle(), envelope.throttle);
        bytes::Bytes::from(reply.concat()).slice(4 + header..)
    }

    #[test]
    fn every_answer_carries_the_throttle_time_in_its_newest_version_and_none_fails_in_an_older_one() {
        macro_rules! check {
            ($($key:ident $response:ident;)*) => {$(
                let row = versions::of(messages::ApiKey::$key).unwrap();
                for version in row.min..=row.max {
                    let old_header = !flexible(row.key, version) || row.key == messages::ApiKey::ApiVersions;
                    let mut body = body(version, messages::$response::default(), if old_header { 4 } else { 5 });
                    if version == row.max {
                        let decoded = messages::$response::decode(&mut body, version).unwrap();
                        assert_eq!(decoded.throttle_time_ms, 7, "{:?}", row.key);
                    }
                }
            )*};
        }
        check! {
            Produce ProduceResponse; Fetch FetchResponse; ListOffsets ListOffsetsResponse; Metadata MetadataResponse;
            OffsetCommit OffsetCommitResponse; OffsetFetch OffsetFetchResponse; FindCoordinator FindCoordinatorResponse;
            JoinGroup JoinGroupResponse; Heartbeat HeartbeatResponse; LeaveGroup LeaveGroupResponse;
            SyncGroup SyncGroupResponse; DescribeGroups DescribeGroupsResponse; ListGroups ListGroupsResponse;
            ApiVersions ApiVersionsResponse; CreateTopics CreateTopicsResponse; DeleteTopics DeleteTopicsResponse;
            DeleteRecords DeleteRecordsResponse; InitProducerId InitProducerIdResponse;
            OffsetForLeaderEpoch OffsetForLeaderEpochResponse; DescribeConfigs DescribeConfigsResponse;
            AlterConfigs AlterConfigsResponse; CreatePartitions CreatePartitionsResponse;
            IncrementalAlterConfigs IncrementalAlterConfigsResponse; DescribeCluster DescribeClusterResponse;
            DescribeTopicPartitions DescribeTopicPartitionsResponse;
        }
    }
}
