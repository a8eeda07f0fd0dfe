//! ApiVersions (18): what is spoken here. Its response header is always version 0, and a version that we do not know is answered
//! in version 0 (KIP-511). No finalized features: each one would switch clients to a protocol that is not here yet.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::{ApiKey, ApiVersionsRequest, ApiVersionsResponse};

use crate::kafka::call::Call;
use crate::kafka::versions::{ROWS, Row};

pub(in crate::kafka) async fn handle(call: &Call<'_>, request: ApiVersionsRequest) -> ApiVersionsResponse {
    if !request.client_software_name.is_empty() {
        let (name, version) = (&request.client_software_name, &request.client_software_version);
        tracing::debug!("{:?} is {name} {version}", call.ctx.peer());
    }
    ApiVersionsResponse::default().with_api_keys(ROWS.iter().map(advertised).collect())
}

/// To a version of ApiVersions that is not spoken: the range that is.
pub(in crate::kafka) fn unsupported() -> ApiVersionsResponse {
    let own = ROWS.iter().filter(|row| row.key == ApiKey::ApiVersions).map(advertised).collect();
    ApiVersionsResponse::default().with_error_code(ResponseError::UnsupportedVersion.code()).with_api_keys(own)
}

fn advertised(row: &Row) -> ApiVersion {
    ApiVersion::default().with_api_key(row.key as i16).with_min_version(row.advertised_min).with_max_version(row.max)
}
