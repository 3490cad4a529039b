//! Looks for AWS's secrets where they must not be.

use std::path::Path;

use serde_json::Value;

use crate::cluster::Cluster;

/// Fails if any secret that the sandbox ever gave out is in `seen` or in any file of the cluster (logs, stores, homes of
/// users) but the sandbox's own.
pub fn assert_unseen(cluster: &Cluster, seen: &[u8]) {
    let secrets = secrets(&cluster.sandbox.control("secrets"));
    assert!(secrets.len() >= 3, "a key, and a key and token of a session: {}", secrets.len());
    assert_none_of(&secrets, cluster, seen);
}

/// The same for texts that the caller knows of.
pub fn assert_none_of(secrets: &[String], cluster: &Cluster, seen: &[u8]) {
    let output = [("output".to_owned(), seen.to_vec())];
    for (what, text) in output.into_iter().chain(files(cluster.folder())) {
        for secret in secrets {
            let found = text.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "an AWS secret was found in {what}");
        }
    }
}

fn secrets(answer: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let mut queue = vec![answer];
    while let Some(value) = queue.pop() {
        match value {
            Value::String(text) if text.len() >= 20 => found.push(text.clone()),
            Value::Array(items) => queue.extend(items),
            Value::Object(fields) => queue.extend(
                fields
                    .iter()
                    .filter(|(name, _)| !name.to_lowercase().contains("id"))
                    .map(|(_, value)| value),
            ),
            _ => {}
        }
    }
    found.retain(|text| !text.starts_with("arn:"));
    found
}

fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if name == "aws-keys.env" || name.starts_with("sandbox") {
                continue;
            }
            if path.is_file() {
                found.push((path.display().to_string(), std::fs::read(&path).unwrap()));
            }
        }
    }
    assert!(found.len() > 10);
    found
}
