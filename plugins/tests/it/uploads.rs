//! What may be uploaded, what versions are, and what survives a restart.

use sluice_plugins::{BindError, Bound, CallError, UploadError};

use crate::guests::{GOOD, REFUSES, TRAPS, batch, bind, caller, host, module};

/// A guest that puts everything on one partition.
fn constant(partition: u32) -> Vec<u8> {
    module("", &format!("(local.set $add (i32.const {partition})) (local.set $count (i32.const 1))"))
}

async fn refusal(wasm: &[u8]) -> UploadError {
    let dir = tempfile::tempdir().unwrap();
    let host = host(&dir);
    let refused = host.upload("guest", wasm).await.unwrap_err();
    assert_eq!(host.list(), []);
    refused
}

#[tokio::test]
async fn what_is_not_binary_webassembly_is_refused_with_a_reason() {
    let cases: [(&[u8], &str); 5] = [
        (b"", "does not start"),
        (b"hello", "does not start"),
        (b"  (module)", "text"),
        (b"\x7fELF\x02\x01\x01", "native"),
        (b"\0asm\xff\0\0\0", "version"),
    ];
    for (bytes, expected) in cases {
        let refused = refusal(bytes).await;
        assert!(matches!(&refused, UploadError::Malformed { reason } if reason.contains(expected)), "{refused}");
    }
}

#[tokio::test]
async fn a_truncated_module_is_refused_wherever_it_is_cut() {
    let whole = module("", GOOD);
    let dir = tempfile::tempdir().unwrap();
    let host = host(&dir);
    for cut in (0..whole.len()).step_by(17) {
        assert!(host.upload("guest", &whole[..cut]).await.is_err(), "cut at {cut}");
    }
    assert_eq!(host.list(), []);
}

#[tokio::test]
async fn bytes_turned_over_are_refused_or_run_within_limits() {
    let whole = module("", GOOD);
    let dir = tempfile::tempdir().unwrap();
    let host = host(&dir);
    for at in (8..whole.len()).step_by(7) {
        let mut broken = whole.clone();
        broken[at] ^= 0x15;
        if host.upload("guest", &broken).await.is_ok()
            && let Ok(bound) = bind(&host, "guest", "{}").await
        {
            let _ = bound.partition(&caller(), 4, batch(&[b"\x01"])).await;
        }
    }
    host.upload("guest", &whole).await.unwrap();
    let bound = bind(&host, "guest", "{}").await.unwrap();
    assert_eq!(bound.partition(&caller(), 4, batch(&[b"\x01"])).await, Ok(vec![1]));
}

#[tokio::test]
async fn an_import_other_than_log_and_clock_is_refused_by_name() {
    let wasi = wat::parse_str(
        r#"(module (import "wasi_snapshot_preview1" "fd_write" (func (param i32 i32 i32 i32) (result i32)))
            (func (export "partition")))"#,
    )
    .unwrap();
    let refused = refusal(&wasi).await;
    assert!(
        matches!(&refused, UploadError::ForbiddenImport { import } if import == "wasi_snapshot_preview1.fd_write"),
        "{refused}"
    );
    let component = wat::parse_str(r#"(component (import "wasi:sockets/tcp@0.2.0" (instance)))"#).unwrap();
    let refused = refusal(&component).await;
    assert!(
        matches!(&refused, UploadError::ForbiddenImport { import } if import == "wasi:sockets/tcp@0.2.0"),
        "{refused}"
    );
    let unknown = wat::parse_str(
        r#"(component (import "sluice:plugin/host@0.1.0" (instance (export "exec" (func (param "command" string))))))"#,
    )
    .unwrap();
    assert!(matches!(refusal(&unknown).await, UploadError::ForbiddenImport { .. }));
}

#[tokio::test]
async fn a_module_that_is_no_plugin_is_refused_with_what_is_missing() {
    for text in ["(module)", "(component)", r#"(module (func (export "route")))"#] {
        let refused = refusal(&wat::parse_str(text).unwrap()).await;
        assert!(matches!(refused, UploadError::WrongWorld { .. }), "{text}: {refused}");
    }
}

#[tokio::test]
async fn code_that_is_too_much_for_the_compiler_is_refused_before_it_is_compiled() {
    let nops = "nop ".repeat(1_100_000);
    let huge_body = wat::parse_str(format!("(module (func {nops}))")).unwrap();
    assert!(matches!(refusal(&huge_body).await, UploadError::Compile { .. }));
    let functions = "(func)".repeat(150_001);
    let many = wat::parse_str(format!("(module {functions})")).unwrap();
    assert!(matches!(refusal(&many).await, UploadError::Compile { .. }));
    let modules = "(core module)".repeat(65);
    let nested = wat::parse_str(format!("(component {modules})")).unwrap();
    assert!(matches!(refusal(&nested).await, UploadError::Compile { .. }));
    let large = vec![0; 32 * 1024 * 1024 + 1];
    assert!(matches!(refusal(&large).await, UploadError::TooLarge { .. }));
}

#[tokio::test]
async fn a_module_that_starts_with_too_much_memory_is_refused() {
    let text = String::from_utf8(wat_of_memory("60000")).unwrap();
    let refused = refusal(&wat::parse_str(text).unwrap()).await;
    assert!(matches!(&refused, UploadError::Start { reason } if reason.contains("67108864")), "{refused}");
}

fn wat_of_memory(pages: &str) -> Vec<u8> {
    format!(
        r#"(module (memory (export "memory") {pages})
        (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) unreachable)
        (func (export "init") (param i32 i32) (result i32) unreachable)
        (func (export "partition") (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32) unreachable))"#
    )
    .into_bytes()
}

#[tokio::test]
async fn names_that_cannot_stand_in_a_binding_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let host = host(&dir);
    let long = "x".repeat(65);
    for name in ["", "Geo", "1geo", "geo@2", "../geo", "a b", "geo.x", &long] {
        let refused = host.upload(name, &module("", GOOD)).await.unwrap_err();
        assert!(matches!(refused, UploadError::BadName { .. }), "{name}: {refused}");
    }
}

#[tokio::test]
async fn versions_are_numbered_followed_and_kept_across_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let call = async |host: &sluice_plugins::Host, reference: &str| {
        let bound = bind(host, reference, "{}").await.unwrap();
        bound.partition(&caller(), 4, batch(&[b"\x00"])).await.unwrap()[0]
    };
    let before = {
        let host = host(&dir);
        assert_eq!(host.upload("guest", &constant(1)).await.unwrap().version, 1);
        let following = bind(&host, "guest", "{}").await.unwrap();
        let pinned = bind(&host, "guest@1", "{}").await.unwrap();
        assert_eq!(host.upload("guest", &constant(2)).await.unwrap().version, 2);
        // The same bytes again are the same version.
        assert_eq!(host.upload("guest", &constant(2)).await.unwrap().version, 2);
        assert_eq!(following.partition(&caller(), 4, batch(&[b"\x00"])).await, Ok(vec![2]));
        assert_eq!(pinned.partition(&caller(), 4, batch(&[b"\x00"])).await, Ok(vec![1]));
        host.get("guest").unwrap()
    };
    let host = host(&dir);
    let after = host.get("guest").unwrap();
    assert_eq!((after.active, &after.versions), (2, &before.versions));
    assert_eq!((call(&host, "guest").await, call(&host, "guest@1").await), (2, 1));
    let missing = bind(&host, "guest@3", "{}").await.unwrap_err();
    assert!(matches!(missing, BindError::NoVersion { version: 3, .. }), "{missing}");
    assert!(matches!(bind(&host, "other", "{}").await.unwrap_err(), BindError::NotFound { .. }));
    assert!(matches!(bind(&host, "guest@x", "{}").await.unwrap_err(), BindError::BadReference { .. }));
}

#[tokio::test]
async fn a_version_that_refuses_the_configuration_of_bound_topics_is_refused_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let host = host(&dir);
    host.upload("guest", &constant(1)).await.unwrap();
    let bound = bind(&host, "guest", r#"{"x":1}"#).await.unwrap();
    let topics = [("a", r#"{"x":1}"#), ("b", "{}"), ("c", r#"{"x":1}"#)];
    let topics = topics.map(|(topic, config)| Bound { topic: topic.into(), config: config.into() });
    let refused = host.upload_for("guest", &module(REFUSES, GOOD), &topics).await.unwrap_err();
    assert!(
        matches!(&refused, UploadError::Init { topics, reason } if *topics == ["a", "c"] && reason == "no such field"),
        "{refused}"
    );
    assert_eq!(host.get("guest").unwrap().active, 1);
    assert_eq!(bound.partition(&caller(), 4, batch(&[b"\x00"])).await, Ok(vec![1]));
}

#[tokio::test]
async fn a_deleted_plugin_refuses_the_calls_of_a_binding_that_was_left_and_its_numbers_stay_taken() {
    let dir = tempfile::tempdir().unwrap();
    let host = host(&dir);
    host.upload("guest", &constant(1)).await.unwrap();
    let bound = bind(&host, "guest", "{}").await.unwrap();
    assert!(host.delete("guest").await.unwrap());
    assert!(!host.delete("guest").await.unwrap());
    let refused = bound.partition(&caller(), 4, batch(&[b"\x00"])).await.unwrap_err();
    assert!(matches!(refused, CallError::Unavailable { .. }), "{refused}");
    let files: Vec<_> = ["modules", "compiled"]
        .iter()
        .flat_map(|folder| std::fs::read_dir(dir.path().join(folder)).unwrap())
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert!(files.is_empty(), "{files:?}");
    assert_eq!(host.upload("guest", &constant(3)).await.unwrap().version, 2);
    assert_eq!(bound.partition(&caller(), 4, batch(&[b"\x00"])).await, Ok(vec![3]));
}

#[tokio::test]
async fn damage_on_disk_is_told_at_the_binding_and_never_run() {
    let dir = tempfile::tempdir().unwrap();
    let info = host(&dir).upload("guest", &constant(1)).await.unwrap();
    let compiled = std::fs::read_dir(dir.path().join("compiled")).unwrap().next().unwrap().unwrap().path();
    // Compiled code that has changed is made again.
    let mut code = std::fs::read(&compiled).unwrap();
    let middle = code.len() / 2;
    code[middle] ^= 1;
    std::fs::write(&compiled, &code).unwrap();
    let bound = bind(&host(&dir), "guest", "{}").await.unwrap();
    assert_eq!(bound.partition(&caller(), 4, batch(&[b"\x00"])).await, Ok(vec![1]));
    assert_ne!(std::fs::read(&compiled).unwrap(), code);
    // A module that has changed is not the version that was uploaded.
    let module_path = dir.path().join("modules").join(format!("{}.wasm", info.sha256));
    std::fs::write(&module_path, module("", TRAPS)).unwrap();
    assert!(matches!(bind(&host(&dir), "guest", "{}").await.unwrap_err(), BindError::Damaged { .. }));
    std::fs::remove_file(&module_path).unwrap();
    assert!(matches!(bind(&host(&dir), "guest", "{}").await.unwrap_err(), BindError::Damaged { .. }));
}

#[tokio::test]
async fn only_the_owner_may_enter_the_folders() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    host(&dir).upload("guest", &module("", GOOD)).await.unwrap();
    for folder in ["", "modules", "compiled"] {
        let mode = std::fs::metadata(dir.path().join(folder)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700, "{folder}");
    }
}
