//! By which door `tctl` reaches the Auth Service, and as whom: the identity that the Auth
//! Service leaves in its `data_dir`, or else the saved login of `tsh`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use api::{Client, files, wire};
use clap::Args;
use pki::tls::{self, ClientTls, TrustedServers};
use pki::{Clock, Credential, LiveCredential, LiveTrust, Trust};

use crate::edge;
use crate::failure::{Failure, OrFail as _};
use crate::tsh::context::{self, Context};

/// Where the settings are unless told otherwise.
const CONFIG: &str = "/etc/teleport.yaml";
/// `data_dir` unless the settings say otherwise.
const DATA_DIR: &str = "/var/lib/teleport";
/// Port of the Auth Service.
const PORT: u16 = 3025;
/// How often a half-renewed identity is read again.
const READS: u32 = 5;

/// Flags of every `tctl` command.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// Settings of the Auth Service on this host
    #[arg(short, long, env = "TELEPORT_CONFIG_FILE", hide_env_values = true, global = true)]
    pub config: Option<String>,
    /// Address of the Auth Service, host[:port]
    #[arg(
        long,
        env = "TELEPORT_AUTH_SERVER",
        hide_env_values = true,
        global = true,
        value_delimiter = ','
    )]
    pub auth_server: Vec<String>,
    /// Folder with another identity (key.pem, cert.pem, trust.json); needs --auth-server
    #[arg(short, long, env = "TELEPORT_IDENTITY_FILE", hide_env_values = true, global = true)]
    pub identity: Option<String>,
    /// Accepted; services always prove who they are with the cluster's own certificates
    #[arg(long, global = true)]
    pub insecure: bool,
    /// Log to stderr
    #[arg(short, long, env = "TELEPORT_DEBUG", hide_env_values = true, global = true,
          value_parser = clap::builder::FalseyValueParser::new())]
    pub debug: bool,
}

impl Global {
    /// An empty value, as of a variable that is set to nothing, is none.
    fn without_blanks(mut self) -> Self {
        self.config = self.config.filter(|path| !path.is_empty());
        self.identity = self.identity.filter(|path| !path.is_empty());
        self.auth_server.retain(|server| !server.is_empty());
        self
    }
}

/// An open door: a client, and whom it trusts.
#[derive(Debug)]
pub struct Door {
    /// Calls the Auth Service.
    pub client: Client,
    /// The authorities that this side knows.
    pub trust: Trust,
    /// Where a connection goes, for errors.
    address: String,
}

/// An identity as the Auth Service leaves it in `data_dir/admin`.
struct AdminIdentity {
    credential: Credential,
    trust: Trust,
    address: Option<String>,
}

impl Door {
    /// Chooses the identity. Dials nothing yet.
    ///
    /// # Errors
    /// When there is no identity that can be used.
    pub fn open(global: &Global) -> Result<Self, Failure> {
        let global = &global.clone().without_blanks();
        if let Some(folder) = global.identity.as_deref().map(Path::new) {
            if global.auth_server.is_empty() {
                return Err(Failure::misuse("tctl --identity also requires --auth-server"));
            }
            let identity = read_admin(folder)?.ok_or_else(|| {
                Failure::new(format!("no identity in {}", folder.display()))
                    .with_hint("expected key.pem, cert.pem and trust.json")
            })?;
            return Self::with_admin(global, identity);
        }
        let folder = admin_folder(global)?;
        match read_admin(&folder) {
            Ok(Some(identity)) => Self::with_admin(global, identity),
            // Another user's data_dir cannot be read: then the login counts.
            Ok(None) | Err(_) if global.config.is_none() => Self::with_login(&folder),
            Ok(None) => Err(no_admin(&folder)),
            Err(failure) => Err(failure),
        }
    }

    fn with_admin(global: &Global, identity: AdminIdentity) -> Result<Self, Failure> {
        let AdminIdentity { credential, trust, address } = identity;
        let facts = credential.cert().facts().or_fail("the admin identity cannot be read")?;
        if facts.not_after <= edge::now() {
            return Err(Failure::new("the admin identity in data_dir has expired")
                .with_hint("the Auth Service renews it while it runs; start it"));
        }
        let given = global.auth_server.first().map(|server| with_port(server));
        let address = given.or(address).unwrap_or_else(|| format!("127.0.0.1:{PORT}"));
        let tls = tls::client(ClientTls {
            credential: Some(LiveCredential::new(credential)),
            servers: TrustedServers::Cluster(LiveTrust::new(trust.clone())),
            alpn: vec![wire::ALPN_AUTH.to_vec()],
            clock: Clock::from(edge::now as fn() -> std::time::SystemTime),
        })
        .or_fail("the admin identity cannot be used")?;
        Ok(Self { client: Client::new(address.clone(), tls)?, trust, address })
    }

    fn with_login(admin: &Path) -> Result<Self, Failure> {
        let context = Context::of_process(context::Global::default())?;
        let Some(profile) = context.profile()? else {
            return Err(Failure::new("no identity for tctl").with_hint(format!(
                "run tctl on the Auth Service's host as the user that may read {}, or log in with `tsh login`",
                admin.display()
            )));
        };
        let login = context.login_of(profile)?;
        if login.claims.expires <= edge::now() {
            return Err(context::expired());
        }
        Ok(Self {
            client: context.client(&login)?,
            trust: context.trust(&login.profile)?,
            address: login.profile.web_proxy_addr.clone(),
        })
    }

    /// Says what a lost connection most likely means.
    #[must_use]
    pub fn explain(&self, failure: Failure) -> Failure {
        let is_unreachable = failure.to_string().starts_with("cannot connect to ");
        if !is_unreachable || failure.hint().is_some() {
            return failure;
        }
        let question = format!(
            "Cannot connect to the auth server. Is the auth server running on \"{}\"?",
            self.address
        );
        match std::error::Error::source(&failure) {
            Some(source) => Failure::caused_by(question, api::error::Chain(source).to_string()),
            None => Failure::new(question),
        }
    }
}

fn no_admin(folder: &Path) -> Failure {
    Failure::new(format!("no admin identity in {}", folder.display())).with_hint(
        "the Auth Service writes it when it starts; is this the data_dir of a running one, and may you read it?",
    )
}

/// `data_dir/admin` of the settings.
fn admin_folder(global: &Global) -> Result<PathBuf, Failure> {
    let path = PathBuf::from(global.config.as_deref().unwrap_or(CONFIG));
    let text = files::read_optional(&path);
    let text = match (text, &global.config) {
        (Ok(Some(text)), _) => Some(text),
        (Ok(None), Some(path)) => {
            return Err(Failure::new(format!("{path} does not exist")));
        }
        (Err(error), Some(_)) => return Err(error.into()),
        // The usual file that is not there or not ours to read is as good as none.
        (_, None) => None,
    };
    let data_dir = match text {
        Some(text) => data_dir(&text, &path.display().to_string())?,
        None => None,
    };
    Ok(data_dir.unwrap_or_else(|| PathBuf::from(DATA_DIR)).join("admin"))
}

/// `teleport.data_dir`. Nothing else of the settings is looked at: that is `teleport`'s to check.
fn data_dir(text: &str, file: &str) -> Result<Option<PathBuf>, Failure> {
    let settings: serde_json::Value =
        api::yaml::read(text, file).map_err(|problem| Failure::new(problem.to_string()))?;
    let found = settings.pointer("/teleport/data_dir").and_then(|value| value.as_str());
    Ok(found.filter(|path| !path.is_empty()).map(PathBuf::from))
}

/// Reads an identity; again when its files do not fit, because the Auth Service may be renewing them.
fn read_admin(folder: &Path) -> Result<Option<AdminIdentity>, Failure> {
    let mut left = READS;
    loop {
        left -= 1;
        match read_admin_once(folder) {
            Err(_) if left > 0 => std::thread::sleep(Duration::from_millis(20)),
            read => return read,
        }
    }
}

fn read_admin_once(folder: &Path) -> Result<Option<AdminIdentity>, Failure> {
    let read = |name: &str| files::read_optional(&folder.join(name));
    let (Some(key), Some(cert), Some(trust)) =
        (read("key.pem")?, read("cert.pem")?, read("trust.json")?)
    else {
        return Ok(None);
    };
    let damaged = || format!("the identity in {} is damaged", folder.display());
    Ok(Some(AdminIdentity {
        credential: Credential::from_pem(&cert, &key).or_fail(damaged())?,
        trust: serde_json::from_str(&trust).or_fail(damaged())?,
        address: read("address")?.map(|text| text.trim().to_owned()).filter(|t| !t.is_empty()),
    }))
}

/// `host` or `host:port` with the usual port where there is none.
fn with_port(server: &str) -> String {
    let has_port = server.rsplit_once(':').is_some_and(|(host, port)| {
        port.parse::<u16>().is_ok() && (!host.contains(':') || host.ends_with(']'))
    });
    if has_port { server.to_owned() } else { format!("{server}:{PORT}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_dir_is_found_in_any_settings() {
        for (text, expected) in [
            (
                "version: v3\nteleport:\n  data_dir: /srv/t\nauth_service:\n  enabled: yes\n",
                Some("/srv/t"),
            ),
            ("version: v3\nauth_service:\n  enabled: yes\n", None),
        ] {
            assert_eq!(data_dir(text, "t.yaml").unwrap(), expected.map(PathBuf::from));
        }
        assert!(data_dir("a: [", "t.yaml").unwrap_err().to_string().starts_with("t.yaml:1: "));
    }

    #[test]
    fn the_usual_port_is_added() {
        for (given, expected) in [
            ("auth.example.com", "auth.example.com:3025"),
            ("auth.example.com:443", "auth.example.com:443"),
            ("[::1]:1", "[::1]:1"),
        ] {
            assert_eq!(with_port(given), expected);
        }
    }

    #[test]
    fn an_identity_without_an_address_is_misuse() {
        let global = Global { identity: Some("/nowhere".into()), ..Global::default() };
        let failure = Door::open(&global).unwrap_err();
        assert_eq!(failure.to_string(), "tctl --identity also requires --auth-server");
    }

    #[test]
    fn given_settings_without_an_identity_are_reported() {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("t.yaml");
        std::fs::write(&config, format!("teleport:\n  data_dir: {}\n", folder.path().display()))
            .unwrap();
        let config = Some(config.display().to_string());
        let global = Global { config, ..Global::default() };
        let failure = Door::open(&global).unwrap_err();
        assert!(failure.to_string().starts_with("no admin identity in "), "{failure}");
    }
}
