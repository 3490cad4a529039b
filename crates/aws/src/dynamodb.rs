//! What a DynamoDB or DynamoDB Streams request touches.
//!
//! One pass over the JSON body keeps tables and indexes; item values and keys are skipped unread.
//!
//! Source: <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_Operations.html>.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde::de::IgnoredAny;
use thiserror::Error;

use crate::arn::{AccountId, Arn};
use crate::partiql;
use crate::region::Region;

/// More tables than any request of DynamoDB may name (a transaction has at most 100 parts).
const MOST_TABLES: usize = 256;

/// A table that a request names, with the indexes it names on it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Table {
    name: String,
    region: Option<Region>,
    account: Option<AccountId>,
    indexes: BTreeSet<String>,
}

impl Table {
    /// The table's name, 1 to 255 letters, digits or `_.-`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The region, where the request names the table by ARN.
    pub fn region(&self) -> Option<&Region> {
        self.region.as_ref()
    }

    /// The account, where the request names the table by ARN.
    pub fn account(&self) -> Option<AccountId> {
        self.account
    }

    /// The indexes that the request names on it.
    pub fn indexes(&self) -> impl Iterator<Item = &str> {
        self.indexes.iter().map(String::as_str)
    }
}

/// What a request touches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Touched {
    tables: Vec<Table>,
    complete: bool,
}

impl Touched {
    /// The tables, each once, by name.
    pub fn tables(&self) -> &[Table] {
        &self.tables
    }

    /// Whether `tables` is known to be all; false if a name or a PartiQL statement could not be understood.
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    pub(crate) fn into_tables(self) -> Vec<Table> {
        self.tables
    }
}

/// The body is not the JSON object that DynamoDB expects, or holds a name twice.
#[derive(Debug, Error)]
#[error("the body is not the JSON object that DynamoDB expects: {reason}")]
pub struct BadBody {
    /// Category and place only: serde's own text may quote an item's value.
    reason: String,
}

/// Reads what a request's body touches. An empty body touches nothing.
///
/// # Errors
/// [`BadBody`]; a name that is there twice is an error, because two readers could take different ones.
pub fn read(body: &[u8]) -> Result<Touched, BadBody> {
    let mut found = Found { tables: BTreeMap::new(), complete: true };
    let first = body.iter().find(|byte| !byte.is_ascii_whitespace());
    match first {
        None => return Ok(found.finish()),
        Some(b'{') => {}
        Some(_) => return Err(BadBody { reason: "it does not start with `{`".to_owned() }),
    }
    let body: Body =
        serde_json::from_slice(body).map_err(|error| BadBody { reason: reason(&error) })?;
    found.body(body);
    Ok(found.finish())
}

fn reason(error: &serde_json::Error) -> String {
    let what = match error.classify() {
        serde_json::error::Category::Syntax => "a syntax error",
        serde_json::error::Category::Eof => "it ends too early",
        serde_json::error::Category::Data => "a name twice, or a value of the wrong type",
        serde_json::error::Category::Io => "it cannot be read",
    };
    format!("{what} at line {}, column {}", error.line(), error.column())
}

/// The fields of all operations that name tables. DynamoDB's names are case-sensitive.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Body {
    table_name: Option<String>,
    index_name: Option<String>,
    request_items: Option<BTreeMap<String, IgnoredAny>>,
    transact_items: Option<Vec<TransactItem>>,
    statement: Option<String>,
    statements: Option<Vec<Statement>>,
    transact_statements: Option<Vec<Statement>>,
    table_creation_parameters: Option<OneTable>,
    global_table_name: Option<String>,
    global_table_source_arn: Option<String>,
    source_table_name: Option<String>,
    source_table_arn: Option<String>,
    target_table_name: Option<String>,
    table_arn: Option<String>,
    resource_arn: Option<String>,
    backup_arn: Option<String>,
    export_arn: Option<String>,
    import_arn: Option<String>,
    stream_arn: Option<String>,
    shard_iterator: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct TransactItem {
    get: Option<OneTable>,
    put: Option<OneTable>,
    update: Option<OneTable>,
    delete: Option<OneTable>,
    condition_check: Option<OneTable>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct OneTable {
    table_name: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Statement {
    statement: Option<String>,
}

type Key = (String, Option<Region>, Option<AccountId>);

struct Found {
    tables: BTreeMap<Key, BTreeSet<String>>,
    complete: bool,
}

impl Found {
    fn body(&mut self, body: Body) {
        if let Some(name) = &body.table_name {
            self.add(name, body.index_name.as_deref());
        }
        let named = [
            body.global_table_name,
            body.global_table_source_arn,
            body.source_table_name,
            body.source_table_arn,
            body.target_table_name,
            body.table_arn,
            body.resource_arn,
            body.backup_arn,
            body.export_arn,
            body.import_arn,
            body.stream_arn,
            body.table_creation_parameters.and_then(|table| table.table_name),
        ];
        for name in named.iter().flatten() {
            self.add(name, None);
        }
        for name in body.request_items.iter().flat_map(BTreeMap::keys) {
            self.add(name, None);
        }
        for item in body.transact_items.into_iter().flatten() {
            self.transact_item(item);
        }
        if let Some(iterator) = &body.shard_iterator {
            // `<stream ARN>|<version>|<opaque>`: not documented, so that another form is merely incomplete.
            self.add(iterator.split('|').next().unwrap_or_default(), None);
        }
        let listed = body.statements.into_iter().chain(body.transact_statements).flatten();
        for statement in body.statement.into_iter().chain(listed.filter_map(|item| item.statement))
        {
            self.statement(&statement);
        }
    }

    fn transact_item(&mut self, item: TransactItem) {
        let parts = [item.get, item.put, item.update, item.delete, item.condition_check];
        for part in parts.into_iter().flatten() {
            match part.table_name {
                Some(name) => self.add(&name, None),
                None => self.complete = false,
            }
        }
    }

    fn statement(&mut self, statement: &str) {
        let sources = partiql::sources(statement);
        self.complete &= sources.complete;
        for source in sources.found {
            self.add(&source.table, source.index.as_deref());
        }
    }

    /// Adds a table by name or ARN. A name that breaks DynamoDB's rules is left to DynamoDB to refuse.
    fn add(&mut self, text: &str, index: Option<&str>) {
        let parsed = if text.starts_with("arn:") { from_arn(text) } else { Named::plain(text) };
        let (key, index) = match parsed {
            Named::Table(key, in_arn) => (key, index.map(str::to_owned).or(in_arn)),
            Named::OtherService => return,
            Named::Nothing => {
                self.complete = false;
                return;
            }
        };
        if self.tables.len() >= MOST_TABLES && !self.tables.contains_key(&key) {
            self.complete = false;
            return;
        }
        let indexes = self.tables.entry(key).or_default();
        match index {
            Some(index) if is_name(&index) && indexes.len() < MOST_TABLES => {
                indexes.insert(index);
            }
            Some(_) => self.complete = false,
            None => {}
        }
    }

    fn finish(self) -> Touched {
        let table = |((name, region, account), indexes)| Table { name, region, account, indexes };
        Touched { tables: self.tables.into_iter().map(table).collect(), complete: self.complete }
    }
}

enum Named {
    Table(Key, Option<String>),
    /// An ARN of another service, such as a Kinesis stream.
    OtherService,
    Nothing,
}

impl Named {
    fn plain(name: &str) -> Self {
        if is_name(name) { Self::Table((name.to_owned(), None, None), None) } else { Self::Nothing }
    }
}

/// `table/NAME`, `table/NAME/index/INDEX`, `table/NAME/stream/…`, `table/NAME/backup/…`, `global-table/NAME`.
fn from_arn(text: &str) -> Named {
    let Ok(arn) = Arn::parse(text) else {
        return Named::Nothing;
    };
    if arn.service() != "dynamodb" {
        return Named::OtherService;
    }
    let mut segments = arn.resource().split('/');
    let (Some("table" | "global-table"), Some(name)) = (segments.next(), segments.next()) else {
        return Named::Nothing;
    };
    if !is_name(name) {
        return Named::Nothing;
    }
    let index = match (segments.next(), segments.next()) {
        (Some("index"), Some(index)) => Some(index.to_owned()),
        _ => None,
    };
    Named::Table(
        (name.to_owned(), Region::parse(arn.region()).ok(), AccountId::parse(arn.account()).ok()),
        index,
    )
}

/// DynamoDB's rule for names of tables and indexes
/// (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html>).
fn is_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    (1..=255).contains(&name.len()) && name.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Touched, read};

    fn shown(touched: &Touched) -> String {
        let mut all: Vec<String> = Vec::new();
        for table in touched.tables() {
            let place = match (table.region(), table.account()) {
                (Some(region), Some(account)) => format!("@{region}/{account}"),
                _ => String::new(),
            };
            let indexes: String = table.indexes().map(|index| format!(".{index}")).collect();
            all.push(format!("{}{indexes}{place}", table.name()));
        }
        all.join(" ")
    }

    #[test]
    fn every_way_to_name_a_table_is_found() {
        for (body, expected) in [
            ("", ""),
            ("{}", ""),
            (" {\"Limit\": 10, \"ExclusiveStartTableName\": \"X\"}\n", ""),
            (r#"{"TableName":"T","Item":{"TableName":{"S":"decoy"}}}"#, "T"),
            (r#"{"TableName":"T","IndexName":"i","Key":{"a":[1,{"b":"TableName"}]}}"#, "T.i"),
            (r#"{"\u0054ableName":"T\u0031"}"#, "T1"),
            (
                r#"{"TableName":"arn:aws:dynamodb:us-east-1:123456789012:table/T"}"#,
                "T@us-east-1/123456789012",
            ),
            (r#"{"TableName":"T","tablename":"decoy"}"#, "T"),
            (r#"{"RequestItems":{"B":{"Keys":[]},"A":[{"PutRequest":{}}],"B":{}}}"#, "A B"),
            (
                r#"{"TransactItems":[{"Put":{"TableName":"P","Item":{}}},{"ConditionCheck":{"TableName":"C"}},{"Get":{"TableName":"G"}},{"Update":{"TableName":"U"}},{"Delete":{"TableName":"D"}}]}"#,
                "C D G P U",
            ),
            (
                r#"{"Statement":"SELECT * FROM \"T\".\"i\" WHERE a = 'FROM X'","Parameters":[{"S":"FROM Y"}]}"#,
                "T.i",
            ),
            (
                r#"{"Statements":[{"Statement":"SELECT * FROM A"},{"Statement":"DELETE FROM B"}]}"#,
                "A B",
            ),
            (r#"{"TransactStatements":[{"Statement":"UPDATE A SET b=1"}]}"#, "A"),
            (
                r#"{"BackupArn":"arn:aws:dynamodb:us-east-1:123456789012:table/T/backup/01-2","TargetTableName":"N"}"#,
                "N T@us-east-1/123456789012",
            ),
            (
                r#"{"StreamArn":"arn:aws:dynamodb:us-east-1:123456789012:table/T/stream/2015-05-11T21:21:33.291"}"#,
                "T@us-east-1/123456789012",
            ),
            (
                r#"{"ShardIterator":"arn:aws:dynamodb:us-east-1:123456789012:table/T/stream/2015-05-11T21:21:33.291|1|AAAA"}"#,
                "T@us-east-1/123456789012",
            ),
            (
                r#"{"TableName":"T","StreamArn":"arn:aws:kinesis:us-east-1:123456789012:stream/K"}"#,
                "T",
            ),
            (
                r#"{"TableArn":"arn:aws:dynamodb:us-east-1:123456789012:table/T","S3Bucket":"b"}"#,
                "T@us-east-1/123456789012",
            ),
            (
                r#"{"ResourceArn":"arn:aws:dynamodb:us-east-1:123456789012:table/T/index/i"}"#,
                "T.i@us-east-1/123456789012",
            ),
            (r#"{"TableCreationParameters":{"TableName":"N"},"S3BucketSource":{}}"#, "N"),
            (r#"{"SourceTableName":"S","TargetTableName":"N"}"#, "N S"),
            (r#"{"GlobalTableName":"G"}"#, "G"),
        ] {
            let touched = read(body.as_bytes()).unwrap();
            assert_eq!(shown(&touched), expected, "{body}");
            assert!(touched.is_complete(), "{body}");
        }
    }

    #[test]
    fn what_cannot_be_understood_is_incomplete() {
        for body in [
            r#"{"TableName":""}"#,
            r#"{"TableName":"a b"}"#,
            r#"{"TableName":"arn:aws:dynamodb"}"#,
            r#"{"TableName":"arn:aws:dynamodb:us-east-1:123456789012:user/T"}"#,
            r#"{"Statement":"SELECT"}"#,
            r#"{"TransactItems":[{"Put":{}}]}"#,
            r#"{"ShardIterator":"opaque!"}"#,
        ] {
            assert!(!read(body.as_bytes()).unwrap().is_complete(), "{body}");
        }
        let many: Vec<String> = (0..300).map(|number| format!("\"T{number}\":{{}}")).collect();
        let touched =
            read(format!("{{\"RequestItems\":{{{}}}}}", many.join(",")).as_bytes()).unwrap();
        assert_eq!((touched.tables().len(), touched.is_complete()), (256, false));
    }

    #[test]
    fn ambiguous_and_broken_bodies_are_refused_without_quoting_them() {
        for body in [
            r#"{"TableName":"T","TableName":"U"}"#,
            r#"{"TableName":"T","Table\u004eame":"U"}"#,
            r#"{"TransactItems":[{"Put":{"TableName":"T","TableName":"U"}}]}"#,
            r#"{"TableName":["secret"]}"#,
            r#"{"TableName":"T"} {"TableName":"U"}"#,
            r#"{"TableName":"T""#,
            r#"["T"]"#,
            r#"{'TableName':'T'}"#,
            "\"secret\"",
            "secret",
            "\u{feff}{}",
        ] {
            let error = read(body.as_bytes()).unwrap_err();
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }

    #[test]
    fn depth_does_not_matter() {
        let deep = format!(
            "{{\"TableName\":\"T\",\"Item\":{}{}}}",
            "[".repeat(500_000),
            "]".repeat(500_000)
        );
        assert_eq!(shown(&read(deep.as_bytes()).unwrap()), "T");
        let deep = format!("{{\"TransactItems\":{}", "[".repeat(500_000));
        assert!(read(deep.as_bytes()).is_err());
    }

    proptest! {
        #[test]
        fn no_body_panics(body in proptest::collection::vec(any::<u8>(), 0..200), text in "\\{\\PC{0,100}\\}") {
            let _ = read(&body);
            let _ = read(text.as_bytes());
        }
    }
}
