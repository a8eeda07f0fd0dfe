//! Runs the binary in a folder of its own, with nothing of this process's settings.

use std::path::Path;
use std::process::{Command, Output};

/// The binary, to be run in `dir`.
pub(crate) fn sluice(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sluice"));
    command.args(args).current_dir(dir);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("SLUICE_") {
            command.env_remove(name);
        }
    }
    command
}

/// Runs it to its end.
pub(crate) fn run(dir: &Path, args: &[&str]) -> Output {
    sluice(dir, args).output().expect("the binary of this build runs")
}

/// It ended with code 2 and one line on standard error, which is returned; nothing on standard output.
pub(crate) fn one_line(output: &Output) -> String {
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{complaint}");
    assert!(output.stdout.is_empty(), "{}", String::from_utf8_lossy(&output.stdout));
    assert!(complaint.starts_with("sluice: ") && complaint.ends_with('\n'), "{complaint:?}");
    assert_eq!(complaint.lines().count(), 1, "{complaint}");
    complaint
}
