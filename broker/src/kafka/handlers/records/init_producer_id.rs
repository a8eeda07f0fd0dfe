//! InitProducerId (22): an identity for an idempotent producer. A transactional id is refused until there are transactions.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::{InitProducerIdRequest, InitProducerIdResponse, ProducerId};

use crate::auth::Cluster;
use crate::engine::EngineError;
use crate::kafka::call::Call;
use crate::kafka::errors;

pub(in crate::kafka) async fn handle(call: &Call<'_>, request: InitProducerIdRequest) -> InitProducerIdResponse {
    let transactional_id = request.transactional_id.as_ref().map(|id| id.as_str());
    let given = match call.ask(Cluster) {
        Ok(permit) => call.engine.init_producer_id(&permit, transactional_id).await,
        Err(denied) => Err(denied.into()),
    };
    match given {
        Ok((id, epoch)) => {
            InitProducerIdResponse::default().with_producer_id(ProducerId(id.0)).with_producer_epoch(epoch.0)
        }
        Err(error) => InitProducerIdResponse::default().with_error_code(code(&error)).with_producer_epoch(-1),
    }
}

fn code(error: &EngineError) -> i16 {
    match error {
        // To this request the code of the data path would be fatal.
        EngineError::Stopping => ResponseError::CoordinatorNotAvailable.code(),
        other => errors::code(other),
    }
}
