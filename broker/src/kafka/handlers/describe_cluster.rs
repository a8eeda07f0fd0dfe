//! DescribeCluster (60): one broker, which is its own controller for clients. Controllers as such have no endpoint (KIP-919).

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::describe_cluster_response::DescribeClusterBroker;
use kafka_protocol::messages::{BrokerId, DescribeClusterRequest, DescribeClusterResponse};

use super::wire;
use crate::kafka::call::Call;

/// `endpoint_type` of brokers.
const BROKERS: i8 = 1;

pub(in crate::kafka) async fn handle(call: &Call<'_>, request: DescribeClusterRequest) -> DescribeClusterResponse {
    if request.endpoint_type != BROKERS {
        return DescribeClusterResponse::default()
            .with_error_code(ResponseError::MismatchedEndpointType.code())
            .with_error_message(Some(wire::text("this is a broker's endpoint, ask for endpoint type 1")));
    }
    let broker = DescribeClusterBroker::default()
        .with_broker_id(BrokerId(call.node_id()))
        .with_host(wire::text(&call.advertised.host))
        .with_port(i32::from(call.advertised.port));
    DescribeClusterResponse::default()
        .with_cluster_id(wire::text(call.engine.cluster_id()))
        .with_controller_id(BrokerId(call.node_id()))
        .with_brokers(vec![broker])
}
