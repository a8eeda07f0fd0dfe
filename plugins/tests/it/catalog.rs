//! The plugins that ship, as the bytes that are committed, in the real host. With `SLUICE_REBUILT_CATALOG` (a folder that
//! `sdk-wasm/toolchain rebuilt` filled) what was rebuilt from source must choose as the committed bytes do.

use std::path::{Path, PathBuf};

use sluice_plugins::{Batch, BindError, Partitioner};

use crate::guests::{bind, caller, host};

fn committed() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("catalog/json-field/json-field.wasm")
}

/// Uploads one file and binds it with a configuration; the host goes on with the binding.
async fn bound(file: &Path, config: &str) -> Result<Partitioner, BindError> {
    let dir = tempfile::tempdir().unwrap();
    let host = host(&dir);
    host.upload("json-field", &std::fs::read(file).unwrap()).await.unwrap();
    bind(&host, "json-field", config).await
}

fn keyed(values: &[String]) -> Batch {
    let mut batch = Batch::default();
    for (at, value) in values.iter().enumerate() {
        let key = (at % 3 > 0).then(|| format!("key-{at}"));
        batch.push(key.as_deref().map(str::as_bytes), Some(value.as_bytes()), [("h", Some(&b"x"[..]))], 0).unwrap();
    }
    batch
}

async fn chosen(file: &Path, config: &str, partitions: u32, values: &[String]) -> Vec<u32> {
    let bound = bound(file, config).await.unwrap();
    bound.partition(&caller(), partitions, keyed(values)).await.unwrap()
}

fn earthquakes() -> Vec<String> {
    let magnitudes = ["-0.5", "2.99", "3", "4.9", "5", "6.0", "9.1", "null", "\"5\""];
    let features = magnitudes.iter().enumerate().map(|(at, mag)| {
        format!(r#"{{"type":"Feature","properties":{{"place":"{at} km N","mag":{mag}}},"id":"nc{}"}}"#, at % 4)
    });
    features.collect()
}

#[tokio::test]
async fn numbers_land_in_the_range_that_the_bounds_say() {
    let config = r#"{"field":"properties.mag","bounds":[3,5,6]}"#;
    assert_eq!(chosen(&committed(), config, 4, &earthquakes()).await, [0, 0, 1, 1, 2, 3, 3, 0, 0]);
}

#[tokio::test]
async fn equal_values_land_together_where_a_kafka_client_would_put_them() {
    let places = chosen(&committed(), r#"{"field":"id"}"#, 12, &earthquakes()).await;
    assert!((4..9).all(|at| places[at] == places[at - 4]), "{places:?}");
    // murmur2 of "21" is -973932308 in Kafka's own tests.
    let known = chosen(&committed(), r#"{"field":"id"}"#, 12, &[r#"{"id":"21"}"#.to_owned()]).await;
    assert_eq!(known, [((-973_932_308 & i32::MAX) % 12).cast_unsigned()]);
}

#[tokio::test]
async fn a_configuration_that_cannot_be_meant_is_refused_with_the_plugins_own_words() {
    let refused = bound(&committed(), "{}").await.unwrap_err();
    assert!(
        matches!(&refused, BindError::Init { reason, .. } if reason.contains("missing field `field`")),
        "{refused}"
    );
}

#[tokio::test]
async fn what_is_committed_is_small() {
    let size = std::fs::metadata(committed()).unwrap().len();
    assert!(size < 128 * 1024, "{size} bytes");
}

#[tokio::test]
async fn what_is_rebuilt_from_source_chooses_as_what_is_committed() {
    let Some(rebuilt) = std::env::var_os("SLUICE_REBUILT_CATALOG") else { return };
    let rebuilt = Path::new(&rebuilt).join("json-field.wasm");
    let mut values = earthquakes();
    let odd = [
        "",
        "{",
        "[1,2]",
        "{\"id\":{}}",
        "{\"id\":-0.0}",
        "{\"id\":0}",
        "{\"id\":1e300}",
        "{\"id\":\"\\ud83d\\ude00\"}",
    ];
    values.extend(odd.map(str::to_owned));
    values.extend((0..2_000_u64).map(|n| format!(r#"{{"id":{}}}"#, n.wrapping_mul(0x9e37_79b9_7f4a_7c15))));
    values.extend((0..1_000).map(|n| format!(r#"{{"id":{}}}"#, f64::from(n) / 7.0)));
    for config in [r#"{"field":"id"}"#, r#"{"field":"id","bounds":[1,1e9,1e18]}"#, r#"{"field":"properties.mag"}"#] {
        let before = chosen(&committed(), config, 97, &values).await;
        assert_eq!(chosen(&rebuilt, config, 97, &values).await, before, "{config}");
    }
}
