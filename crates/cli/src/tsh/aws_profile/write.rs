//! `tsh aws-profile write`: profiles for app sessions, into the AWS config file.

use std::collections::BTreeMap;
use std::path::Path;

use access::{App, AppName};
use aws::RoleArn;
use clap::Args;

use super::background::Background;
use super::config_file;
use super::editor::{self, Clash, Marker, ProfileName};
use super::{login_id, remove};
use crate::edge;
use crate::failure::{Failure, OrFail as _};
use crate::output::Output;
use crate::tsh::app_session;
use crate::tsh::aws as tsh_aws;
use crate::tsh::context::{Context, Login};
use crate::tsh::local_ca::Place;

/// Write a profile, or one for each AWS role
#[derive(Debug, Args)]
pub struct WriteArgs {
    /// The app; may be left out when logged in to one AWS app only
    #[arg(long)]
    pub app: Option<String>,
    /// Name or ARN of the AWS role; the one logged in to last if left out
    #[arg(long)]
    pub aws_role: Option<String>,
    /// Write one for every AWS role that you may use, in every app or in the one of --app
    #[arg(long, conflicts_with = "aws_role")]
    pub all: bool,
    /// Name of the profile; the app's and the role's names if left out
    #[arg(long, conflicts_with = "all")]
    pub name: Option<String>,
    /// The profile's region; that of AWS_REGION if left out
    #[arg(long)]
    pub region: Option<String>,
    /// Port of the profiles' endpoint URL on this machine; chosen once for all if left out
    #[arg(long)]
    pub port: Option<u16>,
}

/// Runs `tsh aws-profile write`.
///
/// # Errors
/// When no session is meant, a name is somebody else's, or the file cannot be written.
pub async fn run(args: &WriteArgs, context: &Context, output: &mut Output) -> Result<(), Failure> {
    let login = context.valid_login()?;
    let wanted = Box::pin(wanted(args, context, &login, output)).await?;
    let region = args
        .region
        .clone()
        .or_else(|| edge::variable("AWS_REGION").or_else(|| edge::variable("AWS_DEFAULT_REGION")));
    if region.is_none() {
        output.warn("the profiles have no region; write them again with --region to set one");
    }
    let background = Background::of(context, &login);
    let port = background.port(args.port).await?;
    let ca = shared_authority(context, &login, &background).await?;
    let path = config_file::config_path()?;
    check_credentials_file(&wanted)?;
    remove::note(context, &login.profile, &path)?;
    let id = login_id(context, &login.profile);
    let settings = Settings { context, login: &login, id: &id, port, ca: &ca, region };
    config_file::change(&path, |before| settings.put_all(before, &wanted).map(Some))?;
    for (name, (app, role)) in &wanted {
        let name = name.as_str();
        output.line(format!("Wrote profile {name} (app {app}, {role}) to {}", path.display()))?;
    }
    match wanted.keys().next() {
        Some(first) => output
            .line(format!("\nUse it like this:\n\n  aws --profile {} s3 ls\n", first.as_str())),
        None => Ok(()),
    }
}

/// An app with one of its roles.
type Meant = (AppName, RoleArn);

async fn wanted(
    args: &WriteArgs,
    context: &Context,
    login: &Login,
    output: &mut Output,
) -> Result<BTreeMap<ProfileName, Meant>, Failure> {
    let meant = if args.all {
        every_role(context, login, args.app.as_deref()).await?
    } else {
        let asked = (args.app.as_deref(), args.aws_role.as_deref());
        let session = Box::pin(tsh_aws::session(context, login, asked, output)).await?;
        let role = session.aws_role().cloned();
        vec![(session.app, role.ok_or_else(|| Failure::new("the app is not for AWS"))?)]
    };
    let named = match (&args.name, meant.as_slice()) {
        (Some(name), [only]) => vec![(name.clone(), only.clone())],
        _ => names(meant),
    };
    let parse = |(name, meant): (String, Meant)| match ProfileName::parse(&name) {
        Ok(name) => Ok((name, meant)),
        Err(error) => Err(Failure::misuse(error.to_string()).with_hint("choose one with --name")),
    };
    named.into_iter().map(parse).collect()
}

async fn every_role(
    context: &Context,
    login: &Login,
    only: Option<&str>,
) -> Result<Vec<Meant>, Failure> {
    let client = context.client(login)?;
    let apps: Vec<App> = match only {
        Some(name) => vec![app_session::find_app(&client, name).await?],
        None => app_session::visible_apps(&client).await?,
    };
    let mut meant = Vec::new();
    for app in apps.iter().filter(|app| app.is_aws()) {
        let roles = access::available_aws_roles(&login.claims.allowed_aws_roles, app);
        meant.extend(roles.into_iter().map(|role| (app.name().clone(), role)));
    }
    if meant.is_empty() {
        return Err(Failure::new("there is no AWS role that you may use")
            .with_hint("run `tsh apps ls --roles`"));
    }
    Ok(meant)
}

/// `<app>-<role>`, with the account where that is not enough.
fn names(meant: Vec<Meant>) -> Vec<(String, Meant)> {
    let short = |(app, role): &Meant| format!("{app}-{}", role.name());
    let is_alone = |name: &str| meant.iter().filter(|other| short(other) == name).count() == 1;
    let named = meant.iter().map(|(app, role)| {
        let short = format!("{app}-{}", role.name());
        if is_alone(&short) { short } else { format!("{app}-{}-{}", role.account(), role.name()) }
    });
    let named: Vec<String> = named.collect();
    named.into_iter().zip(meant).collect()
}

/// The path of the authority that the endpoint URL's proxy shows. A new one ends a proxy that shows the old.
async fn shared_authority(
    context: &Context,
    login: &Login,
    background: &Background,
) -> Result<String, Failure> {
    let place = Place::of_login(context, login);
    let before = config_file::read(&place.cert)?;
    place.authority((context.now)(), login.claims.expires)?;
    if before.is_some() && config_file::read(&place.cert)? != before {
        background.end().await?;
    }
    text(&place.cert)
}

/// Static keys of the same name would go before ours.
fn check_credentials_file(wanted: &BTreeMap<ProfileName, Meant>) -> Result<(), Failure> {
    let path = config_file::credentials_path()?;
    let text = config_file::read(&path)?.unwrap_or_default();
    match wanted.keys().find(|name| editor::has_section(&text, name)) {
        Some(name) => Err(Failure::new(format!(
            "{} has keys for a profile `{}`, which AWS tools would use instead",
            path.display(),
            name.as_str()
        ))
        .with_hint("choose another name with --name")),
        None => Ok(()),
    }
}

struct Settings<'a> {
    context: &'a Context,
    login: &'a Login,
    id: &'a str,
    port: u16,
    ca: &'a str,
    region: Option<String>,
}

impl Settings<'_> {
    /// Puts the wanted profiles into the file, and brings the login's others there up to date.
    fn put_all(
        &self,
        before: Option<&[u8]>,
        wanted: &BTreeMap<ProfileName, Meant>,
    ) -> Result<Vec<u8>, Failure> {
        let mut text = before.map(<[u8]>::to_vec);
        for (name, (app, role)) in wanted {
            let marker = Marker {
                name: name.clone(),
                login: self.id.to_owned(),
                app: app.clone(),
                role: role.clone(),
            };
            let lines = self.lines(&marker)?;
            text = Some(editor::put(text.as_deref(), &marker, &lines).map_err(refused)?);
        }
        Ok(text.unwrap_or_default())
    }

    fn lines(&self, marker: &Marker) -> Result<Vec<String>, Failure> {
        let program = std::env::current_exe().or_fail("the path of tsh cannot be found")?;
        let home = std::path::absolute(self.context.home.folder())
            .or_fail("the path of the saved logins cannot be found")?;
        let words = [
            text(&program)?,
            format!("--proxy={}", self.login.profile.proxy_host()),
            "aws-profile".to_owned(),
            "credentials".to_owned(),
            format!("--home={}", text(&home)?),
            format!("--login={}", self.id),
            format!("--app={}", marker.app),
            format!("--aws-role={}", marker.role),
        ];
        let words: Result<Vec<String>, Failure> = words.iter().map(|word| quoted(word)).collect();
        let mut lines = vec![format!("credential_process = {}", words?.join(" "))];
        // An address, so that no tool puts a bucket's name before it.
        lines.push(format!("endpoint_url = https://127.0.0.1:{}", self.port));
        lines.push(format!("ca_bundle = {}", self.ca));
        // And none a word that an operation's host begins with.
        lines.push("disable_host_prefix_injection = true".to_owned());
        if let Some(region) = &self.region {
            let fits = |c: char| c.is_ascii_alphanumeric() || c == '-';
            if !region.chars().all(fits) {
                return Err(Failure::misuse(format!("`{region}` is not the name of a region")));
            }
            lines.push(format!("region = {region}"));
        }
        Ok(lines)
    }
}

fn refused(clash: Clash) -> Failure {
    let hint = match &clash {
        Clash::Foreign(_) => "choose another name with --name; what others wrote is not touched",
        Clash::OtherLogin(_) => "choose another name with --name, or log that one out",
    };
    Failure::new(clash.to_string()).with_hint(hint)
}

fn text(path: &Path) -> Result<String, Failure> {
    let text = path.to_str().map(str::to_owned);
    text.ok_or_else(|| Failure::new(format!("the path {} is no text", path.display())))
}

/// A word of a command line that shells and the AWS tools' own readers take alike.
fn quoted(word: &str) -> Result<String, Failure> {
    let is_plain = |c: char| c.is_alphanumeric() || "-_./:@%+,=".contains(c);
    if word.chars().all(is_plain) {
        return Ok(word.to_owned());
    }
    if word.chars().all(|c| is_plain(c) || " ()[]{}&".contains(c)) {
        return Ok(format!("\"{word}\""));
    }
    Err(Failure::new(format!(
        "`{word}` has characters that AWS tools read in different ways in a config file"
    ))
    .with_hint("put tsh and TELEPORT_HOME where the path has letters, digits and spaces only"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_are_named_by_app_and_role_and_where_needed_by_account() {
        let meant = |app: &str, account: &str, role: &str| {
            let role = RoleArn::parse(&format!("arn:aws:iam::{account}:role/{role}")).unwrap();
            (AppName::parse(app).unwrap(), role)
        };
        let all = vec![
            meant("aws", "111122223333", "reader"),
            meant("aws", "444455556666", "reader"),
            meant("aws", "111122223333", "team/writer"),
            meant("prod", "111122223333", "reader"),
        ];
        let names: Vec<String> = names(all).into_iter().map(|(name, _)| name).collect();
        let expected =
            ["aws-111122223333-reader", "aws-444455556666-reader", "aws-writer", "prod-reader"];
        assert_eq!(names, expected);
    }

    #[test]
    fn words_are_quoted_for_every_reader_or_refused() {
        assert_eq!(quoted("--app=aws").unwrap(), "--app=aws");
        assert_eq!(quoted("/home/a b/tsh").unwrap(), "\"/home/a b/tsh\"");
        for bad in ["/home/$x/tsh", "a\"b", "a'b", "a\nb", "a\\b", "a;b", "a#b", "`a`"] {
            assert!(quoted(bad).is_err(), "{bad}");
        }
    }
}
