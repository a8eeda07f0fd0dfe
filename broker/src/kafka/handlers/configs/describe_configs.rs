//! DescribeConfigs (32): every config of a topic or of this broker, with its source, default, type and documentation.

use std::collections::HashSet;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use kafka_protocol::messages::{DescribeConfigsRequest, DescribeConfigsResponse};

use crate::auth::Cluster;
use crate::engine::EngineError;
use crate::engine::broker_configs::Listening;
use crate::ids::TopicRef;
use crate::kafka::answer::Rows;
use crate::kafka::call::Call;
use crate::kafka::connection::Outcome;
use crate::kafka::errors;
use crate::kafka::handlers::wire;
use crate::topics::{ConfigEntry, ConfigSource, ConfigType};

/// `ConfigResource.Type` of topics.
pub(super) const TOPIC: i8 = 2;
/// `ConfigResource.Type` of brokers.
pub(super) const BROKER: i8 = 4;
/// `ConfigSource` of a value that is set on the topic.
const DYNAMIC_TOPIC_CONFIG: i8 = 1;
/// `ConfigSource` of a value from the broker's configuration file.
const STATIC_BROKER_CONFIG: i8 = 4;
/// `ConfigSource` of a default.
const DEFAULT_CONFIG: i8 = 5;
/// Types and documentation (KIP-569).
const DOCS_SINCE: i16 = 3;

/// What the client wants to see beside values.
struct Wanted {
    synonyms: bool,
    docs: bool,
}

/// A resource that is named twice is described twice, as in Kafka.
pub(in crate::kafka) async fn handle(call: &Call<'_>, request: DescribeConfigsRequest) -> Outcome {
    let docs = request.include_documentation && call.version >= DOCS_SINCE;
    let wanted = Wanted { synonyms: request.include_synonyms, docs };
    let mut rows = Rows::new(call);
    for resource in &request.resources {
        if !rows.push(&describe(call, &wanted, resource)) {
            break;
        }
    }
    rows.finish(DescribeConfigsResponse::default(), 0)
}

fn describe(call: &Call<'_>, wanted: &Wanted, resource: &DescribeConfigsResource) -> DescribeConfigsResult {
    let result = match entries(call, resource) {
        Ok(entries) => {
            // No key means every key, as null does (`ConfigHelper.describeConfigs`).
            let keys = resource.configuration_keys.as_ref().filter(|keys| !keys.is_empty());
            let keys: Option<HashSet<_>> = keys.map(|keys| keys.iter().map(|key| key.as_str()).collect());
            let asked = |key: &str| keys.as_ref().is_none_or(|keys| keys.contains(key));
            let entries = entries.into_iter().filter(|entry| asked(entry.key.as_ref()));
            let broker = resource.resource_type == BROKER;
            DescribeConfigsResult::default()
                .with_configs(entries.map(|entry| row(call.version, wanted, broker, entry)).collect())
        }
        Err((code, text)) => {
            DescribeConfigsResult::default().with_error_code(code).with_error_message(Some(errors::told(text)))
        }
    };
    result.with_resource_type(resource.resource_type).with_resource_name(resource.resource_name.clone())
}

fn entries(call: &Call<'_>, resource: &DescribeConfigsResource) -> Result<Vec<ConfigEntry>, (i16, String)> {
    let name = resource.resource_name.as_str();
    let refused = |error: EngineError| (errors::code(&error), errors::text(&error).to_string());
    match resource.resource_type {
        TOPIC => {
            let permit = call.ask(TopicRef::name(name)).map_err(|denied| refused(denied.into()))?;
            call.engine.topic_configs(&permit).map_err(refused)
        }
        // The empty name stands for the default of all brokers, of which there is one.
        BROKER if name.is_empty() || name.parse() == Ok(call.node_id()) => {
            let permit = call.ask(Cluster).map_err(|denied| refused(denied.into()))?;
            let advertised = format!("{}:{}", call.advertised.host, call.advertised.port);
            let listening = Listening { bound: call.ctx.listener().to_owned(), advertised };
            Ok(call.engine.broker_configs(&permit, &listening))
        }
        BROKER => Err(invalid(format!("this is broker {}, not '{name}'", call.node_id()))),
        other => Err(invalid(format!("resources of type {other} have no configs here"))),
    }
}

/// A refusal of a resource.
pub(super) fn invalid(text: String) -> (i16, String) {
    (ResponseError::InvalidRequest.code(), text)
}

fn row(version: i16, wanted: &Wanted, broker: bool, entry: ConfigEntry) -> DescribeConfigsResourceResult {
    // The broker's own are set in its configuration file and cannot be changed from here.
    let source = match entry.source {
        ConfigSource::Topic if broker => STATIC_BROKER_CONFIG,
        source => source_code(source),
    };
    let mut synonyms = Vec::new();
    if wanted.synonyms {
        // In order of precedence: the value that holds, then what would hold without it.
        if source != DEFAULT_CONFIG {
            synonyms.push(synonym(&entry, &entry.value, source));
        }
        synonyms.push(synonym(&entry, &entry.default, DEFAULT_CONFIG));
    }
    let row = DescribeConfigsResourceResult::default()
        .with_config_source(source)
        .with_synonyms(synonyms)
        .with_read_only(broker)
        .with_name(wire::text(entry.key))
        .with_value(Some(wire::text(entry.value)));
    if version < DOCS_SINCE {
        return row;
    }
    row.with_config_type(type_code(entry.kind)).with_documentation(wanted.docs.then(|| wire::text(entry.doc)))
}

fn synonym(entry: &ConfigEntry, value: &str, source: i8) -> DescribeConfigsSynonym {
    DescribeConfigsSynonym::default()
        .with_name(wire::text(entry.key.as_ref()))
        .with_value(Some(wire::text(value)))
        .with_source(source)
}

/// `DescribeConfigsResponse.ConfigSource`.
pub(in crate::kafka::handlers) fn source_code(source: ConfigSource) -> i8 {
    match source {
        ConfigSource::Topic => DYNAMIC_TOPIC_CONFIG,
        ConfigSource::Default => DEFAULT_CONFIG,
    }
}

/// `DescribeConfigsResponse.ConfigType`.
fn type_code(kind: ConfigType) -> i8 {
    match kind {
        ConfigType::Boolean => 1,
        ConfigType::String => 2,
        ConfigType::Int => 3,
        ConfigType::Long => 5,
        ConfigType::Double => 6,
        ConfigType::List => 7,
    }
}
