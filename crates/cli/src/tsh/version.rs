//! `tsh version`: our version, and the proxy's where one is in use.

use std::time::Duration;

use clap::Args;
use pki::{Clock, WebTrust};
use serde::Serialize;
use tokio::time::timeout;

use super::address::ProxyAddress;
use super::context::Context;
use crate::failure::Failure;
use crate::format::{self, Format};
use crate::output::Output;

/// How long the proxy may take to answer.
const ANSWER: Duration = Duration::from_secs(5);

/// Show versions
#[derive(Debug, Args)]
pub struct VersionArgs {
    /// Format of the output
    #[arg(short, long, value_enum, default_value_t)]
    pub format: Format,
    /// Do not ask the proxy
    #[arg(long)]
    pub client: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Versions {
    version: &'static str,
    gitref: &'static str,
    runtime: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    proxy_version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    proxy_public_address: Option<String>,
}

/// Runs `tsh version`.
///
/// # Errors
/// When stdout cannot be written.
pub async fn run(
    args: &VersionArgs,
    context: &Context,
    output: &mut Output,
) -> Result<(), Failure> {
    let proxy = if args.client { None } else { proxy(context).await };
    let (proxy_version, proxy_public_address) = proxy.unzip();
    let versions = Versions {
        version: env!("CARGO_PKG_VERSION"),
        gitref: "",
        runtime: "rust",
        proxy_version,
        proxy_public_address,
    };
    match args.format {
        Format::Text => {
            output.line(line())?;
            if let (Some(version), Some(address)) =
                (&versions.proxy_version, &versions.proxy_public_address)
            {
                output.line(format!("Proxy version: {version}\nProxy: {address}"))?;
            }
            Ok(())
        }
        Format::Json => output.line(format::json(&versions)?),
        Format::Yaml => output.text(format::yaml(&versions)?),
    }
}

/// The version line of both commands.
#[must_use]
pub fn line() -> String {
    format!("Teleport v{} (Causeway)", env!("CARGO_PKG_VERSION"))
}

/// Version and address of the proxy in use; `None` when there is none or it does not answer.
async fn proxy(context: &Context) -> Option<(String, String)> {
    let profile = context.profile().ok()??;
    let address = ProxyAddress::parse(&profile.web_proxy_addr).ok()?;
    // Nothing secret is sent, and the answer is only shown.
    let trust = if context.global.insecure || profile.insecure {
        WebTrust::DangerouslyAnybody
    } else {
        WebTrust::System { extra: Vec::new() }
    };
    let tls = pki::web::web_client(&trust, vec![b"http/1.1".to_vec()], Clock::from(context.now));
    let web = api::web::WebClient::new(&address.host, address.port.unwrap_or(443), tls.ok()?);
    let ping = timeout(ANSWER, web.ping()).await.ok()?.ok()?;
    Some((ping.server_version, profile.web_proxy_addr))
}
