//! Searched pages of resources and apps, for lists that people look through.

use std::collections::BTreeMap;

use access::decide::Intent;
use access::{App, AppRequest, Identity};
use api::Resource;
use api::resource::Kind;
use api::types::pages::{AppPage, PageQuery, ResourcePage};
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::caller::Caller;
use crate::cluster::Cluster;
use crate::refusal::Refusal;
use crate::resources;
use crate::store::{Part, words_of};

/// Entries of a page unless asked otherwise, and at most.
const USUAL: u32 = 50;
const LARGEST: u32 = 500;
/// Most words of a search, and its longest text in bytes.
const MOST_WORDS: usize = 8;
const LONGEST_SEARCH: usize = 256;

/// A page of a kind of resource.
pub(crate) async fn resources(
    cluster: &Cluster,
    caller: &Caller,
    kind: Kind,
    query: PageQuery,
) -> Result<ResourcePage, Refusal> {
    let part = part(&query)?;
    if matches!(kind, Kind::Token | Kind::App | Kind::ClusterAuthPreference) {
        // Tokens stand in the settings too, and of apps the roles of the caller choose.
        let all = resources::list(cluster, caller, kind).await?;
        return Ok(cut(kind, all, &part));
    }
    resources::may_list(cluster, caller, kind).await?;
    let (limit, asked) = (part.limit, Part { limit: part.limit + 1, ..part });
    let found = cluster.store.read(move |reader| reader.page(kind, &asked)).await?;
    let (mut items, total) = found;
    let has_more = items.len() > limit;
    items.truncate(limit);
    let next = items.last().filter(|_| has_more).map(|last| cursor(last.name()));
    Ok(ResourcePage { items, total, next })
}

/// A page of the apps that the caller may use.
pub(crate) async fn apps(
    cluster: &Cluster,
    identity: &Identity,
    query: PageQuery,
) -> Result<AppPage, Refusal> {
    let part = part(&query)?;
    let now = cluster.now();
    let servers = cluster.store.read(move |reader| reader.servers(now)).await?;
    let apps = servers.into_iter().flat_map(|server| server.apps);
    let mut apps: BTreeMap<String, App> = apps.map(|app| (app.name().to_string(), app)).collect();
    apps.retain(|_, app| has_words(app, &part.words));
    if identity.user().is_some() {
        let policy = cluster.policy_for(identity, now).await?;
        apps.retain(|_, app| {
            let request = AppRequest { app, aws_role: None, intent: Intent::List, now };
            access::permit_app(identity, &request, &policy).is_ok()
        });
    }
    let total = apps.len() as u64;
    let mut rest = apps.into_iter().skip_while(|(name, _)| *name <= part.after);
    let page: Vec<App> = rest.by_ref().take(part.limit).map(|(_, app)| app).collect();
    let next = page.last().filter(|_| rest.next().is_some());
    let next = next.map(|last| cursor(last.name().as_str()));
    Ok(AppPage { apps: page, total, next })
}

fn has_words(app: &App, words: &[String]) -> bool {
    if words.is_empty() {
        return true;
    }
    let body = serde_json::to_value(app).unwrap_or_default();
    let text = words_of(Kind::App, &body);
    words.iter().all(|word| text.contains(word))
}

/// A page of a list that is in memory. A token is placed by the hash of its name, for that
/// cursors are shown in addresses.
fn cut(kind: Kind, all: Vec<Resource>, part: &Part) -> ResourcePage {
    let place = |resource: &Resource| match kind {
        Kind::Token => hex::encode(digest(&SHA256, resource.name().as_bytes())),
        _ => resource.name().to_owned(),
    };
    let found = all.into_iter().filter(|resource| {
        let body = serde_json::to_value(resource).unwrap_or_default();
        let text = words_of(kind, &body);
        part.words.iter().all(|word| text.contains(word))
    });
    let mut found: Vec<_> = found.map(|resource| (place(&resource), resource)).collect();
    found.sort_by(|(one, _), (other, _)| one.cmp(other));
    let total = found.len() as u64;
    let mut rest = found.into_iter().skip_while(|(place, _)| *place <= part.after);
    let page: Vec<_> = rest.by_ref().take(part.limit).collect();
    let last = page.last().filter(|_| rest.next().is_some());
    let next = last.map(|(place, _)| cursor(place));
    ResourcePage { items: page.into_iter().map(|(_, resource)| resource).collect(), total, next }
}

fn part(query: &PageQuery) -> Result<Part, Refusal> {
    let limit = query.limit.unwrap_or(USUAL);
    if !(1..=LARGEST).contains(&limit) {
        return Err(Refusal::invalid(format!("limit must be 1 to {LARGEST}")));
    }
    let search = query.search.as_deref().unwrap_or_default();
    let words: Vec<_> = search.split_whitespace().map(str::to_lowercase).collect();
    if words.len() > MOST_WORDS || search.len() > LONGEST_SEARCH {
        return Err(Refusal::invalid(format!("a search may have {MOST_WORDS} words")));
    }
    let after = query.after.as_deref().map(place_of).transpose()?.unwrap_or_default();
    Ok(Part { words, after, limit: usize::try_from(limit).unwrap_or(usize::MAX) })
}

fn cursor(place: &str) -> String {
    URL_SAFE_NO_PAD.encode(place)
}

fn place_of(cursor: &str) -> Result<String, Refusal> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok();
    let place = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    place.ok_or_else(|| Refusal::invalid("`after` is not the `next` of a page"))
}
