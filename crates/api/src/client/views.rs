//! Reading: pages of the audit log, of resources and of apps, and the overview.

use super::{Client, query_of};
use crate::error::ApiError;
use crate::resource::Kind;
use crate::routes;
use crate::types::audit::{AuditEntry, AuditPage, AuditQuery};
use crate::types::overview::{Overview, OverviewQuery};
use crate::types::pages::{AppPage, PageQuery, ResourcePage};

impl Client {
    /// A page of the audit log. With `after` and `wait_seconds` it waits for what comes.
    ///
    /// # Errors
    /// When Auth cannot be reached or refuses.
    pub async fn audit_page(&self, query: &AuditQuery) -> Result<AuditPage, ApiError> {
        self.get(&format!("{}?{}", routes::AUDIT_PAGE, query_of(query))).await
    }

    /// One entry of the audit log, by sequence number or uid.
    ///
    /// # Errors
    /// When Auth cannot be reached or refuses, e.g. 404.
    pub async fn audit_entry(&self, id: &str) -> Result<AuditEntry, ApiError> {
        self.get(&routes::fill(routes::AUDIT_ENTRY, id)).await
    }

    /// The cluster at a glance.
    ///
    /// # Errors
    /// When Auth cannot be reached, or the caller may see no part of it.
    pub async fn overview(&self, query: &OverviewQuery) -> Result<Overview, ApiError> {
        self.get(&format!("{}?{}", routes::OVERVIEW, query_of(query))).await
    }

    /// A page of a kind of resource.
    ///
    /// # Errors
    /// When Auth cannot be reached or refuses.
    pub async fn resource_page(
        &self,
        kind: Kind,
        query: &PageQuery,
    ) -> Result<ResourcePage, ApiError> {
        let path = routes::fill(routes::RESOURCE_PAGE, kind.as_str());
        self.get(&format!("{path}?{}", query_of(query))).await
    }

    /// A page of the apps that the caller may use.
    ///
    /// # Errors
    /// When Auth cannot be reached or refuses.
    pub async fn app_page(&self, query: &PageQuery) -> Result<AppPage, ApiError> {
        self.get(&format!("{}?{}", routes::APP_PAGE, query_of(query))).await
    }
}
