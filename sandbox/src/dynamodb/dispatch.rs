//! From an operation's name and a JSON text to an engine call and a JSON text.

use dynoxide::{Database, DynoxideError};
use serde::Serialize;
use serde::de::DeserializeOwned;

type Outcome = Result<String, DynoxideError>;

/// One line for each operation: its name, and the engine's method.
macro_rules! operations {
    ($($name:literal => $method:ident,)+) => {
        /// Every operation of DynamoDB and its streams that the engine has.
        #[cfg(test)]
        pub const OPERATIONS: &[&str] = &[$($name),+];

        /// Runs an operation; `None` when the engine does not have it.
        pub fn run(engine: &Database, operation: &str, body: &str) -> Option<Outcome> {
            match operation {
                $($name => Some(read(body).and_then(|request| engine.$method(request)).and_then(|answer| write(&answer))),)+
                _ => None,
            }
        }
    };
}

operations! {
    "BatchExecuteStatement" => batch_execute_statement,
    "BatchGetItem" => batch_get_item,
    "BatchWriteItem" => batch_write_item,
    "CreateTable" => create_table,
    "DeleteItem" => delete_item,
    "DeleteTable" => delete_table,
    "DescribeStream" => describe_stream,
    "DescribeTable" => describe_table,
    "DescribeTimeToLive" => describe_time_to_live,
    "ExecuteStatement" => execute_statement,
    "ExecuteTransaction" => execute_transaction,
    "GetItem" => get_item,
    "GetRecords" => get_records,
    "GetShardIterator" => get_shard_iterator,
    "ListStreams" => list_streams,
    "ListTables" => list_tables,
    "ListTagsOfResource" => list_tags_of_resource,
    "PutItem" => put_item,
    "Query" => query,
    "Scan" => scan,
    "TagResource" => tag_resource,
    "TransactGetItems" => transact_get_items,
    "TransactWriteItems" => transact_write_items,
    "UntagResource" => untag_resource,
    "UpdateItem" => update_item,
    "UpdateTable" => update_table,
    "UpdateTimeToLive" => update_time_to_live,
}

/// Whether an operation belongs to DynamoDB Streams and not to DynamoDB.
pub fn is_of_streams(operation: &str) -> bool {
    matches!(operation, "DescribeStream" | "GetRecords" | "GetShardIterator" | "ListStreams")
}

/// Writes an answer with its members sorted, and the tables of a call over several: the engine keeps
/// items in hash maps, whose order differs from call to call, and equal calls are to give equal bytes.
fn write<T: Serialize>(answer: &T) -> Outcome {
    let mut sorted = serde_json::to_value(answer)
        .map_err(|error| DynoxideError::InternalServerError(error.to_string()))?;
    let consumed = sorted.get_mut("ConsumedCapacity").and_then(serde_json::Value::as_array_mut);
    if let Some(tables) = consumed {
        tables.sort_by_key(|table| table["TableName"].as_str().unwrap_or_default().to_owned());
    }
    Ok(sorted.to_string())
}

fn read<T: DeserializeOwned>(body: &str) -> Result<T, DynoxideError> {
    serde_json::from_str(body).map_err(|error| unreadable(&error.to_string()))
}

/// The engine's readers mark what kind of error a value is; the marks are not for the wire.
fn unreadable(text: &str) -> DynoxideError {
    let text = text.split(" at line ").next().unwrap_or_default();
    for (mark, make) in [
        (
            "SERIALIZATION_AS_READ:",
            DynoxideError::SerializationException as fn(String) -> DynoxideError,
        ),
        ("VALIDATION_AS_READ:", DynoxideError::ValidationException),
        ("VALIDATION_REQUEST:", DynoxideError::EnvelopedValidation),
        ("SERIALIZATION:", DynoxideError::SerializationException),
        ("VALIDATION:", DynoxideError::ValidationException),
    ] {
        if let Some(rest) = text.strip_prefix(mark) {
            return make(rest.to_owned());
        }
    }
    if text.contains("empty AttributeValue") {
        let said =
            "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes";
        return DynoxideError::ValidationException(said.to_owned());
    }
    if ["missing field", "unknown variant", "invalid type: null", "Supplied AttributeValue"]
        .iter()
        .any(|part| text.contains(part))
    {
        return DynoxideError::ValidationException(text.to_owned());
    }
    DynoxideError::SerializationException(mistyped(text))
}

/// `invalid type: integer `23`, expected a string` in DynamoDB's words.
fn mistyped(text: &str) -> String {
    let Some((found, wanted)) =
        text.strip_prefix("invalid type: ").and_then(|rest| rest.split_once(", expected "))
    else {
        return text.to_owned();
    };
    let found = match found.split(' ').next().unwrap_or_default() {
        "integer" => "NUMBER_VALUE",
        "floating" => "DECIMAL_VALUE",
        "string" => "STRING_VALUE",
        "boolean" if found.contains("true") => "TRUE_VALUE",
        "boolean" => "FALSE_VALUE",
        "sequence" => return "Unrecognized collection type class java.util.ArrayList".to_owned(),
        _ => return "Start of structure or map found where not expected.".to_owned(),
    };
    let wanted = match wanted {
        "a string" | "string" => "String",
        "a boolean" => "Boolean",
        text if text.starts_with(['i', 'u', 'f']) => "Integer",
        _ => return "Unexpected field type".to_owned(),
    };
    format!("{found} cannot be converted to {wanted}")
}

/// The error as it goes on the wire: some validations of three operations come in an envelope.
pub fn on_the_wire(operation: &str, error: DynoxideError) -> (u16, String) {
    let error = match error {
        DynoxideError::EnvelopedValidation(text)
            if matches!(operation, "PutItem" | "UpdateItem" | "DeleteItem") =>
        {
            let prefix = "1 validation error detected: ";
            let text = if text.starts_with(prefix) { text } else { format!("{prefix}{text}") };
            DynoxideError::ValidationException(text)
        }
        DynoxideError::ConditionalCheckFailedException(text, Some(item))
            if operation == "ExecuteStatement" =>
        {
            DynoxideError::StatementConditionalCheckFailed(text, item)
        }
        other => other,
    };
    let sorted =
        serde_json::from_str::<serde_json::Value>(&error.to_json()).map(|value| value.to_string());
    (error.status_code(), sorted.unwrap_or_else(|_| error.to_json()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistyped_values_are_named_as_dynamodb_names_them() {
        let engine = Database::memory().unwrap();
        let error = run(&engine, "PutItem", r#"{"TableName":23,"Item":{}}"#).unwrap().unwrap_err();
        let (status, body) = on_the_wire("PutItem", error);
        assert_eq!(status, 400);
        assert!(body.contains("NUMBER_VALUE cannot be converted to String"), "{body}");
        assert!(body.contains("SerializationException"), "{body}");
    }

    #[test]
    fn no_operation_lets_a_mark_of_the_reader_out() {
        let engine = Database::memory().unwrap();
        let bodies = [
            "[]",
            "{}",
            r#"{"TableName":null}"#,
            r#"{"TableName":"abc","Item":{"a":{"N":"x"}}}"#,
            "1",
        ];
        for (operation, body) in OPERATIONS.iter().flat_map(|one| bodies.map(|body| (*one, body))) {
            let Err(error) = run(&engine, operation, body).unwrap() else { continue };
            let (_, text) = on_the_wire(operation, error);
            let marked = text.contains("VALIDATION:") || text.contains("_AS_READ");
            assert!(!marked, "{operation} {body}: {text}");
        }
    }

    #[test]
    fn equal_calls_give_equal_bytes() {
        let engine = Database::memory().unwrap();
        let create = r#"{"TableName":"t-1","AttributeDefinitions":[{"AttributeName":"pk","AttributeType":"S"}],"KeySchema":[{"AttributeName":"pk","KeyType":"HASH"}],"BillingMode":"PAY_PER_REQUEST"}"#;
        run(&engine, "CreateTable", create).unwrap().unwrap();
        let put = r#"{"TableName":"t-1","Item":{"pk":{"S":"a"},"b":{"N":"1"},"c":{"S":"x"},"d":{"BOOL":true},"e":{"M":{"x":{"S":"1"},"y":{"S":"2"},"z":{"S":"3"}}}}}"#;
        run(&engine, "PutItem", put).unwrap().unwrap();
        let get = r#"{"TableName":"t-1","Key":{"pk":{"S":"a"}}}"#;
        let one = run(&engine, "GetItem", get).unwrap().unwrap();
        for _ in 0..20 {
            assert_eq!(run(&engine, "GetItem", get).unwrap().unwrap(), one);
        }
    }

    #[test]
    fn capacity_of_several_tables_is_listed_by_their_names() {
        let engine = Database::memory().unwrap();
        for name in ["one", "two", "six", "ten"] {
            let create = format!(
                r#"{{"TableName":"{name}","AttributeDefinitions":[{{"AttributeName":"pk","AttributeType":"S"}}],"KeySchema":[{{"AttributeName":"pk","KeyType":"HASH"}}],"BillingMode":"PAY_PER_REQUEST"}}"#
            );
            run(&engine, "CreateTable", &create).unwrap().unwrap();
        }
        let gets = ["two", "ten", "one", "six"].map(|name| {
            format!(r#"{{"Get":{{"TableName":"{name}","Key":{{"pk":{{"S":"a"}}}}}}}}"#)
        });
        let call =
            format!(r#"{{"TransactItems":[{}],"ReturnConsumedCapacity":"TOTAL"}}"#, gets.join(","));
        for _ in 0..20 {
            let answer = run(&engine, "TransactGetItems", &call).unwrap().unwrap();
            let places = ["one", "six", "ten", "two"].map(|name| answer.find(name).unwrap());
            assert!(places.is_sorted(), "{answer}");
        }
    }
}
