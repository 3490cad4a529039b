//! The commands of the README and of docs/ are run: those that end by
//! themselves for real, in their order, on one cluster; the others as far as
//! their flags. The configuration files in docs/ are checked by `teleport`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::too_many_lines,
    reason = "a test that tells one story in one piece"
)]

use std::fs;

use testkit::cluster::{Cluster, PASSWORD, clean};
use testkit::places;
use testkit::process::{Said, run};
use testkit::sandbox::ACCOUNT;
use testkit::tsh::{Account, Tsh};

const PAGES: [&str; 7] = [
    "README.md",
    "docs/getting-started.md",
    "docs/configuration.md",
    "docs/audit.md",
    "docs/certificates.md",
    "docs/tools.md",
    "sandbox/README.md",
];

fn page(name: &str) -> String {
    fs::read_to_string(places::root().join(name)).unwrap()
}

/// Commands after `$ `, continued lines joined, comments dropped.
fn commands(text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut open = false;
    for line in text.lines() {
        let part = match line.strip_prefix("$ ") {
            Some(command) => {
                found.push(String::new());
                command
            }
            None if open => line.trim(),
            None => continue,
        };
        let part = part.split("   #").next().unwrap().trim_end();
        open = part.ends_with('\\');
        let last = found.last_mut().unwrap();
        last.push_str(part.trim_end_matches('\\'));
    }
    found
}

/// Fenced blocks of a language.
fn blocks<'a>(text: &'a str, language: &str) -> Vec<&'a str> {
    let fence = format!("```{language}\n");
    text.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

fn shell(tsh: &Tsh, script: &str, input: &str) -> Said {
    run(tsh.shell(script), input)
}

#[test]
fn every_command_of_the_docs_has_flags_that_exist() {
    let mut tried = 0;
    for name in PAGES {
        for command in commands(&page(name)) {
            let program = command.split_whitespace().next().unwrap_or_default().to_owned();
            if !["teleport", "tctl", "tsh"].contains(&program.as_str()) {
                continue;
            }
            let words = command.split(" | ").next().unwrap();
            // What follows `tsh aws` is the AWS CLI's.
            let words = if words.starts_with("tsh aws ") { "tsh aws" } else { words };
            let bin = places::binary(&program);
            let script = format!("PATH={}:$PATH; {words} --help", bin.parent().unwrap().display());
            let mut bash = clean("bash");
            bash.args(["-c", &script]);
            let said = run(bash, "");
            assert_eq!(said.code, 0, "{name}: `{command}`\n{}", said.stderr);
            tried += 1;
        }
    }
    assert!(tried >= 15, "only {tried} commands were found");
}

#[test]
fn the_getting_started_page_can_be_followed() {
    let cluster = Cluster::start();
    let tsh = cluster.tsh();
    let text = page("docs/getting-started.md");
    let role =
        blocks(&text, "yaml").into_iter().find(|block| block.contains("kind: role")).unwrap();
    let role = role.replace("123456789012", ACCOUNT);
    fs::write(tsh.home().join("aws-dynamodb-access.yaml"), role).unwrap();
    let mut done = Vec::new();
    for command in commands(&text) {
        let config = cluster.folder().join("teleport.yaml");
        let script = command
            .replace("tctl ", &format!("tctl --config {} ", config.display()))
            .replace("teleport.example.com", &cluster.proxy)
            .replace("tsh login", "tsh login --insecure");
        if ["teleport ", "systemctl "].iter().any(|other| command.starts_with(other)) {
            continue;
        }
        let said = shell(&tsh, &script, &format!("{PASSWORD}\n"));
        assert_eq!(said.code, 0, "`{command}`\n{}\n{}", said.stdout, said.stderr);
        if command.starts_with("tctl users add") {
            let link =
                said.stdout.split_whitespace().find(|word| word.contains("/web/invite/")).unwrap();
            let _ = Account::accept("alice", link, PASSWORD);
        }
        done.push(command);
    }
    assert!(done.iter().any(|command| command.starts_with("tsh aws dynamodb")), "{done:?}");
    for command in commands(&page("docs/audit.md")) {
        let config = cluster.folder().join("teleport.yaml");
        let script = command.replace("tctl ", &format!("tctl --config {} ", config.display()));
        let said = shell(&tsh, &script, "");
        assert_eq!(said.code, 0, "`{command}`\n{}\n{}", said.stdout, said.stderr);
    }
}

#[test]
fn the_configuration_files_of_the_docs_are_accepted() {
    let folder = tempfile::tempdir().unwrap();
    let mut checked = 0;
    for name in PAGES {
        for block in blocks(&page(name), "yaml").into_iter().filter(|b| b.contains("version: v3")) {
            let file = folder.path().join("teleport.yaml");
            fs::write(&file, block).unwrap();
            let mut command = clean(places::binary("teleport"));
            command.args(["configure", "--test"]).arg(&file);
            let _ = run(command, "").ok();
            checked += 1;
        }
    }
    assert!(checked >= 1);
    // And what `teleport configure` writes is accepted by itself, with the flags of the README.
    let file = folder.path().join("made.yaml");
    let mut command = clean(places::binary("teleport"));
    command.args([
        "configure",
        "--cluster-name=teleport.example.com",
        "--public-addr=teleport.example.com:443",
    ]);
    command.args(["--cert-file=/etc/teleport/web.pem", "--key-file=/etc/teleport/web.key", "-o"]);
    command.arg(format!("file://{}", file.display()));
    let _ = run(command, "").ok();
    let mut command = clean(places::binary("teleport"));
    command.args(["configure", "--test"]).arg(&file);
    assert!(run(command, "").ok().starts_with("OK"));
    // A wrong key is named with its line and the nearest known one.
    let text = fs::read_to_string(&file).unwrap().replace("web_listen_addr", "web_lisen_addr");
    fs::write(&file, text).unwrap();
    let mut command = clean(places::binary("teleport"));
    command.args(["configure", "--test"]).arg(&file);
    let said = run(command, "");
    assert!(said.failed().contains("did you mean `web_listen_addr`?"), "{}", said.stderr);
}

#[test]
fn the_demo_comes_to_its_end_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = clean(places::root().join("scripts/demo.sh"));
    command.arg("--once").env("TMPDIR", folder.path()).env("CARGO_TARGET_DIR", places::target());
    let said = run(command, "");
    for part in ["\"TableNames\"", "dynamodb:PutItem on causeway-demo-", "The audit log is whole"] {
        assert!(said.ok().contains(part), "no `{part}` in:\n{}\n{}", said.stdout, said.stderr);
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "the working folder is removed");
}
