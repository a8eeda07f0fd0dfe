//! Who wins, and what is refused with which words.

use super::*;

fn env(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
}

fn file(text: &str) -> (tempfile::TempDir, ServeArgs) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sluice.toml");
    std::fs::write(&path, text).unwrap();
    (dir, ServeArgs { config: Some(path), ..ServeArgs::default() })
}

fn refusal(args: &ServeArgs, pairs: &[(&str, &str)]) -> String {
    let error = Settings::read(args, env(pairs)).and_then(Settings::into_config).unwrap_err().to_string();
    assert!(!error.contains('\n'), "{error}");
    error
}

#[test]
fn without_any_setting_both_ports_are_on_localhost() {
    let config = Settings::read(&ServeArgs::default(), env(&[])).unwrap().into_config().unwrap();
    assert_eq!(config.kafka, [KafkaListener { host: "localhost".into(), port: 9092, advertised: None }]);
    assert_eq!(config.gateway.listen, ["localhost:8082"]);
    assert_eq!(config.broker, BrokerConfig::default());
    assert_eq!(config.gateway, GatewayConfig::default());
}

#[test]
fn a_flag_wins_over_the_environment_and_the_environment_over_the_file() {
    let (_dir, mut args) = file(
        "data_dir = 'from-file'\nnode_id = 7\nnum_partitions = 3\n[kafka]\nlisten = ['localhost:1']\n[http]\nlisten = ['localhost:2']\n",
    );
    args.kafka = vec!["localhost:5".into(), "[::1]:6".into()];
    let env = env(&[("SLUICE_NODE_ID", "8"), ("SLUICE_KAFKA", "localhost:3"), ("SLUICE_HTTP", "localhost:4, [::1]:4")]);
    let config = Settings::read(&args, env).unwrap().into_config().unwrap();
    assert_eq!(config.broker.data_dir, PathBuf::from("from-file"));
    assert_eq!(config.broker.num_partitions, 3);
    assert_eq!(config.broker.node_id, 8);
    assert_eq!(config.gateway.listen, ["localhost:4", "[::1]:4"]);
    assert_eq!(config.kafka.iter().map(|listener| listener.port).collect::<Vec<_>>(), [5, 6]);
}

#[test]
fn what_is_no_setting_is_refused_by_name() {
    for (text, expected) in [
        ("num_partition = 3\n", "'num_partition' is not a setting; did you mean 'num_partitions'?"),
        ("[http]\nlisten_on = 3\n", "'http.listen_on' is not a setting; did you mean 'http.listen'?"),
        ("[broker]\nnode_id = 3\n", "'broker' is not a setting"),
        ("zzz = 1\n", "'zzz' is not a setting"),
    ] {
        let (_dir, args) = file(text);
        let error = refusal(&args, &[]);
        assert!(error.contains("sluice.toml: ") && error.ends_with(expected), "{error}");
    }
    let error = refusal(&ServeArgs::default(), &[("SLUICE_NODEID", "3")]);
    assert_eq!(error, "the environment variable SLUICE_NODEID is not a setting; did you mean 'SLUICE_NODE_ID'?");
}

#[test]
fn variables_of_the_tests_and_of_other_programs_are_no_settings() {
    let others = [("SLUICE_LOG", "debug"), ("SLUICE_BIN", "x"), ("SLUICE_TESTS_WORK", "y"), ("PATH", "z")];
    assert!(Settings::read(&ServeArgs::default(), env(&others)).is_ok());
}

#[test]
fn what_kubernetes_says_of_a_service_called_sluice_is_passed_over_and_told() {
    let of_services = [
        ("SLUICE_SERVICE_HOST", "10.96.0.7"),
        ("SLUICE_SERVICE_PORT", "9092"),
        ("SLUICE_SERVICE_PORT_HTTP", "8082"),
        ("SLUICE_PORT", "tcp://10.96.0.7:9092"),
        ("SLUICE_PORT_9092_TCP", "tcp://10.96.0.7:9092"),
        ("SLUICE_PORT_9092_TCP_PROTO", "tcp"),
        ("SLUICE_PORT_9092_TCP_PORT", "9092"),
        ("SLUICE_PORT_9092_TCP_ADDR", "10.96.0.7"),
        ("SLUICE_HTTP_PORT_8082_UDP_ADDR", "10.96.0.8"),
        ("SLUICE_KAFKA_BOOTSTRAP_SERVICE_HOST", "10.96.0.9"),
    ];
    let settings = Settings::read(&ServeArgs::default(), env(&of_services)).unwrap();
    assert_eq!(settings.of_services(), of_services.map(|(name, _)| name));
    assert_eq!(settings.into_config().unwrap().broker, BrokerConfig::default());
    for misspelt in
        [("SLUICE_PORT", "9092"), ("SLUICE_PORT_X_TCP", "1"), ("SLUICE_SERVICE", "x"), ("SLUICE_KAFKA_PORT", "9092")]
    {
        assert!(refusal(&ServeArgs::default(), &[misspelt]).contains("is not a setting"), "{misspelt:?}");
    }
}

#[test]
fn a_value_that_cannot_be_is_refused_with_where_it_stands() {
    for (text, expected) in [
        ("node_id = 'one'\n", "node_id: it must be a whole number from 0 to 2147483647, not \"one\""),
        ("node_id = -1\n", "not -1"),
        ("num_partitions = 0\n", "num_partitions: it must be a whole number from 1 to 10000, not 0"),
        ("auto_create_topics = 1\n", "must be true or false, not 1"),
        ("data_dir = ''\n", "data_dir: it must be a text"),
        ("kafka = 'localhost:1'\n", "'kafka' is not a setting; did you mean 'kafka.listen'?"),
        ("[http]\nallowed_origins = ['*']\n", "http.allowed_origins: '*'"),
        ("[http]\nrequest_bytes_max = 2000\n", "http.request_bytes_max: 2000"),
        ("[http]\nlisten = []\n", "http.listen: name at least one"),
        ("[kafka]\nlisten = []\n", "name at least one ADDR:PORT"),
        ("[kafka]\nlisten = ['nowhere']\n", "kafka.listen: 'nowhere' is not ADDR:PORT: there is no port"),
        ("node_id = 1\nnode_id = 2\n", ":2: duplicate key"),
        ("group_min_session_timeout_ms = 2000000\n", "is more than group_max_session_timeout_ms"),
    ] {
        let (_dir, args) = file(text);
        let error = refusal(&args, &[]);
        assert!(error.contains(expected), "{error}");
    }
    assert!(refusal(&ServeArgs::default(), &[("SLUICE_NODE_ID", "x")]).starts_with("SLUICE_NODE_ID: it must be"));
    assert!(refusal(&ServeArgs::default(), &[("SLUICE_KAFKA", "x")]).starts_with("SLUICE_KAFKA: 'x' is not ADDR:PORT"));
    let missing = ServeArgs { config: Some("/nowhere/sluice.toml".into()), ..ServeArgs::default() };
    assert!(refusal(&missing, &[]).contains("/nowhere/sluice.toml cannot be read"));
}

#[test]
fn a_listener_beyond_this_machine_needs_a_word() {
    for pair in [("SLUICE_KAFKA", "0.0.0.0:9092"), ("SLUICE_HTTP", "[::]:8082"), ("SLUICE_HTTP", "broker:8082")] {
        let error = refusal(&ServeArgs::default(), &[pair]);
        assert!(error.contains(pair.1) && error.contains("--allow-anonymous"), "{error}");
        let allowed = env(&[pair, ("SLUICE_ALLOW_ANONYMOUS", "true")]);
        assert!(Settings::read(&ServeArgs::default(), allowed).unwrap().into_config().is_ok());
    }
}
