//! `teleport.yaml` as it is meant: every value checked, each service with its own part.
//!
//! A problem names file, line and key. Command-line values replace those of
//! the file before anything is checked.

mod authentication;
mod certificates;

use std::path::PathBuf;
use std::time::Duration;

use access::{App, ClusterName};
use api::yaml::{self, YamlProblem};
use serde_saphyr::Spanned;

use crate::settings::{
    AppSettings, AuthSettings, Join, LogOutput, LogSettings, Overrides, ProxySettings, Settings,
    SpoolSync,
};
use crate::written::{self, OneOrMany};

/// Where state is kept unless `data_dir` says otherwise.
pub const DEFAULT_DATA_DIR: &str = "/var/lib/teleport";
/// Port of the Auth Service.
pub const AUTH_PORT: u16 = 3025;
/// Port of the Proxy Service.
pub const PROXY_PORT: u16 = 3080;

/// Reads `teleport.yaml`.
///
/// # Errors
/// At the first problem, with file, line and key.
pub fn read(text: &str, file: &str, overrides: &Overrides) -> Result<Settings, YamlProblem> {
    let written: written::File =
        if text.trim().is_empty() { written::File::default() } else { yaml::read(text, file)? };
    Reader { file }.settings(written, overrides)
}

struct Reader<'a> {
    file: &'a str,
}

impl Reader<'_> {
    fn problem(&self, line: u64, reason: impl Into<String>) -> YamlProblem {
        YamlProblem { file: self.file.to_owned(), line: line.max(1), reason: reason.into() }
    }

    fn at<T>(&self, value: &Spanned<T>, reason: impl Into<String>) -> YamlProblem {
        self.problem(value.referenced.line(), reason)
    }

    fn settings(
        &self,
        written: written::File,
        overrides: &Overrides,
    ) -> Result<Settings, YamlProblem> {
        self.check_version(written.version.as_ref())?;
        self.check_others(&written)?;
        let roles = self.roles(&written, overrides)?;
        let mut warnings = Vec::new();
        let teleport = written.teleport;
        let nodename = overrides.nodename.clone().or(teleport.nodename.clone());
        let nodename = nodename.unwrap_or_else(hostname);
        let data_dir = self.data_dir(&teleport)?;
        let join = self.join(&teleport, overrides)?;
        let max_connections =
            teleport.connection_limits.max_connections.as_ref().map_or(15_000, |max| max.value);
        let proxy = match roles.proxy {
            true => Some(self.proxy(written.proxy_service, max_connections, &mut warnings)?),
            false => None,
        };
        let auth = match roles.auth {
            true => {
                let proxy = proxy.as_ref().and_then(|proxy| proxy.public_addr.as_deref());
                Some(self.auth(written.auth_service, &nodename, proxy)?)
            }
            false => None,
        };
        let app = match roles.app {
            true => Some(self.app(written.app_service)?),
            false => None,
        };
        self.check_reachable(&teleport, auth.is_some(), &join, (proxy.is_some(), app.is_some()))?;
        if teleport.advertise_ip.is_some() {
            warnings.push(
                "teleport.advertise_ip has no effect: every address is dialled as given".to_owned(),
            );
        }
        Ok(Settings {
            nodename,
            data_dir,
            pid_file: overrides.pid_file.clone().or(teleport.pid_file.as_ref().map(PathBuf::from)),
            diag_addr: self.diag_addr(&teleport, overrides)?,
            log: self.log(&teleport.log, overrides)?,
            join,
            shutdown_deadline: self.shutdown_deadline(&teleport)?,
            auth,
            proxy,
            app,
            warnings,
        })
    }

    fn check_version(&self, version: Option<&Spanned<String>>) -> Result<(), YamlProblem> {
        match version {
            None => Err(self.problem(1, "`version` is missing; expected version: v3")),
            Some(version) if version.value != "v3" => {
                Err(self.at(version, format!("version is `{}`; expected v3", version.value)))
            }
            Some(_) => Ok(()),
        }
    }

    fn check_others(&self, written: &written::File) -> Result<(), YamlProblem> {
        let others = [
            ("ssh_service", &written.ssh_service),
            ("db_service", &written.db_service),
            ("kubernetes_service", &written.kubernetes_service),
            ("windows_desktop_service", &written.windows_desktop_service),
            ("discovery_service", &written.discovery_service),
            ("okta_service", &written.okta_service),
        ];
        for (name, service) in others {
            if service.enabled == Some(true) {
                return Err(self.problem(
                    1,
                    format!(
                        "{name}.enabled is on, but this program has no such service; set it to off"
                    ),
                ));
            }
        }
        Ok(())
    }

    fn roles(&self, written: &written::File, overrides: &Overrides) -> Result<Roles, YamlProblem> {
        let roles = match &overrides.roles {
            Some(names) => self.named_roles(names)?,
            None => Roles {
                auth: written.auth_service.enabled.unwrap_or(true),
                proxy: written.proxy_service.enabled.unwrap_or(true),
                app: written.app_service.enabled.unwrap_or(false),
            },
        };
        if roles.auth || roles.proxy || roles.app {
            return Ok(roles);
        }
        Err(self.problem(
            1,
            "no service is enabled; set enabled: yes in auth_service, proxy_service or app_service",
        ))
    }

    fn named_roles(&self, names: &[String]) -> Result<Roles, YamlProblem> {
        let mut roles = Roles::default();
        for name in names.iter().flat_map(|list| list.split(',')) {
            match name.trim().to_ascii_lowercase().as_str() {
                "auth" => roles.auth = true,
                "proxy" => roles.proxy = true,
                "app" => roles.app = true,
                other => {
                    let reason =
                        format!("--roles: `{other}` is not a role; expected auth, proxy or app");
                    return Err(self.problem(1, reason));
                }
            }
        }
        Ok(roles)
    }

    fn data_dir(&self, teleport: &written::Teleport) -> Result<PathBuf, YamlProblem> {
        match &teleport.data_dir {
            None => Ok(PathBuf::from(DEFAULT_DATA_DIR)),
            Some(folder) if folder.value.trim().is_empty() => {
                Err(self.at(folder, "teleport.data_dir is empty; expected a folder"))
            }
            Some(folder) => Ok(PathBuf::from(&folder.value)),
        }
        .and_then(|folder| self.storage(&teleport.storage).map(|path| path.unwrap_or(folder)))
    }

    fn storage(&self, storage: &written::Storage) -> Result<Option<PathBuf>, YamlProblem> {
        match &storage.kind {
            Some(kind) if kind.value != "sqlite" && kind.value != "dir" => Err(self
                .at(kind, format!("teleport.storage.type is `{}`; expected sqlite", kind.value))),
            _ => Ok(storage.path.as_ref().map(PathBuf::from)),
        }
    }

    fn join(
        &self,
        teleport: &written::Teleport,
        overrides: &Overrides,
    ) -> Result<Join, YamlProblem> {
        if let (Some(_), Some(auth)) = (&teleport.proxy_server, &teleport.auth_server) {
            return Err(
                self.at(auth, "teleport.auth_server and teleport.proxy_server exclude each other")
            );
        }
        let method = teleport.join_params.as_ref().map(|join| &join.method);
        if let Some(method) = method.filter(|method| method.value != "token") {
            return Err(self.at(
                method,
                format!("teleport.join_params.method is `{}`; expected token", method.value),
            ));
        }
        let written_token = match (&teleport.join_params, &teleport.auth_token) {
            (Some(join), _) => Some(join.token_name.value.clone()),
            (None, Some(token)) => Some(token.value.clone()),
            (None, None) => None,
        };
        let mut ca_pins = overrides.ca_pins.clone();
        if ca_pins.is_empty() {
            ca_pins = teleport.ca_pin.clone().map(OneOrMany::into_vec).unwrap_or_default();
        }
        let auth_server = match &overrides.auth_server {
            Some(address) => Some(with_port(address, AUTH_PORT)),
            None => {
                self.address(teleport.auth_server.as_ref(), "teleport.auth_server", AUTH_PORT)?
            }
        };
        Ok(Join {
            proxy_server: self.address(
                teleport.proxy_server.as_ref(),
                "teleport.proxy_server",
                PROXY_PORT,
            )?,
            auth_server,
            token: overrides.token.clone().or(written_token),
            ca_pins,
        })
    }

    fn check_reachable(
        &self,
        teleport: &written::Teleport,
        auth_here: bool,
        join: &Join,
        (proxy, app): (bool, bool),
    ) -> Result<(), YamlProblem> {
        if auth_here {
            return Ok(());
        }
        if proxy && join.auth_server.is_none() {
            let line = teleport.proxy_server.as_ref().map_or(1, |at| at.referenced.line());
            return Err(self.problem(
                line,
                "proxy_service runs without auth_service here, so teleport.auth_server is needed (host:3025)",
            ));
        }
        if app && join.proxy_server.is_none() && !proxy {
            return Err(self.problem(
                1,
                "app_service needs teleport.proxy_server, e.g. proxy_server: \"teleport.example.com:443\"",
            ));
        }
        Ok(())
    }

    fn address(
        &self,
        value: Option<&Spanned<String>>,
        key: &str,
        port: u16,
    ) -> Result<Option<String>, YamlProblem> {
        let Some(value) = value else { return Ok(None) };
        let text = value.value.trim().trim_start_matches("https://").trim_end_matches('/');
        let (host, rest) = split_port(text);
        let bad = host.is_empty()
            || host.contains(['/', '@', ' ', '?', '#'])
            || rest.is_some_and(|port| port.parse::<u16>().is_err());
        if bad {
            return Err(self.at(value, format!("{key} is `{}`; expected host:port", value.value)));
        }
        Ok(Some(with_port(text, port)))
    }

    fn diag_addr(
        &self,
        teleport: &written::Teleport,
        overrides: &Overrides,
    ) -> Result<Option<String>, YamlProblem> {
        match &overrides.diag_addr {
            Some(address) => Ok(Some(address.clone())),
            None => self.address(teleport.diag_addr.as_ref(), "teleport.diag_addr", 3000),
        }
    }

    fn shutdown_deadline(&self, teleport: &written::Teleport) -> Result<Duration, YamlProblem> {
        match &teleport.shutdown_delay {
            None => Ok(Duration::from_secs(10)),
            Some(text) => self.duration(text, "teleport.shutdown_delay"),
        }
    }

    fn duration(&self, text: &Spanned<String>, key: &str) -> Result<Duration, YamlProblem> {
        api::duration::parse(&text.value).map_err(|error| self.at(text, format!("{key}: {error}")))
    }

    fn log(&self, log: &written::Log, overrides: &Overrides) -> Result<LogSettings, YamlProblem> {
        let output = match log.output.as_ref().map(|output| output.value.as_str()) {
            None | Some("" | "stderr" | "error" | "2") => LogOutput::Stderr,
            Some("stdout" | "out" | "1") => LogOutput::Stdout,
            Some(path) if path.starts_with('/') => LogOutput::File(PathBuf::from(path)),
            Some(other) => {
                let reason = format!(
                    "teleport.log.output is `{other}`; expected stderr, stdout or an absolute path"
                );
                return Err(
                    self.problem(log.output.as_ref().map_or(1, |at| at.referenced.line()), reason)
                );
            }
        };
        let json = match &log.format.output {
            None => false,
            Some(format) => match format.value.as_str() {
                "text" => false,
                "json" => true,
                other => {
                    let reason =
                        format!("teleport.log.format.output is `{other}`; expected text or json");
                    return Err(self.at(format, reason));
                }
            },
        };
        Ok(LogSettings { output, severity: self.severity(log, overrides)?, json })
    }

    fn severity(
        &self,
        log: &written::Log,
        overrides: &Overrides,
    ) -> Result<tracing::Level, YamlProblem> {
        if overrides.debug {
            return Ok(tracing::Level::DEBUG);
        }
        let Some(severity) = &log.severity else { return Ok(tracing::Level::INFO) };
        match severity.value.to_ascii_lowercase().as_str() {
            "" | "info" => Ok(tracing::Level::INFO),
            "err" | "error" => Ok(tracing::Level::ERROR),
            "warn" | "warning" => Ok(tracing::Level::WARN),
            "debug" => Ok(tracing::Level::DEBUG),
            "trace" => Ok(tracing::Level::TRACE),
            other => Err(self.at(
                severity,
                format!(
                    "teleport.log.severity is `{other}`; expected ERROR, WARN, INFO, DEBUG or TRACE"
                ),
            )),
        }
    }

    fn auth(
        &self,
        auth: written::Auth,
        nodename: &str,
        public_addr: Option<&str>,
    ) -> Result<AuthSettings, YamlProblem> {
        let (name, line) = match &auth.cluster_name {
            Some(name) => (name.value.clone(), name.referenced.line()),
            None => (nodename.to_owned(), 1),
        };
        let cluster_name = ClusterName::parse(&name)
            .map_err(|e| self.problem(line, format!("auth_service.cluster_name: {e}")))?;
        if let Some(mode) = auth.proxy_listener_mode.as_ref().filter(|m| m.value != "multiplex") {
            let reason =
                format!("auth_service.proxy_listener_mode is `{}`; expected multiplex", mode.value);
            return Err(self.at(mode, reason));
        }
        for token in &auth.tokens {
            if !token.value.contains(':') {
                return Err(self.at(
                    token,
                    "auth_service.tokens: expected e.g. \"app:secret\" or \"app:/path\"",
                ));
            }
        }
        let authentication = self.authentication(&auth, public_addr)?;
        let listen =
            self.address(auth.listen_addr.as_ref(), "auth_service.listen_addr", AUTH_PORT)?;
        let public = auth.public_addr.map(OneOrMany::into_vec).unwrap_or_default();
        Ok(AuthSettings {
            cluster_name,
            listen_addr: listen.unwrap_or_else(|| format!("0.0.0.0:{AUTH_PORT}")),
            public_addrs: public.iter().map(|address| with_port(address, AUTH_PORT)).collect(),
            tokens: auth.tokens.into_iter().map(|token| token.value).collect(),
            authentication,
        })
    }

    fn proxy(
        &self,
        proxy: written::Proxy,
        max_connections: u32,
        warnings: &mut Vec<String>,
    ) -> Result<ProxySettings, YamlProblem> {
        for (key, value) in [
            ("proxy_service.listen_addr", &proxy.listen_addr),
            ("proxy_service.tunnel_listen_addr", &proxy.tunnel_listen_addr),
        ] {
            if value.is_some() {
                warnings
                    .push(format!("{key} has no effect: everything is served on web_listen_addr"));
            }
        }
        let listen = self.address(
            proxy.web_listen_addr.as_ref(),
            "proxy_service.web_listen_addr",
            PROXY_PORT,
        )?;
        let web_listen_addr = listen.unwrap_or_else(|| format!("0.0.0.0:{PROXY_PORT}"));
        let port =
            split_port(&web_listen_addr).1.and_then(|p| p.parse().ok()).unwrap_or(PROXY_PORT);
        let public = proxy.public_addr.clone().map(|list| list.value.into_vec());
        let public = public.unwrap_or_default();
        let public_addr = public.first().map(|address| with_port(address, port));
        Ok(ProxySettings {
            web_listen_addr,
            https_keypairs_reload: self.reload(&proxy)?,
            acme: self.acme(&proxy.acme, public_addr.as_deref())?,
            https_keypairs: Self::https_keypairs(proxy.https_keypairs),
            public_addr,
            max_connections,
        })
    }

    fn app(&self, app: written::App) -> Result<AppSettings, YamlProblem> {
        if app.debug_app {
            return Err(self.problem(1, "app_service.debug_app is not served; remove the key"));
        }
        let mut apps: Vec<App> = Vec::new();
        for (index, entry) in app.apps.into_iter().enumerate() {
            let line = entry.referenced.line();
            let key = format!("app_service.apps[{index}]");
            let read = self.app_entry(entry.value, &key, line)?;
            if apps.iter().any(|known| known.metadata.name == read.metadata.name) {
                let reason = format!("{key}: there are two apps named `{}`", read.metadata.name);
                return Err(self.problem(line, reason));
            }
            apps.push(read);
        }
        let spool_sync = match &app.audit_spool.sync {
            None => SpoolSync::default(),
            Some(sync) => match sync.value.as_str() {
                "before_answer" => SpoolSync::BeforeAnswer,
                "before_call" => SpoolSync::BeforeCall,
                other => {
                    let reason = format!(
                        "app_service.audit_spool.sync is `{other}`; expected before_answer or before_call"
                    );
                    return Err(self.at(sync, reason));
                }
            },
        };
        let megabytes = app.audit_spool.max_size_mb.map_or(1_024, |size| size.value.max(16));
        let resources = app.resources.into_iter().map(|selector| {
            selector.labels.into_iter().map(|(key, values)| (key, values.into_vec())).collect()
        });
        Ok(AppSettings {
            apps,
            resources: resources.collect(),
            spool_limit: megabytes * 1024 * 1024,
            spool_sync,
        })
    }

    fn app_entry(
        &self,
        entry: written::AppEntry,
        key: &str,
        line: u64,
    ) -> Result<App, YamlProblem> {
        let mut labels = entry.labels;
        labels.entry("teleport.dev/origin".to_owned()).or_insert_with(|| "config-file".to_owned());
        let document = serde_json::json!({
            "kind": "app",
            "version": "v3",
            "metadata": {
                "name": entry.name,
                "description": entry.description,
                "labels": labels,
            },
            "spec": {
                "uri": entry.uri.unwrap_or_default(),
                "cloud": entry.cloud.unwrap_or_default(),
                "public_addr": entry.public_addr.unwrap_or_default(),
                "insecure_skip_verify": entry.insecure_skip_verify,
                "aws": entry.aws.map(|aws| serde_json::json!({ "external_id": aws.external_id })),
            },
        });
        let document = without_nulls(document);
        let app: App = serde_json::from_value(document)
            .map_err(|error| self.problem(line, format!("{key}: {error}")))?;
        access::resource::validate(&app)
            .map_err(|error| self.problem(line, format!("{key}: {error}")))?;
        Ok(app)
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Roles {
    auth: bool,
    proxy: bool,
    app: bool,
}

fn without_nulls(value: serde_json::Value) -> serde_json::Value {
    match value {
        serde_json::Value::Object(map) => map
            .into_iter()
            .filter(|(_, value)| !value.is_null() && value.as_str() != Some(""))
            .map(|(key, value)| (key, without_nulls(value)))
            .collect(),
        other => other,
    }
}

/// `host`, and the port if there is one; brackets of an IPv6 address stay.
pub(crate) fn split_port(address: &str) -> (&str, Option<&str>) {
    match address.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, Some(port)),
        _ => (address, None),
    }
}

fn with_port(address: &str, port: u16) -> String {
    let address = address.trim().trim_start_matches("https://").trim_end_matches('/');
    match split_port(address) {
        (_, Some(_)) => address.to_owned(),
        (host, None) => format!("{host}:{port}"),
    }
}

fn hostname() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    if name.is_empty() { "localhost".to_owned() } else { name }
}
