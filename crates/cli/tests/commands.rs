//! The two binaries as a shell sees them: exit codes, and what goes to which stream.

#![expect(clippy::unwrap_used, reason = "helpers of tests; a failure here fails the test")]

use std::io::Read as _;
use std::process::{Command, Output, Stdio};

/// A command with an empty home and nothing else of this process's environment.
fn command(binary: &str, home: &std::path::Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(binary);
    command.args(arguments).env_clear().env("HOME", home).env("RUST_BACKTRACE", "1");
    command.env("TELEPORT_CONFIG_FILE", home.join("absent.yaml")).stdin(Stdio::null());
    command
}

fn tsh(arguments: &[&str]) -> Output {
    let home = tempfile::tempdir().unwrap();
    command(env!("CARGO_BIN_EXE_tsh"), home.path(), arguments).output().unwrap()
}

fn tctl(arguments: &[&str]) -> Output {
    let home = tempfile::tempdir().unwrap();
    command(env!("CARGO_BIN_EXE_tctl"), home.path(), arguments).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn a_failure_is_one_error_and_one_hint_without_a_backtrace() {
    let output = tsh(&["status"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty());
    assert_eq!(
        stderr(&output),
        "ERROR: Not logged in.\n\nhint: run `tsh login --proxy=<host> --user=<name>`\n"
    );
}

#[test]
fn misuse_has_its_own_exit_code() {
    for arguments in [
        &["nonsense"][..],
        &["login", "--ttl", "soon"],
        &["proxy", "aws", "-f", "nonsense"],
        &["proxy", "aws", "-e", "-f", "athena-jdbc"],
        &["logout", "unexpected"],
        &["login"],
    ] {
        let output = tsh(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", stderr(&output));
    }
    for arguments in [&["tokens", "add"][..], &["users", "add", "x"], &["get"], &["nonsense"]] {
        assert_eq!(tctl(arguments).status.code(), Some(2), "{arguments:?}");
    }
}

#[test]
fn settings_that_are_not_there_are_named() {
    let output = tctl(&["status"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("absent.yaml does not exist"), "{}", stderr(&output));
}

#[test]
fn a_reader_that_has_enough_ends_the_command_with_success() {
    let home = tempfile::tempdir().unwrap();
    let mut child = command(env!("CARGO_BIN_EXE_tsh"), home.path(), &["completion", "zsh"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(said, "");
}

#[test]
fn versions_and_completions_are_data() {
    for (output, start) in [
        (tsh(&["version", "--client"]), "Teleport v"),
        (tctl(&["version"]), "Teleport v"),
        (tsh(&["completion", "bash"]), "_tsh()"),
        (tctl(&["completion", "fish"]), "# Print an optspec"),
    ] {
        assert_eq!(output.status.code(), Some(0));
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.starts_with(start), "{}", text.lines().next().unwrap());
    }
}

#[test]
fn without_a_terminal_or_answers_login_says_what_is_missing() {
    let output = tsh(&["login", "--proxy=127.0.0.1:1", "--user=alice"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).starts_with("ERROR: cannot connect to 127.0.0.1:1: "));
}
