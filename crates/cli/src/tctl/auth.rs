//! `tctl auth`: the cluster's certificate authorities.

use clap::{Args, Subcommand, ValueEnum};
use pki::{AuthorityKind, CertPem};

use super::door::Door;
use crate::failure::Failure;
use crate::output::Output;

/// Certificate authorities
#[derive(Debug, Args)]
pub struct AuthArgs {
    #[command(subcommand)]
    command: AuthCommand,
}

#[derive(Debug, Subcommand)]
enum AuthCommand {
    /// Print the certificates of an authority
    Export(ExportArgs),
}

#[derive(Debug, Args)]
struct ExportArgs {
    /// Which authority
    #[arg(long = "type", value_enum, default_value_t)]
    kind: ExportKind,
}

/// Which authority is exported.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum ExportKind {
    /// The one of the cluster's services.
    #[default]
    Host,
    /// The same.
    TlsHost,
    /// The one of the users.
    User,
    /// The same.
    TlsUser,
}

/// Runs `tctl auth …`.
///
/// # Errors
/// When the authority's certificate is not known here.
pub fn run(args: &AuthArgs, door: &Door, output: &mut Output) -> Result<(), Failure> {
    let AuthCommand::Export(args) = &args.command;
    let kind = match args.kind {
        ExportKind::Host | ExportKind::TlsHost => AuthorityKind::Host,
        ExportKind::User | ExportKind::TlsUser => AuthorityKind::User,
    };
    let certificates: String = door.trust.authorities(kind).iter().map(CertPem::as_str).collect();
    if certificates.is_empty() {
        return Err(Failure::new(format!(
            "the certificate of the {kind} authority is not known here"
        ))
        .with_hint("run tctl on the host of the Auth Service"));
    }
    output.text(certificates)
}
