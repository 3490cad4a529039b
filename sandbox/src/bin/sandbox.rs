//! `sandbox serve`: the stand-in as a program.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use sandbox::keys;
use sandbox::roles::Role;
use sandbox::serve::Listener;
use sandbox::tls;
use sandbox::world::{Beginning, World};
use tokio::signal::unix::{SignalKind, signal};

/// A strict stand-in for AWS: DynamoDB, STS, S3 and console federation, every signature checked.
#[derive(Debug, Parser)]
#[command(name = "sandbox", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve until SIGTERM or SIGINT.
    Serve(Serve),
}

#[derive(Debug, Args)]
struct Serve {
    /// Where to listen; port 0 takes a free one, and the first line of the output tells it.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Speak TLS, with an authority made at the start unless --cert and --key are given.
    #[arg(long)]
    tls: bool,
    /// Write the certificate of the authority to this file.
    #[arg(long, value_name = "FILE", requires = "tls", conflicts_with = "cert")]
    ca_out: Option<PathBuf>,
    /// A certificate chain (PEM), instead of an authority.
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,
    /// The key of that certificate (PEM).
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
    /// The lasting access keys: a file (environment lines or a JSON list), or `generated`.
    #[arg(long, value_name = "FILE|generated", default_value = "generated")]
    keys: String,
    /// Write the first lasting key to this file as environment lines (mode 0600).
    #[arg(long, value_name = "FILE")]
    keys_out: Option<PathBuf>,
    /// The account of keys that name none.
    #[arg(long, default_value = "111122223333")]
    account: String,
    /// The region that --keys-out names.
    #[arg(long, default_value = "us-east-1")]
    region: String,
    /// A role that may be assumed: ARN[,external_id=X][,max=SECONDS][,allow=PATTERN+PATTERN].
    /// Without any, all may.
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<Role>,
    /// Keep tables, objects and keys in this directory; without it, they end with the process.
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Write a line of JSON for each request to this file.
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// Another host name to serve, beside AWS's own, localhost and addresses.
    #[arg(long = "host", value_name = "NAME")]
    hosts: Vec<String>,
    /// A token of an OpenID provider, or a SAML assertion, by which roles may be assumed.
    #[arg(long = "identity-token", value_name = "TOKEN")]
    identity_tokens: Vec<String>,
}

fn main() -> anyhow::Result<()> {
    let Command::Serve(args) = Cli::parse().command;
    // Engine calls block a worker for their time, so there are a few more than cores.
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build()?;
    runtime.block_on(serve(args))
}

async fn serve(args: Serve) -> anyhow::Result<()> {
    // Before the ready line: whoever reads it may send a signal at once.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let world = Arc::new(World::begin(Beginning {
        state: args.state.clone(),
        log: args.log.clone(),
        hosts: args.hosts.iter().map(|host| host.to_ascii_lowercase()).collect(),
        identity_tokens: args.identity_tokens.clone(),
    })?);
    enrol(&world, &args)?;
    for role in &args.roles {
        world.roles.add(role.clone());
    }
    let listener = Listener::bind(args.listen)
        .await
        .with_context(|| format!("could not listen on {}", args.listen))?;
    let address = listener.address()?;
    let (listener, scheme) = match (&args.cert, &args.key) {
        (Some(cert), Some(key)) => (listener.with_tls(tls::from_files(cert, key)?), "https"),
        _ if args.tls => {
            (listener.with_tls(tls::self_made(address.ip(), args.ca_out.as_deref())?), "https")
        }
        _ => (listener, "http"),
    };
    announce(&format!("sandbox listening on {scheme}://{address}"))?;
    let stop = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    listener.serve(world, stop).await;
    Ok(())
}

fn enrol(world: &World, args: &Serve) -> anyhow::Result<()> {
    let known =
        world.keys.all().into_iter().filter(|one| one.session.is_none()).map(|one| (*one).clone());
    let mut lasting: Vec<_> = known.collect();
    if args.keys != "generated" {
        lasting = keys::read_file(args.keys.as_ref(), &args.account)?;
    } else if lasting.is_empty() {
        lasting.push(keys::generate(&args.account, "agent"));
    }
    for key in &lasting {
        if world.keys.find(&key.access_key_id).is_none() {
            world.enrol(key.clone())?;
        }
    }
    if let (Some(path), Some(first)) = (&args.keys_out, lasting.first()) {
        keys::write_env(path, first, &args.region)?;
    }
    Ok(())
}

/// The one line that programs read: it comes when connections are accepted.
fn announce(line: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}
