//! From the words of a command line to what is to be called.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{Failure, shorthand};

/// A command line, taken apart.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Command {
    /// `dynamodb`, `dynamodbstreams`, `sts`, `s3`.
    pub service: String,
    /// `put-item`, `ls`, …
    pub verb: String,
    /// Words without an option.
    pub places: Vec<String>,
    /// `--region`, `--endpoint-url`, `--ca-bundle`.
    pub globals: BTreeMap<String, String>,
    /// All other options with the words after them.
    pub options: Vec<(String, Vec<String>)>,
}

const GLOBALS: [&str; 6] =
    ["region", "endpoint-url", "ca-bundle", "output", "cli-connect-timeout", "cli-read-timeout"];
const IGNORED: [&str; 3] = ["no-cli-pager", "no-paginate", "no-progress"];
const USAGE: &str = "usage: awslite [--region R] [--endpoint-url URL] [--ca-bundle FILE] \
    <dynamodb|dynamodbstreams|sts|s3> <operation> [--option value ...]";

impl Command {
    /// Takes a command line apart.
    pub fn read(words: impl IntoIterator<Item = String>) -> Result<Self, Failure> {
        let mut command = Self::default();
        let mut words = words.into_iter().peekable();
        let mut places = Vec::new();
        while let Some(word) = words.next() {
            let Some(option) = word.strip_prefix("--").filter(|option| !option.is_empty()) else {
                places.push(word);
                continue;
            };
            let (name, inline) = match option.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (option, None),
            };
            if IGNORED.contains(&name) {
                continue;
            }
            if GLOBALS.contains(&name) {
                let value = inline
                    .or_else(|| words.next())
                    .ok_or_else(|| Failure::Usage(format!("--{name}: expected one argument")))?;
                command.globals.insert(name.to_owned(), value);
                continue;
            }
            // Words that follow belong to the option, but not before service and verb are known.
            let takes_words = places.len() >= 2 && inline.is_none() && !is_flag(name);
            let mut values: Vec<String> = inline.into_iter().collect();
            while takes_words && let Some(next) = words.next_if(|next| !next.starts_with("--")) {
                values.push(next);
            }
            command.options.push((name.to_owned(), values));
        }
        let mut places = places.into_iter();
        (command.service, command.verb) = match (places.next(), places.next()) {
            (Some(service), Some(verb)) => (service, verb),
            _ => return Err(Failure::Usage(USAGE.to_owned())),
        };
        command.places = places.collect();
        if command.globals.get("output").is_some_and(|output| output != "json") {
            return Err(Failure::Usage("--output: only json is known here".to_owned()));
        }
        Ok(command)
    }

    /// The operation: `put-item` is `PutItem`.
    pub fn operation(&self) -> String {
        pascal(&self.verb)
    }

    /// The parameters of the operation.
    pub fn parameters(&self) -> Result<Map<String, Value>, Failure> {
        if let Some(stray) = self.places.first() {
            return Err(Failure::Usage(format!("Unknown options: {stray}")));
        }
        let mut parameters = Map::new();
        for (name, words) in &self.options {
            match (name.as_str(), name.strip_prefix("no-").filter(|_| words.is_empty())) {
                ("query", _) => return Err(Failure::Usage("--query is not known here".to_owned())),
                ("cli-input-json", _) => match shorthand::value("CliInputJson", words)? {
                    Value::Object(all) => parameters.extend(all),
                    _ => {
                        return Err(Failure::Usage(
                            "--cli-input-json: expected an object".to_owned(),
                        ));
                    }
                },
                (_, Some(name)) => drop(parameters.insert(pascal(name), Value::Bool(false))),
                (name, None) => {
                    let name = pascal(name);
                    let value = shorthand::value(&name, words)?;
                    parameters.insert(name, value);
                }
            }
        }
        Ok(parameters)
    }
}

/// Options that never take a value.
fn is_flag(name: &str) -> bool {
    matches!(
        name,
        "consistent-read" | "scan-index-forward" | "recursive" | "quiet" | "only-show-errors"
    ) || name.starts_with("no-")
}

/// `table-name` is `TableName`.
fn pascal(kebab: &str) -> String {
    let part = |part: &str| match part {
        // Where AWS's own names keep their capitals.
        "sse" => "SSE".to_owned(),
        _ => {
            let mut letters = part.chars();
            letters
                .next()
                .map(|first| first.to_ascii_uppercase().to_string() + letters.as_str())
                .unwrap_or_default()
        }
    };
    kebab.split('-').map(part).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(line: &str) -> Command {
        Command::read(line.split(' ').map(str::to_owned)).unwrap()
    }

    #[test]
    fn command_lines_become_operations() {
        let command = read(
            "dynamodb put-item --table-name Music --item {\"a\":{\"S\":\"x\"}} --region eu-west-1",
        );
        assert_eq!(command.service, "dynamodb");
        assert_eq!(command.operation(), "PutItem");
        assert_eq!(command.globals["region"], "eu-west-1");
        let wanted = json!({"TableName": "Music", "Item": {"a": {"S": "x"}}});
        assert_eq!(Value::Object(command.parameters().unwrap()), wanted);
    }

    #[test]
    fn globals_may_stand_before_the_service() {
        let command = read(
            "--region us-east-1 --endpoint-url=http://localhost:1 dynamodb list-tables --limit 3",
        );
        assert_eq!(command.globals["endpoint-url"], "http://localhost:1");
        assert_eq!(Value::Object(command.parameters().unwrap()), json!({"Limit": 3}));
    }

    #[test]
    fn flags_take_no_words() {
        let command = read("dynamodb query --consistent-read --no-scan-index-forward --limit 1");
        let wanted = json!({"ConsistentRead": true, "ScanIndexForward": false, "Limit": 1});
        assert_eq!(Value::Object(command.parameters().unwrap()), wanted);
        let command = read("s3 ls --recursive s3://photos");
        assert_eq!(command.places, ["s3://photos"]);
    }

    #[test]
    fn lists_take_words_up_to_the_next_option() {
        let command = read(
            "dynamodb create-table --key-schema AttributeName=a,KeyType=HASH AttributeName=b,KeyType=RANGE --table-name t-1",
        );
        let parameters = command.parameters().unwrap();
        assert_eq!(parameters["KeySchema"].as_array().unwrap().len(), 2);
        assert_eq!(parameters["TableName"], "t-1");
    }

    #[test]
    fn half_a_command_is_refused() {
        for line in ["", "dynamodb", "--region", "dynamodb list-tables --output text"] {
            assert!(Command::read(line.split_whitespace().map(str::to_owned)).is_err(), "{line}");
        }
    }
}
