//! What `tsh proxy aws` prints at its start.

use std::net::{Ipv6Addr, SocketAddr};

use super::gateway::Door;
use super::proxy_aws::EnvFormat;
use crate::edge;

/// What is printed.
pub struct Banner {
    /// How tools reach the proxy.
    pub door: Door,
    /// How settings are printed.
    pub format: EnvFormat,
    /// Where the proxy listens.
    pub listen: SocketAddr,
    /// What clients on other machines call it.
    pub names: Vec<String>,
    /// Whether the port was left open.
    pub is_random_port: bool,
    /// The app sessions with their keys.
    pub pairs: Vec<Pair>,
    /// `AWS_CA_BUNDLE`.
    pub ca_bundle: String,
    /// The JVM's trust store.
    pub trust_store: Option<String>,
    /// What the Athena formats need.
    pub athena: Athena,
}

/// An app session with its keys.
pub struct Pair {
    /// The app.
    pub app: String,
    /// ARN of the AWS role.
    pub role: String,
    /// `AWS_ACCESS_KEY_ID`.
    pub access_key_id: String,
    /// `AWS_SECRET_ACCESS_KEY`.
    pub secret_access_key: String,
}

/// Values of the Athena formats that tsh does not know.
pub struct Athena {
    app: String,
    region: String,
    workgroup: String,
    keystore: String,
}

impl Athena {
    /// The values from tsh's environment, or placeholders.
    #[must_use]
    pub fn of_environment(app: &str) -> Self {
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
    /// The text.
    #[must_use]
    pub fn text(&self) -> String {
        let address = self.address();
        let mut text = match self.door {
            Door::HttpsProxy => format!("Started AWS proxy on http://{address}.\n"),
            Door::EndpointUrl => format!(
                "Started AWS proxy which serves as an AWS endpoint URL at https://{address}\n"
            ),
        };
        if self.is_random_port {
            text.push_str("To avoid port randomization, you can choose the listening port using the --port flag.\n");
        }
        text.push('\n');
        match (self.format, self.pairs.as_slice()) {
            (EnvFormat::AthenaOdbc, [pair]) => text.push_str(&self.athena_odbc(pair)),
            (EnvFormat::AthenaJdbc, [pair]) => text.push_str(&self.athena_jdbc(pair)),
            (EnvFormat::Java, pairs) => text.push_str(&self.java(pairs)),
            (_, [pair]) => {
                text.push_str(match self.door {
                    Door::HttpsProxy => "Use the following credentials and HTTPS proxy setting to connect to the proxy:\n",
                    Door::EndpointUrl => "In addition to the endpoint URL, use the following credentials to connect to the proxy:\n",
                });
                text.push_str(&self.assignments(pair));
            }
            (_, pairs) => text.push_str(&self.several(pairs)),
        }
        text
    }

    fn address(&self) -> String {
        let port = self.listen.port();
        let ip = self.listen.ip();
        match (self.names.first(), self.door) {
            (Some(name), _) if name.contains(':') => format!("[{name}]:{port}"),
            (Some(name), _) => format!("{name}:{port}"),
            (None, Door::HttpsProxy) if ip == Ipv6Addr::LOCALHOST => format!("[::1]:{port}"),
            (None, Door::HttpsProxy) if ip.is_loopback() => format!("{ip}:{port}"),
            (None, Door::HttpsProxy) => format!("127.0.0.1:{port}"),
            (None, Door::EndpointUrl) => format!("localhost:{port}"),
        }
    }

    fn keys(pair: &Pair) -> Vec<(&'static str, String)> {
        vec![
            ("AWS_ACCESS_KEY_ID", pair.access_key_id.clone()),
            ("AWS_SECRET_ACCESS_KEY", pair.secret_access_key.clone()),
        ]
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let ca_bundle = ("AWS_CA_BUNDLE", self.ca_bundle.clone());
        match self.door {
            Door::HttpsProxy => {
                vec![ca_bundle, ("HTTPS_PROXY", format!("http://{}", self.address()))]
            }
            // No name leads here with a word before it, as some operations have one.
            Door::EndpointUrl => {
                vec![("AWS_DISABLE_HOST_PREFIX_INJECTION", "true".to_owned()), ca_bundle]
            }
        }
    }

    fn lines(&self, pairs: &[(&str, String)]) -> String {
        let line = |(name, value): &(&str, String)| match self.format {
            EnvFormat::Unix => format!("  export {name}={}\n", quoted_for_shell(value)),
            EnvFormat::Powershell => format!("  $Env:{name}=\"{value}\"\n"),
            EnvFormat::CommandPrompt => format!("  set {name}={value}\n"),
            _ => format!("  {name}={value}\n"),
        };
        pairs.iter().map(line).collect()
    }

    fn assignments(&self, pair: &Pair) -> String {
        self.lines(&[Self::keys(pair), self.settings()].concat())
    }

    /// Several sessions: the access key that a request is signed with says which is meant.
    fn several(&self, pairs: &[Pair]) -> String {
        let mut text = match self.door {
            Door::HttpsProxy => "Use the following HTTPS proxy setting to connect to the proxy:\n",
            Door::EndpointUrl => "In addition to the endpoint URL, use the following setting to connect to the proxy:\n",
        }
        .to_owned();
        text.push_str(&self.lines(&self.settings()));
        text.push_str("\nwith the credentials of the app and AWS role that are meant:\n");
        for pair in pairs {
            text.push_str(&format!("\n{} as {}:\n", pair.app, pair.role));
            text.push_str(&self.lines(&Self::keys(pair)));
        }
        text
    }

    fn java(&self, pairs: &[Pair]) -> String {
        let store = self.trust_store.clone().unwrap_or_default();
        let mut text = format!(
            "Give the following properties to the JVM, for example by JAVA_TOOL_OPTIONS:\n  \
             -Djavax.net.ssl.trustStore={store}\n  -Djavax.net.ssl.trustStoreType=JKS\n"
        );
        let address = self.address();
        let (host, port) = address.rsplit_once(':').unwrap_or_default();
        if self.door == Door::HttpsProxy {
            text.push_str(&format!("  -Dhttps.proxyHost={host}\n  -Dhttps.proxyPort={port}\n"));
        }
        text.push_str("\nand the following credentials in its environment, where no other user of this machine sees them:\n");
        for pair in pairs {
            if pairs.len() > 1 {
                text.push_str(&format!("\n{} as {}:\n", pair.app, pair.role));
            }
            text.push_str(&self.lines(&Self::keys(pair)));
            if self.door == Door::EndpointUrl {
                let url = ("AWS_ENDPOINT_URL", format!("https://{address}"));
                let no_prefix = ("AWS_DISABLE_HOST_PREFIX_INJECTION", "true".to_owned());
                text.push_str(&self.lines(&[url, no_prefix]));
            }
        }
        text
    }

    fn athena_odbc(&self, pair: &Pair) -> String {
        let Pair { access_key_id, secret_access_key, .. } = pair;
        let (ca_bundle, port) = (&self.ca_bundle, self.listen.port());
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

    fn athena_jdbc(&self, pair: &Pair) -> String {
        let Pair { access_key_id, secret_access_key, .. } = pair;
        let (ca_bundle, port) = (&self.ca_bundle, self.listen.port());
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

    fn pair(app: &str, role: &str) -> Pair {
        Pair {
            app: app.to_owned(),
            role: format!("arn:aws:iam::123456789012:role/{role}"),
            access_key_id: "abcd1234-this-is-an-example".to_owned(),
            secret_access_key: "zyxw9876-this-is-an-example".to_owned(),
        }
    }

    fn banner(door: Door, format: EnvFormat) -> Banner {
        Banner {
            door,
            format,
            listen: ([127, 0, 0, 1], 23456).into(),
            names: Vec::new(),
            is_random_port: false,
            pairs: vec![pair("aws", "reader")],
            ca_bundle: "/home/alice/.tsh/aws-localca.pem".to_owned(),
            trust_store: None,
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
          AWS_DISABLE_HOST_PREFIX_INJECTION=true
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
    }

    #[test]
    fn several_sessions_share_the_settings() {
        let pairs = vec![pair("aws", "reader"), pair("prod", "admin")];
        let text = Banner { pairs, ..banner(Door::HttpsProxy, EnvFormat::Unix) }.text();
        insta::assert_snapshot!(text, @r"
        Started AWS proxy on http://127.0.0.1:23456.

        Use the following HTTPS proxy setting to connect to the proxy:
          export AWS_CA_BUNDLE=/home/alice/.tsh/aws-localca.pem
          export HTTPS_PROXY=http://127.0.0.1:23456

        with the credentials of the app and AWS role that are meant:

        aws as arn:aws:iam::123456789012:role/reader:
          export AWS_ACCESS_KEY_ID=abcd1234-this-is-an-example
          export AWS_SECRET_ACCESS_KEY=zyxw9876-this-is-an-example

        prod as arn:aws:iam::123456789012:role/admin:
          export AWS_ACCESS_KEY_ID=abcd1234-this-is-an-example
          export AWS_SECRET_ACCESS_KEY=zyxw9876-this-is-an-example
        ");
    }

    #[test]
    fn java_gets_properties_and_a_trust_store() {
        let trust_store = Some("/home/alice/.tsh/aws-localca.jks".to_owned());
        let https = Banner { trust_store, ..banner(Door::HttpsProxy, EnvFormat::Java) };
        insta::assert_snapshot!(https.text(), @r"
        Started AWS proxy on http://127.0.0.1:23456.

        Give the following properties to the JVM, for example by JAVA_TOOL_OPTIONS:
          -Djavax.net.ssl.trustStore=/home/alice/.tsh/aws-localca.jks
          -Djavax.net.ssl.trustStoreType=JKS
          -Dhttps.proxyHost=127.0.0.1
          -Dhttps.proxyPort=23456

        and the following credentials in its environment, where no other user of this machine sees them:
          AWS_ACCESS_KEY_ID=abcd1234-this-is-an-example
          AWS_SECRET_ACCESS_KEY=zyxw9876-this-is-an-example
        ");
        let endpoint = Banner { door: Door::EndpointUrl, ..https }.text();
        assert!(endpoint.contains("  AWS_ENDPOINT_URL=https://localhost:23456\n"), "{endpoint}");
        assert!(!endpoint.contains("proxyHost"), "{endpoint}");
    }

    #[test]
    fn a_proxy_for_other_machines_is_shown_by_the_name_that_they_use() {
        let names = vec!["host.docker.internal".to_owned(), "172.17.0.1".to_owned()];
        let listen = ([172, 17, 0, 1], 23456).into();
        let banner = Banner { names, listen, ..banner(Door::HttpsProxy, EnvFormat::Text) };
        assert!(banner.text().contains("HTTPS_PROXY=http://host.docker.internal:23456\n"));
    }
}
