//! A browser for tests: keeps cookies, reads forms, follows nothing by itself.

use std::collections::BTreeMap;

use http::{Method, Response, StatusCode};

use crate::cluster::Cluster;
use crate::people::PASSWORD;
use crate::stand_in::CODE;
use crate::web::send;

/// Our own pages, as a browser names them.
pub(crate) const ORIGIN: &str = "https://proxy.example.com";

/// Somebody's browser.
#[derive(Debug, Clone, Default)]
pub(crate) struct Browser {
    pub(crate) cookies: BTreeMap<String, String>,
}

impl Browser {
    /// A browser in which that user is signed in.
    pub(crate) async fn signed_in(cluster: &Cluster, user: &str) -> Self {
        let mut browser = Self::default();
        let answer = browser.sign_in(cluster, user, "").await;
        assert_eq!(place(&answer), "/web/apps", "{}", answer.body());
        browser
    }

    /// Password and code; gives the last answer.
    pub(crate) async fn sign_in(
        &mut self,
        cluster: &Cluster,
        user: &str,
        next: &str,
    ) -> Response<String> {
        self.get(cluster, "/web/login").await;
        let fields = [("user", user), ("password", PASSWORD), ("next", next)];
        let answer = self.post(cluster, "/web/login", &fields).await;
        if place(&answer) != "/web/login/factor" {
            return answer;
        }
        self.get(cluster, "/web/login/factor").await;
        self.post(cluster, "/web/login/factor", &[("code", CODE)]).await
    }

    pub(crate) async fn get(&mut self, cluster: &Cluster, path: &str) -> Response<String> {
        let cookies = self.line();
        let answer = send(cluster, (Method::GET, path), &[("cookie", &cookies)], "").await;
        self.keep(&answer);
        answer
    }

    /// Sends a form from one of our pages, with the token of its cookie.
    pub(crate) async fn post(
        &mut self,
        cluster: &Cluster,
        path: &str,
        fields: &[(&str, &str)],
    ) -> Response<String> {
        let csrf = self.cookies.get("__Host-causeway_csrf").cloned().unwrap_or_default();
        let fields: Vec<_> =
            [("csrf", csrf.as_str())].into_iter().chain(fields.iter().copied()).collect();
        self.post_raw(cluster, path, &fields, &[("origin", ORIGIN)]).await
    }

    /// Sends just that.
    pub(crate) async fn post_raw(
        &mut self,
        cluster: &Cluster,
        path: &str,
        fields: &[(&str, &str)],
        headers: &[(&str, &str)],
    ) -> Response<String> {
        let cookies = self.line();
        let body: Vec<String> =
            fields.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
        let form = ("content-type", "application/x-www-form-urlencoded");
        let headers: Vec<_> =
            headers.iter().copied().chain([form, ("cookie", cookies.as_str())]).collect();
        let answer = send(cluster, (Method::POST, path), &headers, &body.join("&")).await;
        self.keep(&answer);
        answer
    }

    fn line(&self) -> String {
        let pairs: Vec<String> =
            self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        pairs.join("; ")
    }

    fn keep(&mut self, answer: &Response<String>) {
        for line in answer.headers().get_all("set-cookie") {
            let line = line.to_str().unwrap();
            let (name, value) = line.split(';').next().unwrap().split_once('=').unwrap();
            if line.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
    }
}

/// Where an answer leads.
pub(crate) fn place(answer: &Response<String>) -> &str {
    if answer.status() != StatusCode::SEE_OTHER {
        return "";
    }
    answer.headers().get("location").unwrap().to_str().unwrap()
}

fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric();
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}
