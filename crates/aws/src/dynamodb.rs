//! What a DynamoDB or DynamoDB Streams request touches.
//!
//! One pass over the JSON body keeps operation, tables and indexes; item values and keys are skipped unread.

use std::collections::BTreeSet;

use thiserror::Error;

use crate::arn::AccountId;
use crate::region::Region;

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
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Touched {
    tables: Vec<Table>,
    complete: bool,
}

impl Touched {
    /// The tables, each once, by name.
    pub fn tables(&self) -> &[Table] {
        &self.tables
    }

    /// Whether `tables` is known to be all; false if a PartiQL statement could not be read fully.
    pub fn is_complete(&self) -> bool {
        self.complete
    }
}

/// Why a body was refused.
#[derive(Debug, Error)]
pub enum BadBody {
    /// Not the JSON object that DynamoDB expects, or a name in it twice.
    #[error("the body is not the JSON that DynamoDB expects")]
    Json(#[source] serde_json::Error),
    /// A table's name or ARN breaks DynamoDB's rules.
    #[error("`{name}` is not the name or ARN of a table")]
    TableName {
        /// Shortened and escaped.
        name: String,
    },
}

/// Reads what a request's body touches.
///
/// # Errors
/// [`BadBody`]; a duplicate name is an error, because two readers could take different ones.
pub fn read(body: &[u8]) -> Result<Touched, BadBody> {
    let _ = body;
    unimplemented!()
}
