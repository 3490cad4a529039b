//! `tsh proxy aws`: the local proxy by itself, for other AWS tools.

use clap::{Args, Subcommand, ValueEnum};

use super::aws;
use super::context::Context;
use super::gateway::{Door, Gateway};
use crate::edge;
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
    /// The app; may be left out when logged in to one AWS app only
    #[arg(long)]
    pub app: Option<String>,
    /// Port to listen on; any free one if left out
    #[arg(short, long)]
    pub port: Option<u16>,
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
    let login = context.valid_login()?;
    let session = Box::pin(aws::session(context, &login, args.app.as_deref(), output)).await?;
    let app = session.app.to_string();
    let gateway = Gateway::start(context, &login, session, (door, args.port.unwrap_or(0))).await?;
    let banner = Banner {
        door,
        format,
        port: gateway.port,
        is_random_port: args.port.is_none_or(|port| port == 0),
        access_key_id: gateway.keys.access_key_id().to_owned(),
        secret_access_key: gateway.keys.secret_access_key().to_owned(),
        ca_bundle: gateway.ca_bundle.display().to_string(),
        athena: Athena::of_environment(&app),
    };
    output.text(banner.text())?;
    until_interrupted().await.or_fail("could not wait for Ctrl-C")?;
    gateway.stop().await;
    Ok(())
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

/// What is printed at the start.
struct Banner {
    door: Door,
    format: EnvFormat,
    port: u16,
    is_random_port: bool,
    access_key_id: String,
    secret_access_key: String,
    ca_bundle: String,
    athena: Athena,
}

/// Values of the Athena formats that tsh does not know.
struct Athena {
    app: String,
    region: String,
    workgroup: String,
    keystore: String,
}

impl Athena {
    fn of_environment(app: &str) -> Self {
        let value = |name: &str, placeholder: &str| {
            edge::variable(name).unwrap_or_else(|| placeholder.to_owned())
        };
        Self {
            app: app.to_owned(),
            region: value("TELEPORT_AWS_REGION", "<region>"),
            workgroup: value("TELEPORT_AWS_WORKGROUP", "<workgroup>"),
            keystore: value("TELEPORT_AWS_KEYSTORE", "<keystore>"),
        }
    }
}

impl Banner {
    fn text(&self) -> String {
        let port = self.port;
        let mut text = match self.door {
            Door::HttpsProxy => format!("Started AWS proxy on http://127.0.0.1:{port}.\n"),
            Door::EndpointUrl => format!(
                "Started AWS proxy which serves as an AWS endpoint URL at https://localhost:{port}\n"
            ),
        };
        if self.is_random_port {
            text.push_str("To avoid port randomization, you can choose the listening port using the --port flag.\n");
        }
        text.push('\n');
        match self.format {
            EnvFormat::AthenaOdbc => text.push_str(&self.athena_odbc()),
            EnvFormat::AthenaJdbc => text.push_str(&self.athena_jdbc()),
            _ => {
                text.push_str(match self.door {
                    Door::HttpsProxy => "Use the following credentials and HTTPS proxy setting to connect to the proxy:\n",
                    Door::EndpointUrl => "In addition to the endpoint URL, use the following credentials to connect to the proxy:\n",
                });
                text.push_str(&self.assignments());
            }
        }
        text
    }

    fn assignments(&self) -> String {
        let mut pairs = vec![
            ("AWS_ACCESS_KEY_ID", self.access_key_id.clone()),
            ("AWS_SECRET_ACCESS_KEY", self.secret_access_key.clone()),
            ("AWS_CA_BUNDLE", self.ca_bundle.clone()),
        ];
        if self.door == Door::HttpsProxy {
            pairs.push(("HTTPS_PROXY", format!("http://127.0.0.1:{}", self.port)));
        }
        let line = |(name, value): &(&str, String)| match self.format {
            EnvFormat::Unix => format!("  export {name}={}\n", quoted_for_shell(value)),
            EnvFormat::Powershell => format!("  $Env:{name}=\"{value}\"\n"),
            EnvFormat::CommandPrompt => format!("  set {name}={value}\n"),
            _ => format!("  {name}={value}\n"),
        };
        pairs.iter().map(line).collect()
    }

    fn athena_odbc(&self) -> String {
        let Self { access_key_id, secret_access_key, ca_bundle, port, .. } = self;
        let Athena { region, workgroup, .. } = &self.athena;
        format!(
            "Set the following properties for the Athena ODBC data source:\n\
             [Teleport AWS Athena Access]\n\
             AuthenticationType = IAM Credentials\n\
             UID = {access_key_id}\n\
             PWD = {secret_access_key}\n\
             UseProxy = 1\n\
             ProxyScheme = http\n\
             ProxyHost = 127.0.0.1\n\
             ProxyPort = {port}\n\
             TrustedCerts = {ca_bundle}\n\
             \n\
             Here is a sample connection string using the above credentials and proxy settings:\n\
             DRIVER=Simba Amazon Athena ODBC Connector;AwsRegion={region};Workgroup={workgroup};AuthenticationType=IAM Credentials;UID={access_key_id};PWD={secret_access_key};UseProxy=1;ProxyScheme=http;ProxyHost=127.0.0.1;ProxyPort={port};TrustedCerts={ca_bundle}\n"
        )
    }

    fn athena_jdbc(&self) -> String {
        let Self { access_key_id, secret_access_key, ca_bundle, port, .. } = self;
        let Athena { app, region, workgroup, keystore } = &self.athena;
        format!(
            "First, add the following certificate to your keystore:\n\
             {ca_bundle}\n\
             \n\
             For example, to import the certificate using \"keytool\":\n\
             keytool -noprompt -importcert -alias teleport-aws-{app} -file {ca_bundle} -keystore {keystore}\n\
             \n\
             Then, set the following properties in the JDBC connection URL:\n\
             User = {access_key_id}\n\
             Password = {secret_access_key}\n\
             ProxyHost = 127.0.0.1\n\
             ProxyPort = {port}\n\
             \n\
             Here is a sample JDBC connection URL using the above credentials and proxy settings:\n\
             jdbc:awsathena://User={access_key_id};Password={secret_access_key};ProxyHost=127.0.0.1;ProxyPort={port};AwsRegion={region};Workgroup={workgroup}\n\
             \n\
             Note that a new certificate might be created for a new app session. If you encounter the \"remote error: tls: unknown certificate\" error, make sure your keystore is up-to-date.\n"
        )
    }
}

/// Quotes a value where the shell would read it as something else.
fn quoted_for_shell(value: &str) -> String {
    let is_plain = value.chars().all(|c| c.is_ascii_alphanumeric() || "-_./:@%+,~".contains(c));
    if is_plain { value.to_owned() } else { format!("'{}'", value.replace('\'', "'\\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn banner(door: Door, format: EnvFormat) -> Banner {
        Banner {
            door,
            format,
            port: 23456,
            is_random_port: false,
            access_key_id: "abcd1234-this-is-an-example".to_owned(),
            secret_access_key: "zyxw9876-this-is-an-example".to_owned(),
            ca_bundle: "/home/alice/.tsh/aws-localca.pem".to_owned(),
            athena: Athena {
                app: "aws".to_owned(),
                region: "<region>".to_owned(),
                workgroup: "<workgroup>".to_owned(),
                keystore: "<keystore>".to_owned(),
            },
        }
    }

    #[test]
    fn the_https_proxy_prints_what_the_guide_shows() {
        insta::assert_snapshot!(banner(Door::HttpsProxy, EnvFormat::Text).text(), @r"
        Started AWS proxy on http://127.0.0.1:23456.

        Use the following credentials and HTTPS proxy setting to connect to the proxy:
          AWS_ACCESS_KEY_ID=abcd1234-this-is-an-example
          AWS_SECRET_ACCESS_KEY=zyxw9876-this-is-an-example
          AWS_CA_BUNDLE=/home/alice/.tsh/aws-localca.pem
          HTTPS_PROXY=http://127.0.0.1:23456
        ");
    }

    #[test]
    fn the_endpoint_url_prints_what_the_guide_shows() {
        insta::assert_snapshot!(banner(Door::EndpointUrl, EnvFormat::Text).text(), @r"
        Started AWS proxy which serves as an AWS endpoint URL at https://localhost:23456

        In addition to the endpoint URL, use the following credentials to connect to the proxy:
          AWS_ACCESS_KEY_ID=abcd1234-this-is-an-example
          AWS_SECRET_ACCESS_KEY=zyxw9876-this-is-an-example
          AWS_CA_BUNDLE=/home/alice/.tsh/aws-localca.pem
        ");
    }

    #[test]
    fn each_format_assigns_in_its_own_way() {
        for (format, line) in [
            (EnvFormat::Unix, "  export AWS_ACCESS_KEY_ID=abcd1234-this-is-an-example\n"),
            (EnvFormat::Powershell, "  $Env:AWS_ACCESS_KEY_ID=\"abcd1234-this-is-an-example\"\n"),
            (EnvFormat::CommandPrompt, "  set AWS_ACCESS_KEY_ID=abcd1234-this-is-an-example\n"),
            (EnvFormat::Text, "  AWS_ACCESS_KEY_ID=abcd1234-this-is-an-example\n"),
        ] {
            assert!(banner(Door::HttpsProxy, format).text().contains(line), "{format:?}");
        }
        let random = Banner { is_random_port: true, ..banner(Door::HttpsProxy, EnvFormat::Unix) };
        assert!(random.text().contains("\nTo avoid port randomization, you can choose the listening port using the --port flag.\n\nUse"));
        assert_eq!(quoted_for_shell("/home/a b/c'd"), "'/home/a b/c'\\''d'");
    }

    #[test]
    fn athena_formats_have_their_settings() {
        insta::assert_snapshot!(
            "athena_odbc",
            banner(Door::HttpsProxy, EnvFormat::AthenaOdbc).text()
        );
        insta::assert_snapshot!(
            "athena_jdbc",
            banner(Door::HttpsProxy, EnvFormat::AthenaJdbc).text()
        );
        for format in [EnvFormat::AthenaOdbc, EnvFormat::AthenaJdbc] {
            assert!(check_format(format, Door::HttpsProxy).is_ok());
            assert!(
                check_format(format, Door::EndpointUrl)
                    .unwrap_err()
                    .to_string()
                    .ends_with("is not supported in --endpoint-url mode")
            );
        }
    }
}
