//! `teleport configure`: writes a working configuration file, or checks one.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use api::files::{self, Mode};
use clap::Args;

use crate::config;
use crate::settings::Overrides;

/// Write a configuration file, or check one with --test.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Check this file and write nothing.
    #[arg(long, value_name = "FILE")]
    test: Option<PathBuf>,
    /// Where to write: stdout, file (/etc/teleport.yaml), or file:///path.
    #[arg(short, long, default_value = "stdout")]
    output: String,
    /// Name of the cluster [default: this host's name].
    #[arg(long, value_name = "NAME")]
    cluster_name: Option<String>,
    /// Services to enable, comma-separated: auth, proxy, app.
    #[arg(long, default_value = "auth,proxy")]
    roles: String,
    /// `host:port` under which users reach the proxy.
    #[arg(long, value_name = "ADDR")]
    public_addr: Option<String>,
    /// Web certificate file, PEM, leaf first.
    #[arg(long, value_name = "FILE", requires = "key_file")]
    cert_file: Option<PathBuf>,
    /// Web certificate's key file, PEM.
    #[arg(long, value_name = "FILE", requires = "cert_file")]
    key_file: Option<PathBuf>,
    /// Where to keep state.
    #[arg(long, value_name = "DIR", default_value = config::DEFAULT_DATA_DIR)]
    data_dir: PathBuf,
    /// Join token, or the absolute path of a file with it.
    #[arg(long, value_name = "TOKEN")]
    token: Option<String>,
    /// Address of the Auth Service, host:port.
    #[arg(long, value_name = "ADDR", conflicts_with = "proxy")]
    auth_server: Option<String>,
    /// Address of a proxy of the cluster, host:port.
    #[arg(long, value_name = "ADDR")]
    proxy: Option<String>,
    /// Name of an app to serve.
    #[arg(long, value_name = "NAME", requires = "app_uri")]
    app_name: Option<String>,
    /// Address of that app.
    #[arg(long, value_name = "URI", requires = "app_name")]
    app_uri: Option<String>,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    if let Some(file) = &arguments.test {
        return check(file);
    }
    let text = file_text(arguments)?;
    config::read(&text, "the new file", &Overrides::default())
        .context("these flags make no working configuration")?;
    match target(&arguments.output)? {
        None => super::print(&text),
        Some(path) => write(&path, &text),
    }
}

fn check(file: &Path) -> anyhow::Result<()> {
    let text = files::read(file)?;
    let settings = config::read(&text, &file.display().to_string(), &Overrides::default())?;
    for warning in &settings.warnings {
        super::print(&format!("warning: {warning}\n"))?;
    }
    super::print(&format!("OK {}\n", file.display()))
}

fn target(output: &str) -> anyhow::Result<Option<PathBuf>> {
    match output {
        "stdout" => Ok(None),
        "file" => Ok(Some(PathBuf::from("/etc/teleport.yaml"))),
        other => match other.strip_prefix("file://").unwrap_or(other) {
            path if path.starts_with('/') => Ok(Some(PathBuf::from(path))),
            _ => bail!("--output is `{other}`; expected stdout, file or file:///path"),
        },
    }
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    if path.exists() {
        bail!("{} exists already; remove it or choose another --output", path.display());
    }
    files::write(path, text.as_bytes(), Mode::Private)?;
    super::print(&format!(
        "A Teleport configuration file has been created at \"{path}\".\n\
         To start Teleport with this configuration file, run:\n\n\
         teleport start --config=\"{path}\"\n",
        path = path.display()
    ))
}

fn file_text(arguments: &Arguments) -> anyhow::Result<String> {
    let enabled: Vec<&str> = arguments.roles.split(',').map(str::trim).collect();
    if let Some(other) = enabled.iter().find(|role| !["auth", "proxy", "app"].contains(role)) {
        bail!("--roles: `{other}` is not a role; expected auth, proxy or app");
    }
    let mut file = serde_json::json!({
        "version": "v3",
        "teleport": teleport(arguments),
        "auth_service": { "enabled": enabled.contains(&"auth") },
        "proxy_service": { "enabled": enabled.contains(&"proxy") },
        "ssh_service": { "enabled": false },
        "app_service": { "enabled": enabled.contains(&"app") },
    });
    let mut set = |service: &str, key: &str, value: serde_json::Value| {
        if let Some(service) = file.get_mut(service).and_then(|part| part.as_object_mut()) {
            service.insert(key.to_owned(), value);
        }
    };
    if let Some(name) = &arguments.cluster_name {
        set("auth_service", "cluster_name", name.as_str().into());
    }
    if enabled.contains(&"auth") {
        set("auth_service", "listen_addr", format!("0.0.0.0:{}", config::AUTH_PORT).into());
        set("auth_service", "authentication", serde_json::json!({ "second_factor": "otp" }));
    }
    if enabled.contains(&"proxy") {
        let port = arguments.public_addr.as_deref().map_or(config::PROXY_PORT, public_port);
        set("proxy_service", "web_listen_addr", format!("0.0.0.0:{port}").into());
    }
    if let Some(address) = &arguments.public_addr {
        set("proxy_service", "public_addr", address.as_str().into());
    }
    if let (Some(cert), Some(key)) = (&arguments.cert_file, &arguments.key_file) {
        let pair = serde_json::json!([{ "key_file": key, "cert_file": cert }]);
        set("proxy_service", "https_keypairs", pair);
    }
    if let (Some(name), Some(uri)) = (&arguments.app_name, &arguments.app_uri) {
        set("app_service", "apps", serde_json::json!([{ "name": name, "uri": uri }]));
    }
    let body = api::yaml::write(&file).map_err(anyhow::Error::msg)?;
    Ok(format!("#\n# A configuration of Causeway. Every key: docs/configuration.md\n#\n{body}"))
}

fn teleport(arguments: &Arguments) -> serde_json::Value {
    let mut teleport = serde_json::Map::new();
    teleport.insert("data_dir".to_owned(), arguments.data_dir.display().to_string().into());
    if let Some(token) = &arguments.token {
        let join = serde_json::json!({ "token_name": token, "method": "token" });
        teleport.insert("join_params".to_owned(), join);
    }
    for (key, value) in
        [("auth_server", &arguments.auth_server), ("proxy_server", &arguments.proxy)]
    {
        if let Some(value) = value {
            teleport.insert(key.to_owned(), value.as_str().into());
        }
    }
    teleport.into()
}

fn public_port(address: &str) -> u16 {
    config::split_port(address).1.and_then(|port| port.parse().ok()).unwrap_or(config::PROXY_PORT)
}
