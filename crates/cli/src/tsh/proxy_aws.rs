//! `tsh proxy aws`: the local proxy by itself, for other AWS tools.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use access::AppName;
use clap::{Args, Subcommand, ValueEnum};

use super::app_session::SavedSession;
use super::app_sessions;
use super::aws;
use super::context::{Context, Login};
use super::gateway::{Door, Gateway, Plan};
use super::proxy_banner::{Athena, Banner, Pair};
use super::session_ring::Scope;
use super::trust_store;
use crate::failure::{Failure, OrFail as _};
use crate::output::Output;

/// Run a local proxy
#[derive(Debug, Args)]
pub struct ProxyArgs {
    #[command(subcommand)]
    command: ProxyCommand,
}

#[derive(Debug, Subcommand)]
enum ProxyCommand {
    /// Run a local proxy for AWS tools
    Aws(ProxyAwsArgs),
    /// Run a local port that leads to a web or TCP app
    App(super::proxy_app::ProxyAppArgs),
}

/// Run a local proxy for AWS tools
#[derive(Debug, Args)]
pub struct ProxyAwsArgs {
    /// Serve this app only, instead of all that are logged in to
    #[arg(long)]
    pub app: Option<String>,
    /// Serve this AWS role only, by name or ARN
    #[arg(long)]
    pub aws_role: Option<String>,
    /// Port to listen on; any free one if left out
    #[arg(short, long)]
    pub port: Option<u16>,
    /// Address and port to listen on instead of this machine's loopback, as for containers
    #[arg(long, value_name = "ADDR:PORT", conflicts_with = "port")]
    pub listen: Option<SocketAddr>,
    /// Confirm that --listen may let other machines reach this proxy
    #[arg(long, requires = "listen")]
    pub allow_other_machines: bool,
    /// A name that clients on other machines reach the endpoint URL by, as host.docker.internal
    #[arg(long, value_name = "NAME", requires = "listen")]
    pub listen_name: Vec<String>,
    /// Serve as an endpoint URL instead of as an HTTPS proxy
    #[arg(short, long)]
    pub endpoint_url: bool,
    /// How the settings are printed
    #[arg(short, long, value_enum)]
    pub format: Option<EnvFormat>,
}

/// How settings for AWS tools are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum EnvFormat {
    /// `export K=V`.
    Unix,
    /// `$Env:K="V"`.
    Powershell,
    /// `set K=V`.
    CommandPrompt,
    /// `K=V`.
    Text,
    /// Properties of the Athena ODBC driver.
    AthenaOdbc,
    /// Settings of the Athena JDBC driver.
    AthenaJdbc,
    /// Properties for Java, with a trust store.
    Java,
}

/// Runs `tsh proxy …`.
///
/// # Errors
/// As the command.
pub async fn run(args: &ProxyArgs, context: &Context, output: &mut Output) -> Result<(), Failure> {
    match &args.command {
        ProxyCommand::Aws(args) => run_aws(args, context, output).await,
        ProxyCommand::App(args) => super::proxy_app::run(args, context, output).await,
    }
}

async fn run_aws(
    args: &ProxyAwsArgs,
    context: &Context,
    output: &mut Output,
) -> Result<(), Failure> {
    let door = if args.endpoint_url { Door::EndpointUrl } else { Door::HttpsProxy };
    // The guide prints plain assignments; `--format unix` gives lines to paste.
    let format = args.format.unwrap_or(EnvFormat::Text);
    check_format(format, door)?;
    let listen = listen(args)?;
    let login = context.valid_login()?;
    let (scope, sessions) = Box::pin(wanted(args, context, &login, output)).await?;
    if sessions.len() > 1 && matches!(format, EnvFormat::AthenaOdbc | EnvFormat::AthenaJdbc) {
        return Err(Failure::misuse("the Athena formats are for one app session")
            .with_hint("choose one with --app and --aws-role"));
    }
    let names = names(args, listen);
    let plan = Plan { door, listen, names: names.clone(), scope, sessions };
    let gateway = Gateway::start(context, &login, plan).await?;
    if !listen.ip().is_loopback() {
        output.warn(format!(
            "{} can be reached from other machines. Whoever has the keys below can use your AWS access through it \
             until you stop it; requests that are not signed with them are refused.",
            gateway.address
        ));
    }
    let trust_store = match format {
        EnvFormat::Java => Some(trust_store::write(&gateway.ca_bundle)?),
        _ => None,
    };
    let is_random_port = listen.port() == 0;
    output.text(banner((door, format), &gateway, (names, is_random_port), trust_store).text())?;
    until_interrupted().await.or_fail("could not wait for Ctrl-C")?;
    gateway.stop().await;
    Ok(())
}

/// Which sessions are served, and which are shown at the start.
async fn wanted(
    args: &ProxyAwsArgs,
    context: &Context,
    login: &Login,
    output: &mut Output,
) -> Result<(Scope, Vec<SavedSession>), Failure> {
    let role = args.aws_role.as_deref().filter(|role| !role.is_empty());
    if args.app.is_none() && role.is_none() {
        let mut live = app_sessions::all_live(context, login)?;
        live.retain(|session| session.aws_role().is_some());
        if live.len() > 1 {
            return Ok((Scope::All, live));
        }
    }
    let asked = (args.app.as_deref(), role);
    let session = Box::pin(aws::session(context, login, asked, output)).await?;
    let app = || session.app.clone();
    let scope = match (&args.app, role) {
        (None, None) => Scope::All,
        (_, Some(_)) => Scope::Session(app(), session.aws_role().cloned()),
        (Some(_), None) => Scope::App(app()),
    };
    Ok((scope, vec![session]))
}

/// Where to listen, if that is loopback or confirmed.
fn listen(args: &ProxyAwsArgs) -> Result<SocketAddr, Failure> {
    let near = SocketAddr::from((Ipv4Addr::LOCALHOST, args.port.unwrap_or(0)));
    let address = args.listen.unwrap_or(near);
    if address.ip().to_canonical().is_loopback() || args.allow_other_machines {
        return Ok(address);
    }
    Err(Failure::misuse(format!("{address} lets other machines and containers reach this proxy"))
        .with_hint(
            "if that is meant, add --allow-other-machines; whoever has the keys that are printed can then use your AWS access",
        ))
}

/// What an endpoint URL may be called beyond the names of this machine.
fn names(args: &ProxyAwsArgs, listen: SocketAddr) -> Vec<String> {
    let address = Some(listen.ip()).filter(|ip| !ip.is_loopback() && !ip.is_unspecified());
    let given = args.listen_name.iter().cloned();
    given.chain(address.as_ref().map(IpAddr::to_string)).collect()
}

fn banner(
    (door, format): (Door, EnvFormat),
    gateway: &Gateway,
    (names, is_random_port): (Vec<String>, bool),
    trust_store: Option<PathBuf>,
) -> Banner {
    let pairs = gateway.pairs.iter().map(|(session, keys)| Pair {
        app: session.app.to_string(),
        role: session.aws_role().map(ToString::to_string).unwrap_or_default(),
        access_key_id: keys.access_key_id().to_owned(),
        secret_access_key: keys.secret_access_key().to_owned(),
    });
    let app = gateway.pairs.first().map(|(session, _)| &session.app);
    Banner {
        door,
        format,
        listen: gateway.address,
        names,
        is_random_port,
        pairs: pairs.collect(),
        ca_bundle: gateway.ca_bundle.display().to_string(),
        trust_store: trust_store.map(|path| path.display().to_string()),
        athena: Athena::of_environment(app.map_or("", AppName::as_str)),
    }
}

pub(super) async fn until_interrupted() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted,
        _ = terminate.recv() => Ok(()),
    }
}

fn check_format(format: EnvFormat, door: Door) -> Result<(), Failure> {
    let name = match format {
        EnvFormat::AthenaOdbc => "athena-odbc",
        EnvFormat::AthenaJdbc => "athena-jdbc",
        _ => return Ok(()),
    };
    if door == Door::EndpointUrl {
        return Err(Failure::misuse(format!(
            "format \"{name}\" is not supported in --endpoint-url mode"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(listen: &str, allow_other_machines: bool) -> ProxyAwsArgs {
        ProxyAwsArgs {
            app: None,
            aws_role: None,
            port: None,
            listen: Some(listen.parse().unwrap()),
            allow_other_machines,
            listen_name: vec!["host.docker.internal".to_owned()],
            endpoint_url: false,
            format: None,
        }
    }

    #[test]
    fn other_machines_are_let_in_on_confirmation_only() {
        for (address, is_near) in [
            ("127.0.0.1:8443", true),
            ("127.9.9.9:0", true),
            ("[::1]:8443", true),
            ("[::ffff:127.0.0.1]:8443", true),
            ("0.0.0.0:8443", false),
            ("[::]:8443", false),
            ("172.17.0.1:8443", false),
            ("[::ffff:10.0.0.1]:8443", false),
        ] {
            let refused = listen(&args(address, false));
            assert_eq!(refused.is_ok(), is_near, "{address}");
            if let Err(failure) = refused {
                assert_eq!(failure.code(), 2);
                assert!(failure.hint().unwrap().contains("--allow-other-machines"));
            }
            assert_eq!(listen(&args(address, true)).unwrap(), address.parse().unwrap());
        }
    }

    #[test]
    fn an_endpoint_url_is_called_by_its_address_and_given_names() {
        let named = |address: &str| names(&args(address, true), address.parse().unwrap());
        assert_eq!(named("172.17.0.1:1"), ["host.docker.internal", "172.17.0.1"]);
        assert_eq!(named("0.0.0.0:1"), ["host.docker.internal"]);
    }

    #[test]
    fn athena_needs_the_https_proxy() {
        for format in [EnvFormat::AthenaOdbc, EnvFormat::AthenaJdbc] {
            assert!(check_format(format, Door::HttpsProxy).is_ok());
            let refused = check_format(format, Door::EndpointUrl).unwrap_err().to_string();
            assert!(refused.ends_with("is not supported in --endpoint-url mode"), "{refused}");
        }
    }
}
