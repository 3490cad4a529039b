//! Real AWS clients: the AWS CLI, boto3, the JavaScript SDK.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cluster::clean;
use crate::places;
use crate::tsh::LocalProxy;

/// How a client is pointed at AWS.
#[derive(Debug, Clone, Copy)]
pub enum Road<'a> {
    /// Through `tsh proxy aws`.
    HttpsProxy(&'a LocalProxy),
    /// Through `tsh proxy aws --endpoint-url`.
    EndpointUrl(&'a LocalProxy),
    /// Straight to the sandbox with its own keys.
    Direct(&'a [(String, String)]),
}

impl Road<'_> {
    /// Sets what the printed instructions say on a command.
    pub fn apply(&self, command: &mut Command) {
        command.env("AWS_REGION", "us-east-1").env("AWS_DEFAULT_REGION", "us-east-1");
        match self {
            Self::Direct(environment) => {
                command.envs(environment.iter().cloned());
            }
            Self::HttpsProxy(proxy) => {
                command.envs(proxy.environment.iter().cloned());
                command.env("NODE_EXTRA_CA_CERTS", proxy.value("AWS_CA_BUNDLE"));
            }
            Self::EndpointUrl(proxy) => {
                command.envs(proxy.environment.iter().cloned());
                command.env("NODE_EXTRA_CA_CERTS", proxy.value("AWS_CA_BUNDLE"));
                command.env("AWS_ENDPOINT_URL", format!("https://localhost:{}", proxy.port));
            }
        }
    }
}

/// The AWS CLI.
#[must_use]
pub fn aws_cli(road: Road<'_>, arguments: &[&str]) -> Command {
    let mut command = clean(places::python_client("aws"));
    command.args(arguments).env("AWS_PAGER", "");
    road.apply(&mut command);
    command
}

/// A Python program of `crates/testkit/clients`.
#[must_use]
pub fn python(road: Road<'_>, program: &str, arguments: &[&str]) -> Command {
    let mut command = clean(places::python_client("python3"));
    command.arg(source(program)).args(arguments);
    road.apply(&mut command);
    command
}

/// A JavaScript program of `crates/testkit/clients`, run beside the node modules.
#[must_use]
pub fn node(road: Road<'_>, program: &str, arguments: &[&str]) -> Command {
    let folder = places::node_clients();
    let copy = folder.join(program);
    std::fs::copy(source(program), &copy).unwrap();
    let mut command = clean("node");
    command.arg(copy).args(arguments).current_dir(folder);
    road.apply(&mut command);
    command
}

fn source(program: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients").join(program)
}
