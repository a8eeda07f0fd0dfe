//! Settings from flags, environment and file, as the binary takes them.

use crate::process::{one_line, run, sluice};

#[test]
fn what_cannot_be_meant_is_one_line_and_exit_code_2() {
    let dir = tempfile::tempdir().unwrap();
    for (args, expected) in [
        (&["serve", "--colour"][..], "'--colour'"),
        (&["server"], "'server'"),
        (&["serve", "--kafka"], "--kafka"),
        (&["serve", "--kafka", "nowhere"], "--kafka: 'nowhere' is not ADDR:PORT"),
        (&["serve", "--http", "localhost:http"], "--http: 'localhost:http' is not ADDR:PORT"),
        (&["serve", "--config", "none.toml"], "none.toml cannot be read"),
        (&["serve", "--allow-anonymous=perhaps"], "perhaps"),
        (&["serve", "--kafka", "0.0.0.0:0"], "--allow-anonymous"),
    ] {
        let complaint = one_line(&run(dir.path(), args));
        assert!(complaint.contains(expected), "{complaint}");
    }
    assert!(!dir.path().join("sluice-data").exists());
}

#[test]
fn the_file_of_the_working_folder_is_read_and_its_mistakes_are_named() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("sluice.toml"), "node_id = 4\n").unwrap();
    let output = run(dir.path(), &["serve", "--print-config"]);
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && printed.contains("\nnode_id = 4\n"), "{printed}");

    std::fs::write(dir.path().join("sluice.toml"), "nodeid = 4\n").unwrap();
    let complaint = one_line(&run(dir.path(), &["serve"]));
    assert_eq!(complaint, "sluice: sluice.toml: 'nodeid' is not a setting; did you mean 'node_id'?\n");
}

#[test]
fn flags_environment_and_file_say_the_same_things() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("other.toml"), "data_dir = 'by-file'\n[kafka]\nlisten = ['localhost:7']\n").unwrap();
    let printed = |args: &[&str], env: &[(&str, &str)]| {
        let output = sluice(dir.path(), args).envs(env.iter().copied()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let by_file = printed(&["serve", "--print-config"], &[("SLUICE_CONFIG", "other.toml")]);
    assert!(by_file.contains("\ndata_dir = \"by-file\"\n") && by_file.contains("\nlisten = [\"localhost:7\"]\n"));
    let by_env = printed(
        &["serve", "--print-config", "--config", "other.toml"],
        &[("SLUICE_DATA_DIR", "by-env"), ("SLUICE_KAFKA", "localhost:8,localhost:9")],
    );
    assert!(by_env.contains("\ndata_dir = \"by-env\"\n"), "{by_env}");
    assert!(by_env.contains("\nlisten = [\"localhost:8\", \"localhost:9\"]\n"), "{by_env}");
    let by_flag = printed(
        &["serve", "--print-config", "--data-dir", "by-flag", "--kafka", "localhost:10", "--kafka", "[::1]:11"],
        &[("SLUICE_DATA_DIR", "by-env"), ("SLUICE_KAFKA", "localhost:8")],
    );
    assert!(by_flag.contains("\ndata_dir = \"by-flag\"\n"), "{by_flag}");
    assert!(by_flag.contains("\nlisten = [\"localhost:10\", \"[::1]:11\"]\n"), "{by_flag}");
}

#[test]
fn a_misspelt_variable_or_log_filter_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let refused = |name: &str, text: &str| one_line(&sluice(dir.path(), &["serve"]).env(name, text).output().unwrap());
    assert!(refused("SLUICE_DATADIR", "x").contains("did you mean 'SLUICE_DATA_DIR'?"));
    assert!(refused("SLUICE_NODE_ID", "-1").contains("SLUICE_NODE_ID: it must be a whole number"));
    assert!(refused("SLUICE_LOG", "info,=").contains("SLUICE_LOG: 'info,=' is not a log filter"));
}

#[test]
fn help_shows_examples_and_no_command_shows_help() {
    let dir = tempfile::tempdir().unwrap();
    let help = run(dir.path(), &["serve", "--help"]);
    let text = String::from_utf8(help.stdout).unwrap();
    assert!(help.status.success());
    for word in ["Examples:", "--kafka <ADDR:PORT[=HOST:PORT]>", "--data-dir", "SLUICE_", "sluice.toml"] {
        assert!(text.contains(word), "{word}: {text}");
    }
    let bare = run(dir.path(), &[]);
    assert_eq!(bare.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&bare.stderr).contains("serve"));
    assert!(run(dir.path(), &["--version"]).status.success());
}
