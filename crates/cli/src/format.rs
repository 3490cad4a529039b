//! `--format`: text for people, JSON (four spaces, as the original) and YAML for programs.

use clap::ValueEnum;
use serde::Serialize;

use crate::failure::{Failure, OrFail as _};

/// Shapes that most commands offer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// Indented JSON.
    Json,
    /// YAML.
    Yaml,
}

/// Indented JSON.
///
/// # Errors
/// When the value has no JSON form.
pub fn json(value: &impl Serialize) -> Result<String, Failure> {
    let mut bytes = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, formatter);
    value.serialize(&mut serializer).or_fail("could not write JSON")?;
    String::from_utf8(bytes).or_fail("could not write JSON")
}

/// YAML.
///
/// # Errors
/// When the value has no YAML form.
pub fn yaml(value: &impl Serialize) -> Result<String, Failure> {
    api::yaml::write(value).or_fail("could not write YAML")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_indented_by_four() {
        let text = json(&serde_json::json!({"active": {"username": "alice"}})).unwrap();
        assert_eq!(text, "{\n    \"active\": {\n        \"username\": \"alice\"\n    }\n}");
    }
}
