//! Searched and paged lists.

use api::types::pages::PageQuery;
use serde::Deserialize;

use crate::web::links;

/// Lines on one page.
const PER_PAGE: u32 = 50;

/// What is looked for, and from where on.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Listed {
    #[serde(default)]
    pub(crate) search: String,
    #[serde(default)]
    pub(crate) after: String,
    /// What was done just now.
    #[serde(default)]
    pub(crate) done: String,
}

/// The search box, the count and the way to the next page.
#[derive(Debug)]
pub(crate) struct Pager {
    pub(crate) path: &'static str,
    pub(crate) search: String,
    pub(crate) shown: usize,
    pub(crate) total: u64,
    pub(crate) next: Option<String>,
    pub(crate) is_first: bool,
}

impl Listed {
    /// For the Auth Service.
    pub(crate) fn query(&self) -> PageQuery {
        let filled = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        PageQuery {
            search: filled(&self.search),
            after: filled(&self.after),
            limit: Some(PER_PAGE),
        }
    }

    /// For the page.
    pub(crate) fn pager(
        &self,
        path: &'static str,
        (shown, total): (usize, u64),
        next: Option<String>,
    ) -> Pager {
        let search = self.search.trim().to_owned();
        let next = next.map(|after| {
            format!("{path}{}", links::query(&[("search", &search), ("after", &after)]))
        });
        Pager { path, search, shown, total, next, is_first: self.after.is_empty() }
    }
}

impl Pager {
    /// Whether there is something to search in.
    pub(crate) fn is_useful(&self) -> bool {
        self.total > 0 || !self.search.is_empty()
    }
}
