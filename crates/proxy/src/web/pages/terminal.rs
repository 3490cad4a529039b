//! How to use the cluster from a terminal.

use askama::Template;
use axum::response::Response;
use http::StatusCode;

use super::{Frame, Here, quoted};
use crate::web::page::Page;

#[derive(Template)]
#[template(path = "terminal.html")]
struct TerminalPage {
    frame: Frame,
    proxy: String,
    user: String,
}

/// `GET /web/terminal`.
pub(crate) async fn show(page: Page) -> Response {
    let template = TerminalPage {
        frame: page.frame(Here::Terminal),
        proxy: page.web.public_addr.to_string(),
        user: quoted(page.me.user()),
    };
    super::page(StatusCode::OK, &template)
}
