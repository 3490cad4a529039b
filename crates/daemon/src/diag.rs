//! Health and metrics on `diag_addr`: `/healthz`, `/readyz`, `/metrics`.
//!
//! Plain HTTP for the host itself or a monitoring network; it tells no secret
//! and changes nothing.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::info;

/// What a service says of itself: its name and whether it can serve now.
pub(crate) type Probe = Box<dyn Fn() -> (&'static str, bool) + Send + Sync>;

/// Listens on `address` until `stop`.
pub(crate) async fn start(
    address: &str,
    probes: Vec<Probe>,
    tasks: &TaskTracker,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("could not listen on teleport.diag_addr {address}"))?;
    info!(address = %listener.local_addr()?, "diagnostics are served");
    let probes = Arc::new(probes);
    let connections = tasks.clone();
    tasks.spawn(async move {
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = stop.cancelled() => return,
            };
            let Ok((stream, _)) = accepted else {
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            connections.spawn(serve(stream, Arc::clone(&probes), stop.clone()));
        }
    });
    Ok(())
}

async fn serve(stream: TcpStream, probes: Arc<Vec<Probe>>, stop: CancellationToken) {
    let service = service_fn(|request| {
        let reply = answer(&request, &probes);
        async move { Ok::<_, std::convert::Infallible>(reply) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(10))
        .serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        _ = connection => {}
        () = stop.cancelled() => {}
    }
}

fn answer(request: &Request<Incoming>, probes: &[Probe]) -> Response<Full<Bytes>> {
    let states: Vec<(&str, bool)> = probes.iter().map(|probe| probe()).collect();
    let ready = states.iter().all(|(_, ready)| *ready);
    match request.uri().path() {
        "/healthz" => json(StatusCode::OK, serde_json::json!({ "status": "ok" })),
        "/readyz" => {
            let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
            let services: serde_json::Map<_, _> = states
                .iter()
                .map(|(name, ready)| {
                    ((*name).to_owned(), if *ready { "ready" } else { "starting" }.into())
                })
                .collect();
            json(status, serde_json::json!({ "ready": ready, "services": services }))
        }
        "/metrics" => text(&states),
        _ => {
            json(StatusCode::NOT_FOUND, serde_json::json!({ "error": { "message": "not found" } }))
        }
    }
}

fn json(status: StatusCode, body: serde_json::Value) -> Response<Full<Bytes>> {
    let mut reply = Response::new(Full::from(body.to_string()));
    *reply.status_mut() = status;
    let kind = http::HeaderValue::from_static("application/json");
    reply.headers_mut().insert(http::header::CONTENT_TYPE, kind);
    reply
}

fn text(states: &[(&str, bool)]) -> Response<Full<Bytes>> {
    let mut body = String::from(
        "# HELP causeway_service_ready Whether the service can serve now (1) or not (0).\n\
         # TYPE causeway_service_ready gauge\n",
    );
    for (name, ready) in states {
        body.push_str(&format!(
            "causeway_service_ready{{service=\"{name}\"}} {}\n",
            u8::from(*ready)
        ));
    }
    body.push_str(&resident_memory());
    let mut reply = Response::new(Full::from(body));
    let kind = http::HeaderValue::from_static("text/plain; version=0.0.4");
    reply.headers_mut().insert(http::header::CONTENT_TYPE, kind);
    reply
}

/// Resident memory, in bytes, where the system tells it (Linux).
fn resident_memory() -> String {
    let Ok(statm) = std::fs::read_to_string("/proc/self/statm") else { return String::new() };
    let pages: u64 = statm.split(' ').nth(1).and_then(|text| text.parse().ok()).unwrap_or(0);
    let bytes = pages * rustix::param::page_size() as u64;
    format!(
        "# HELP process_resident_memory_bytes Resident memory size in bytes.\n\
         # TYPE process_resident_memory_bytes gauge\n\
         process_resident_memory_bytes {bytes}\n"
    )
}
