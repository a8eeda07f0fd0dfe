//! The OpenAPI document: what stands above the paths, and how it is written. `openapi/openapi.json` in the repository is kept
//! equal to it by a test; `UPDATE_OPENAPI=1 cargo test -p sluice-gateway openapi` writes the file.

use utoipa::openapi::{InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder};

const DESCRIPTION: &str = "One log for HTTP and Kafka clients. Requests with a media type of the Kafka REST proxies' v2 \
dialect get answers and errors in that dialect; everybody else gets plain JSON, and errors as problem documents (RFC 9457).";

/// The document without paths.
pub(crate) fn frame() -> OpenApi {
    let license = LicenseBuilder::new().name("Apache-2.0").identifier(Some("Apache-2.0")).build();
    let info = InfoBuilder::new()
        .title("Sluicegate")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(DESCRIPTION))
        .license(Some(license))
        .build();
    OpenApiBuilder::new().info(info).build()
}

/// The document as text, one way only, so that it can be compared.
pub(crate) fn text(document: &OpenApi) -> String {
    // Maps with text keys and no foreign types: there is nothing that could fail.
    let mut text = document.to_pretty_json().expect("an OpenAPI document is always JSON");
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_openapi_document_in_the_repository_is_the_codes() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../openapi/openapi.json");
        let now = text(&crate::paths::document());
        if std::env::var_os("UPDATE_OPENAPI").is_some() {
            std::fs::write(&path, &now).expect("the file is written");
        }
        let kept = std::fs::read_to_string(&path).expect("openapi/openapi.json is there");
        assert!(kept == now, "openapi/openapi.json is old: UPDATE_OPENAPI=1 cargo test -p sluice-gateway openapi");
    }

    #[test]
    fn every_operation_has_a_summary_an_answer_and_a_name_of_its_own() {
        let document = serde_json::to_value(crate::paths::document()).expect("JSON");
        let mut names = std::collections::HashSet::new();
        for (path, item) in document["paths"].as_object().expect("paths") {
            for (method, operation) in item.as_object().expect("operations") {
                let place = format!("{method} {path}");
                assert!(operation["summary"].is_string(), "{place} has no summary");
                assert!(!operation["responses"].as_object().expect("responses").is_empty(), "{place}");
                assert!(names.insert(operation["operationId"].to_string()), "{place} shares its operationId");
            }
        }
        assert!(names.len() >= 25);
    }
}
