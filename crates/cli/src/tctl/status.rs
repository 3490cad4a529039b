//! `tctl status`: the cluster in a few lines.

use api::Client;
use api::types::status::Status;
use clap::Args;

use crate::failure::Failure;
use crate::format::{self, Format};
use crate::output::Output;
use crate::{moment, table};

/// Show the cluster's name, version and CA pins
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Format of the output
    #[arg(short, long, value_enum, default_value_t)]
    pub format: Format,
}

/// Runs `tctl status`.
///
/// # Errors
/// When the Auth Service cannot be reached or refuses.
pub async fn run(args: &StatusArgs, client: &Client, output: &mut Output) -> Result<(), Failure> {
    let status = client.status().await?;
    match args.format {
        Format::Text => output.text(text(&status)),
        Format::Json => output.line(format::json(&status)?),
        Format::Yaml => output.text(format::yaml(&status)?),
    }
}

fn text(status: &Status) -> String {
    let mut rows = vec![
        vec!["Cluster".to_owned(), status.cluster.to_string()],
        vec!["Version".to_owned(), status.version.clone()],
    ];
    for authority in &status.authorities {
        let when = match authority.rotated {
            Some(moment) => format!("rotated {}", moment::local(moment.into())),
            None => "never updated".to_owned(),
        };
        rows.push(vec![format!("{} CA", capitalized(&authority.kind)), when]);
    }
    rows.extend(status.ca_pins.iter().map(|pin| vec!["CA pin".to_owned(), pin.clone()]));
    table::plain(&rows)
}

fn capitalized(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use api::types::status::AuthorityStatus;

    use super::*;

    #[test]
    fn the_table_has_the_rows_of_the_guide() {
        let status = Status {
            cluster: "teleport.example.com".parse().unwrap(),
            version: "0.1.0".to_owned(),
            ca_pins: vec![format!("sha256:{}", "ab".repeat(32))],
            authorities: ["host", "user"]
                .map(|kind| AuthorityStatus { kind: kind.to_owned(), rotated: None })
                .to_vec(),
        };
        insta::assert_snapshot!(text(&status), @r"
        Cluster  teleport.example.com
        Version  0.1.0
        Host CA  never updated
        User CA  never updated
        CA pin   sha256:abababababababababababababababababababababababababababababababab
        ");
    }
}
