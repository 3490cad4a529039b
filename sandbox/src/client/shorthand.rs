//! Values on the command line: JSON, files, AWS's shorthand, or plain text.
//!
//! <https://docs.aws.amazon.com/cli/latest/userguide/cli-usage-shorthand.html>

use serde_json::{Map, Value};

use super::Failure;

/// Parameters that are lists even when one element is given.
const LISTS: [&str; 11] = [
    "AttributeDefinitions",
    "KeySchema",
    "Tags",
    "TagKeys",
    "GlobalSecondaryIndexes",
    "LocalSecondaryIndexes",
    "GlobalSecondaryIndexUpdates",
    "AttributesToGet",
    "Statements",
    "TransactItems",
    "TransitiveTagKeys",
];

/// How parameters end that are text even when they look like numbers.
const TEXTS: [&str; 9] =
    ["Name", "Arn", "Id", "Expression", "Number", "Iterator", "Token", "Statement", "Policy"];

/// The value of a parameter from the words that follow its option.
pub fn value(parameter: &str, words: &[String]) -> Result<Value, Failure> {
    let is_list = LISTS.contains(&parameter);
    match words {
        [] => Ok(Value::Bool(true)),
        [word] => {
            let value = one(parameter, word)?;
            Ok(if is_list && !value.is_array() { Value::Array(vec![value]) } else { value })
        }
        several => several
            .iter()
            .map(|word| one(parameter, word))
            .collect::<Result<Vec<_>, _>>()
            .map(Value::Array),
    }
}

fn one(parameter: &str, word: &str) -> Result<Value, Failure> {
    if let Some(path) = word.strip_prefix("file://") {
        let text = std::fs::read_to_string(path).map_err(|error| {
            Failure::Usage(format!(
                "Error parsing parameter: Unable to load paramfile {word}: {error}"
            ))
        })?;
        return one(parameter, text.trim());
    }
    if word.starts_with(['{', '[']) && !TEXTS.iter().any(|end| parameter.ends_with(end)) {
        return serde_json::from_str(word).map_err(|error| {
            Failure::Usage(format!("Error parsing parameter '{parameter}': Invalid JSON: {error}"))
        });
    }
    if TEXTS.iter().any(|end| parameter.ends_with(end)) {
        return Ok(Value::String(word.to_owned()));
    }
    if let Ok(value @ (Value::Number(_) | Value::Bool(_))) = serde_json::from_str(word) {
        return Ok(value);
    }
    if is_shorthand(word) {
        let mut left = word;
        let value = Value::Object(pairs(&mut left, None)?);
        return if left.is_empty() { Ok(value) } else { Err(broken(word)) };
    }
    Ok(Value::String(word.to_owned()))
}

fn is_shorthand(word: &str) -> bool {
    let Some((name, _)) = word.split_once('=') else { return false };
    name.starts_with(|first: char| first.is_ascii_uppercase())
        && name.chars().all(|letter| letter.is_ascii_alphanumeric())
}

fn broken(text: &str) -> Failure {
    Failure::Usage(format!("Error parsing parameter: shorthand is broken at `{text}`"))
}

/// `Name=value,Name=value` up to the end or to a closing brace.
fn pairs(left: &mut &str, end: Option<char>) -> Result<Map<String, Value>, Failure> {
    let mut map = Map::new();
    loop {
        let (name, rest) = left.split_once('=').ok_or_else(|| broken(left))?;
        *left = rest;
        map.insert(name.trim().to_owned(), term(left)?);
        match left.chars().next() {
            Some(',') => *left = left.get(1..).unwrap_or_default(),
            next if next == end => return Ok(map),
            _ => return Err(broken(left)),
        }
    }
}

fn term(left: &mut &str) -> Result<Value, Failure> {
    if let Some(rest) = left.strip_prefix('{') {
        *left = rest;
        let map = pairs(left, Some('}'))?;
        *left = left.get(1..).unwrap_or_default();
        return Ok(Value::Object(map));
    }
    if let Some(rest) = left.strip_prefix('[') {
        *left = rest;
        return list(left);
    }
    let (text, rest) = match left.find([',', '}', ']']) {
        Some(at) => left.split_at(at),
        None => (*left, ""),
    };
    *left = rest;
    Ok(match serde_json::from_str(text) {
        Ok(value @ (Value::Number(_) | Value::Bool(_))) => value,
        _ => Value::String(text.trim_matches('"').to_owned()),
    })
}

fn list(left: &mut &str) -> Result<Value, Failure> {
    let mut items = Vec::new();
    loop {
        if let Some(rest) = left.strip_prefix(']') {
            *left = rest;
            return Ok(Value::Array(items));
        }
        items.push(term(left)?);
        *left = left.strip_prefix(',').unwrap_or(left);
        if left.is_empty() {
            return Err(broken("the end of a list"));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_read_as_the_aws_cli_reads_them() {
        for (parameter, words, wanted) in [
            ("TableName", vec!["123"], json!("123")),
            ("Limit", vec!["10"], json!(10)),
            ("ConsistentRead", vec![], json!(true)),
            ("Item", vec![r#"{"pk":{"S":"a"}}"#], json!({"pk": {"S": "a"}})),
            ("BillingMode", vec!["PAY_PER_REQUEST"], json!("PAY_PER_REQUEST")),
            (
                "AttributeDefinitions",
                vec!["AttributeName=pk,AttributeType=S"],
                json!([{"AttributeName": "pk", "AttributeType": "S"}]),
            ),
            (
                "KeySchema",
                vec!["AttributeName=a,KeyType=HASH", "AttributeName=b,KeyType=RANGE"],
                json!([{"AttributeName": "a", "KeyType": "HASH"}, {"AttributeName": "b", "KeyType": "RANGE"}]),
            ),
            (
                "ProvisionedThroughput",
                vec!["ReadCapacityUnits=5,WriteCapacityUnits=5"],
                json!({"ReadCapacityUnits": 5, "WriteCapacityUnits": 5}),
            ),
            (
                "StreamSpecification",
                vec!["StreamEnabled=true,StreamViewType=NEW_IMAGE"],
                json!({"StreamEnabled": true, "StreamViewType": "NEW_IMAGE"}),
            ),
            (
                "GlobalSecondaryIndexes",
                vec![
                    "IndexName=i,KeySchema=[{AttributeName=a,KeyType=HASH}],Projection={ProjectionType=ALL}",
                ],
                json!([{"IndexName": "i", "KeySchema": [{"AttributeName": "a", "KeyType": "HASH"}], "Projection": {"ProjectionType": "ALL"}}]),
            ),
            ("KeyConditionExpression", vec!["pk = :a"], json!("pk = :a")),
            (
                "Statement",
                vec!["SELECT * FROM t WHERE pk='a'"],
                json!("SELECT * FROM t WHERE pk='a'"),
            ),
        ] {
            let words: Vec<String> = words.into_iter().map(str::to_owned).collect();
            assert_eq!(value(parameter, &words).unwrap(), wanted, "{parameter} {words:?}");
        }
    }

    #[test]
    fn broken_values_are_refused() {
        for word in ["{", r#"{"a":}"#, "A=[b", "A={B=c", "A=b,", "file:///nowhere/at/all"] {
            assert!(value("Item", &[word.to_owned()]).is_err(), "{word}");
        }
    }
}
