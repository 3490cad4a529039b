//! An Auth Service in the folder, and the ways into it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use access::{App, AppName, ClusterName, HostId, RoleName, SystemRole, Traits, User, UserName};
use anyhow::{Result, ensure};
use api::resource::{PutMode, PutRequest};
use api::types::app_servers::AppServer;
use api::{Client, Resource, wire};
use auth::{AuthConfig, Handle};
use bytes::Bytes;
use futures_util::stream::{StreamExt as _, TryStreamExt as _, iter};
use pki::{ClientTls, Clock, Credential, LiveCredential, LiveTrust, TrustedServers};

use crate::events::{AGENT, Log, app_name, user_name};

/// Entries of one batch, and batches on their way at once.
const BATCH: u64 = 5_000;
const AT_ONCE: usize = 4;

/// The running service.
pub(crate) struct Town {
    handle: Handle,
    data_dir: PathBuf,
}

impl Town {
    /// Starts it on a free port.
    pub(crate) async fn start(data_dir: &Path, cluster: &str) -> Result<Self> {
        let mut config = AuthConfig::new(data_dir.to_owned(), ClusterName::parse(cluster)?);
        config.listen_addr = "127.0.0.1:0".parse()?;
        let handle = auth::start(config, Clock::from(crate::now as fn() -> SystemTime)).await?;
        Ok(Self { handle, data_dir: data_dir.to_owned() })
    }

    pub(crate) async fn stop(self) {
        self.handle.stop(Duration::from_secs(30)).await;
    }

    /// As `tctl` on the host.
    pub(crate) fn admin(&self) -> Result<Client> {
        let folder = self.data_dir.join(auth::ADMIN_FOLDER);
        let read = |name: &str| std::fs::read_to_string(folder.join(name));
        let credential =
            Credential::from_pem(&read(auth::ADMIN_CERTIFICATE)?, &read(auth::ADMIN_KEY)?)?;
        self.client(credential)
    }

    /// As the agent that reports the requests.
    pub(crate) async fn agent(&self) -> Result<Client> {
        let host = HostId::parse(AGENT)?;
        let (credential, _) =
            self.handle.local_identity(SystemRole::App, &host, "agent", &[]).await?;
        self.client(credential)
    }

    fn client(&self, credential: Credential) -> Result<Client> {
        let tls = pki::tls::client(ClientTls {
            credential: Some(LiveCredential::new(credential)),
            servers: TrustedServers::Cluster(LiveTrust::new(self.handle.trust())),
            alpn: vec![wire::ALPN_AUTH.to_vec()],
            clock: Clock::from(crate::now as fn() -> SystemTime),
        })?;
        Ok(Client::new(self.handle.addr().to_string(), Arc::clone(&tls))?)
    }

    /// Users with roles, traits and labels.
    pub(crate) async fn add_users(&self, count: u32) -> Result<()> {
        let admin = self.admin()?;
        let adding = (0..count).map(|number| {
            let admin = admin.clone();
            async move {
                let resource = Resource::User(Box::new(user(number)?));
                let request = PutRequest { resource, mode: PutMode::Replace };
                admin.put_resource(&request).await?;
                Ok(())
            }
        });
        iter(adding).buffer_unordered(64).try_collect().await
    }

    /// Audit entries, in order.
    pub(crate) async fn add_entries(&self, log: &Log) -> Result<()> {
        let agent = self.agent().await?;
        let starts = (0..log.entries).step_by(usize::try_from(BATCH)?);
        let writing = starts.map(|first| async move {
            let lines = log.lines(first, BATCH);
            tokio::task::yield_now().await;
            Ok::<_, anyhow::Error>(lines)
        });
        let batches = iter(writing).buffered(AT_ONCE);
        let stored = batches.map_ok(|lines| {
            let agent = agent.clone();
            async move { Ok(agent.store_audit(Bytes::from(lines)).await?) }
        });
        let mut stored = stored.try_buffered(AT_ONCE);
        while let Some(batch) = stored.try_next().await? {
            ensure!(batch.stored + batch.known > 0, "an empty batch");
        }
        Ok(())
    }

    /// An agent that serves the apps.
    pub(crate) async fn announce(&self, apps: Vec<App>) -> Result<()> {
        let server = AppServer {
            host_id: HostId::parse(AGENT)?,
            hostname: "agent".to_owned(),
            version: "0.1.0".to_owned(),
            apps,
            expires: None,
        };
        Ok(self.agent().await?.announce(&server).await?)
    }
}

fn user(number: u32) -> Result<User> {
    let roles = vec![RoleName::parse("access")?];
    let arns =
        (0..5).map(|role| format!("arn:aws:iam::{:012}:role/team/Role{role:02}", number % 7));
    let traits: Traits = [("aws_role_arns".to_owned(), arns.collect())].into();
    let mut user = User::new(UserName::parse(&user_name(number))?, roles, traits);
    user.metadata.labels.insert("team".to_owned(), format!("team-{}", number % 50));
    Ok(user)
}

/// The apps.
pub(crate) fn apps(count: u32) -> Result<Vec<App>> {
    let app = |number: u32| {
        let uri = match number % 5 {
            0 => "https://console.aws.amazon.com/console/home".to_owned(),
            _ => format!("http://10.0.{}.{}:8080", number / 250, number % 250),
        };
        let mut app = App::new(AppName::parse(&app_name(number))?, &uri);
        let env = if number.is_multiple_of(3) { "production" } else { "staging" };
        app.metadata.labels.insert("env".to_owned(), env.to_owned());
        app.metadata.labels.insert("team".to_owned(), format!("team-{}", number % 50));
        Ok(app)
    };
    (0..count).map(app).collect()
}

/// An app as `app_service.apps` of `teleport.yaml` writes it.
pub(crate) fn as_setting(app: &App) -> serde_json::Value {
    serde_json::json!({"name": app.name(), "uri": app.uri(), "labels": app.metadata.labels})
}
