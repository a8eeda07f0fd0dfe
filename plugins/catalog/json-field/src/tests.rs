//! What the partitioner decides, as its users would see it: configurations and values in, partitions out. Native: no Wasm.

use sluice_plugin::testing::{Batch, caller};

use super::*;

fn chosen(config: &str, partitions: u32, values: &[&str]) -> Vec<u32> {
    let mut plugin = JsonField::new(config).expect("a legal configuration");
    let batch = values.iter().fold(Batch::new(), |batch, value| batch.record(None, Some(value.as_bytes()), &[]));
    plugin.partition_all(&caller("t"), batch.records(), partitions)
}

#[test]
fn equal_values_go_together_however_they_are_written() {
    for (config, values) in [
        (r#"{"field":"id"}"#, [r#"{"id":"aé"}"#, r#"{ "x":{"id":1}, "id" : "a\u00e9" }"#, r#"{"id":"b","id":"aé"}"#]),
        (r#"{"field":"p.mag"}"#, [r#"{"p":{"mag":5}}"#, r#"{"p":{"mag":5.0}}"#, r#"{"p":{"mag":0.5e1}}"#]),
        (r#"{"field":"c.1"}"#, [r#"{"c":[9,7]}"#, r#"{"c":[[7],7,8]}"#, r#"{"c":{"1":7.0}}"#]),
        (r#"{"field":"n"}"#, [r#"{"n":0}"#, r#"{"n":-0.0}"#, r#"{"n":0e3}"#]),
    ] {
        let places = chosen(config, 1_000_003, &values);
        assert!(places.windows(2).all(|pair| pair[0] == pair[1]), "{config}: {places:?}");
        assert_ne!(places[0], 0, "{config}: found at all");
    }
}

#[test]
fn a_text_lands_where_a_kafka_client_puts_it_as_a_key() {
    assert_eq!(chosen(r#"{"field":"id"}"#, 12, &[r#"{"id":"21"}"#]), [partition_for_key(b"21", 12)]);
}

#[test]
fn different_values_spread() {
    let values: Vec<String> = (0..400).map(|id| format!(r#"{{"id":"user-{id}"}}"#)).collect();
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    let mut counts = [0; 4];
    for place in chosen(r#"{"field":"id"}"#, 4, &values) {
        counts[place as usize] += 1;
    }
    assert!(counts.iter().all(|count| (60..140).contains(count)), "{counts:?}");
    let large = [r#"{"id":9007199254740993}"#, r#"{"id":9007199254740992}"#];
    let places = chosen(r#"{"field":"id"}"#, 1_000_003, &large);
    assert_ne!(places[0], places[1]);
}

#[test]
fn bounds_put_numbers_into_ranges() {
    let values = ["-1", "2.99", "3", "4.9", "5", "6", "100"].map(|mag| format!(r#"{{"mag":{mag}}}"#));
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    let config = r#"{"field":"mag","bounds":[3,5,6]}"#;
    assert_eq!(chosen(config, 4, &values), [0, 0, 1, 1, 2, 3, 3]);
    assert_eq!(chosen(config, 2, &values), [0, 0, 1, 1, 1, 1, 1]);
}

#[test]
fn a_record_without_the_field_goes_by_its_key() {
    let without = ["{}", r#"{"a":null}"#, r#"{"a":{}}"#, r#"{"a":[1]}"#, r#"{"b":1}"#, "7", "{", "", r#"{"a":"x"} x"#];
    let mut plugin = JsonField::new(r#"{"field":"a"}"#).expect("legal");
    for value in without {
        let batch = Batch::new().record(Some(b"k"), Some(value.as_bytes()), &[]).record(None, Some(value.as_bytes()), &[]);
        let places = plugin.partition_all(&caller("t"), batch.records(), 12);
        assert_eq!(places, [partition_for_key(b"k", 12), 0], "{value}");
    }
    let batch = Batch::new().record(Some(b"k"), None, &[]);
    assert_eq!(plugin.partition_all(&caller("t"), batch.records(), 12), [partition_for_key(b"k", 12)]);
    let mut ranges = JsonField::new(r#"{"field":"a","bounds":[0]}"#).expect("legal");
    let batch = Batch::new().record(Some(b"k"), Some(br#"{"a":"5"}"#), &[]);
    assert_eq!(ranges.partition_all(&caller("t"), batch.records(), 12), [0]);
}

#[test]
fn a_configuration_that_cannot_be_meant_is_refused() {
    for config in [
        "{}",
        "",
        r#"{"field":""}"#,
        r#"{"field":"a..b"}"#,
        r#"{"field":"a","bound":[1]}"#,
        r#"{"field":"a","bounds":[]}"#,
        r#"{"field":"a","bounds":[2,1]}"#,
    ] {
        assert!(JsonField::new(config).is_err(), "{config}");
    }
}
