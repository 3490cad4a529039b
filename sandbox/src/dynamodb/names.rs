//! Tables may be named by their ARN wherever a name fits; the engine knows plain names only.

use std::borrow::Cow;

use serde_json::Value;

use super::Place;
use crate::answer::Refusal;

/// The same request with plain table names. ARNs of other accounts and regions are refused: there
/// are no resource policies here that could share a table.
pub(super) fn plain<'a>(body: &'a str, place: &Place) -> Result<Cow<'a, str>, Refusal> {
    if !body.contains("\"arn:") {
        return Ok(Cow::Borrowed(body));
    }
    let Ok(mut request) = serde_json::from_str::<Value>(body) else {
        return Ok(Cow::Borrowed(body));
    };
    let mut changed = rename(&mut request, place)?;
    for item in request.get_mut("TransactItems").and_then(Value::as_array_mut).into_iter().flatten()
    {
        for act in item.as_object_mut().into_iter().flat_map(serde_json::Map::values_mut) {
            changed |= rename(act, place)?;
        }
    }
    if let Some(Value::Object(requests)) = request.get_mut("RequestItems")
        && requests.keys().any(|name| name.starts_with("arn:"))
    {
        let renamed: Result<_, Refusal> = std::mem::take(requests)
            .into_iter()
            .map(|(name, asked)| Ok((table_of(&name, place)?.unwrap_or(name), asked)))
            .collect();
        *requests = renamed?;
        changed = true;
    }
    Ok(if changed { Cow::Owned(request.to_string()) } else { Cow::Borrowed(body) })
}

fn rename(holder: &mut Value, place: &Place) -> Result<bool, Refusal> {
    let Some(Value::String(name)) = holder.get_mut("TableName") else { return Ok(false) };
    match table_of(name, place)? {
        Some(table) => {
            *name = table;
            Ok(true)
        }
        None => Ok(false),
    }
}

/// The table of an ARN; `None` for what is no ARN of a table.
fn table_of(name: &str, place: &Place) -> Result<Option<String>, Refusal> {
    let fields: Vec<&str> = name.splitn(6, ':').collect();
    let ["arn", _, "dynamodb", region, account, resource] = fields.as_slice() else {
        return Ok(None);
    };
    let Some(table) = resource.strip_prefix("table/") else { return Ok(None) };
    if *region != place.region {
        let text =
            format!("Region in the ARN does not match: '{region}' is not '{}'", place.region);
        return Err(Refusal::new(400, "ValidationException", text));
    }
    if *account != place.account {
        let text = format!(
            "no resource-based policy of {name} allows account {} to use it",
            place.account
        );
        return Err(Refusal::new(400, "AccessDeniedException", text));
    }
    Ok(Some(table.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Result<String, String> {
        let place = Place::new("111122223333", "us-east-1");
        plain(body, &place).map(Cow::into_owned).map_err(|refusal| refusal.code)
    }

    #[test]
    fn arns_of_own_tables_become_names() {
        for (body, wanted) in [
            (
                r#"{"TableName":"arn:aws:dynamodb:us-east-1:111122223333:table/t"}"#,
                r#"{"TableName":"t"}"#,
            ),
            (
                r#"{"RequestItems":{"arn:aws:dynamodb:us-east-1:111122223333:table/t":{"Keys":[]}}}"#,
                r#"{"RequestItems":{"t":{"Keys":[]}}}"#,
            ),
            (
                r#"{"TransactItems":[{"Get":{"TableName":"arn:aws:dynamodb:us-east-1:111122223333:table/t"}}]}"#,
                r#"{"TransactItems":[{"Get":{"TableName":"t"}}]}"#,
            ),
            (r#"{"TableName":"t"}"#, r#"{"TableName":"t"}"#),
            (
                r#"{"Item":{"a":{"S":"arn:aws:x"}},"TableName":"t"}"#,
                r#"{"Item":{"a":{"S":"arn:aws:x"}},"TableName":"t"}"#,
            ),
        ] {
            assert_eq!(read(body).as_deref(), Ok(wanted));
        }
    }

    #[test]
    fn arns_of_others_are_refused() {
        let other = r#"{"TableName":"arn:aws:dynamodb:us-east-1:444455556666:table/t"}"#;
        assert_eq!(read(other), Err("AccessDeniedException".to_owned()));
        let elsewhere = r#"{"TableName":"arn:aws:dynamodb:eu-west-1:111122223333:table/t"}"#;
        assert_eq!(read(elsewhere), Err("ValidationException".to_owned()));
    }
}
