//! What a page's handler begins with: who asks, and what to answer with.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Form;
use axum::extract::{FromRequest, FromRequestParts, Request};
use http::header::USER_AGENT;
use http::request::Parts;
use serde::de::DeserializeOwned;

use super::as_user::{Browser, NotShown, SignedIn};
use super::guard::Visitor;
use super::pages::{Frame, Here};
use super::refusal::{Kind, Refusal};
use super::{Peer, Web};

/// Longest name of a browser that is kept.
const AGENT_LIMIT: usize = 256;

impl Web {
    /// A host on this proxy's port, as an address has it.
    pub(crate) fn with_port(&self, host: &str) -> String {
        match self.public_addr.port() {
            443 => host.to_owned(),
            port => format!("{host}:{port}"),
        }
    }
}

/// A page for anybody.
pub(crate) struct Door {
    pub(crate) web: Arc<Web>,
    pub(crate) peer: IpAddr,
    pub(crate) browser: Browser,
    visitor: Visitor,
}

impl Door {
    /// What goes around the page.
    pub(crate) fn frame(&self) -> Frame {
        Frame::open(self.web.cluster.as_str(), &self.visitor.csrf)
    }
}

/// A page for somebody who is signed in.
pub(crate) struct Page {
    pub(crate) web: Arc<Web>,
    pub(crate) peer: IpAddr,
    pub(crate) me: SignedIn,
    visitor: Visitor,
}

impl Page {
    /// What goes around the page.
    pub(crate) fn frame(&self, here: Here) -> Frame {
        Frame::of(self.web.cluster.as_str(), &self.visitor.csrf, &self.me, here)
    }
}

impl<S: Sync> FromRequestParts<S> for Door {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let visitor = Visitor::from_request_parts(parts, state).await?;
        let (web, peer) = basics(parts)?;
        let agent = parts.headers.get(USER_AGENT).and_then(|value| value.to_str().ok());
        let browser = Browser {
            remote_addr: Some(peer.to_string()),
            user_agent: agent.map(|agent| agent.chars().take(AGENT_LIMIT).collect()),
        };
        Ok(Self { web, peer, browser, visitor })
    }
}

impl<S: Sync> FromRequestParts<S> for Page {
    type Rejection = NotShown;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, NotShown> {
        let visitor = Visitor::from_request_parts(parts, state).await.map_err(NotShown::Refused)?;
        let (web, peer) = basics(parts).map_err(NotShown::Refused)?;
        let me = SignedIn::from_request_parts(parts, state).await?;
        Ok(Self { web, peer, me, visitor })
    }
}

fn basics(parts: &Parts) -> Result<(Arc<Web>, IpAddr), Refusal> {
    let web = parts.extensions.get::<Arc<Web>>().cloned();
    let peer = parts.extensions.get::<Peer>().copied();
    match (web, peer) {
        (Some(web), Some(Peer(peer))) => Ok((web, peer)),
        _ => Err(Refusal::broken()),
    }
}

/// A form that was read; one that cannot be is answered with a page.
pub(crate) struct Filled<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Filled<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        match Form::<T>::from_request(request, state).await {
            Ok(Form(filled)) => Ok(Self(filled)),
            Err(rejection) => {
                Err(Refusal::new(Kind::Page, rejection.status(), "the form is incomplete")
                    .with_hint("open the page again and fill in all fields"))
            }
        }
    }
}
