//! `tctl users`: local users.

use access::{RoleName, Traits, User, UserName};
use api::Client;
use api::resource::{Kind, PutMode, PutRequest, Resource};
use api::types::invites::{InviteKind, InviteLink};
use api::types::users::{ResetRequest, UserRequest};
use clap::{Args, Subcommand};

use super::tokens::parse_ttl;
use crate::failure::Failure;
use crate::format::{self, Format};
use crate::output::Output;
use crate::{edge, moment, table};

/// Make, list, change and remove users
#[derive(Debug, Args)]
pub struct UsersArgs {
    #[command(subcommand)]
    command: UsersCommand,
}

#[derive(Debug, Subcommand)]
enum UsersCommand {
    /// Make a user and an invite link
    Add(Box<AddArgs>),
    /// List users
    Ls(LsArgs),
    /// Remove users
    #[command(visible_alias = "del")]
    Rm(RmArgs),
    /// Reset a user's password and second factor
    Reset(ResetArgs),
    /// Change a user's roles and traits
    Update(UpdateArgs),
}

#[derive(Debug, Args)]
struct AddArgs {
    /// Name of the user
    user: String,
    /// Roles, with commas
    #[arg(long, required = true, value_delimiter = ',')]
    roles: Vec<String>,
    #[command(flatten)]
    traits: TraitFlags,
    /// How long the link works, at most 48h
    #[arg(long, default_value = "1h")]
    ttl: String,
}

/// Flags that set traits.
#[derive(Debug, Default, Args)]
struct TraitFlags {
    /// Trait aws_role_arns, with commas
    #[arg(long, value_delimiter = ',')]
    aws_role_arns: Option<Vec<String>>,
    /// Trait logins, with commas
    #[arg(long, value_delimiter = ',')]
    logins: Option<Vec<String>>,
    /// Trait windows_logins, with commas
    #[arg(long, value_delimiter = ',')]
    windows_logins: Option<Vec<String>>,
    /// Trait kubernetes_users, with commas
    #[arg(long, value_delimiter = ',')]
    kubernetes_users: Option<Vec<String>>,
    /// Trait kubernetes_groups, with commas
    #[arg(long, value_delimiter = ',')]
    kubernetes_groups: Option<Vec<String>>,
    /// Trait db_users, with commas
    #[arg(long, value_delimiter = ',')]
    db_users: Option<Vec<String>>,
    /// Trait db_names, with commas
    #[arg(long, value_delimiter = ',')]
    db_names: Option<Vec<String>>,
    /// Trait db_roles, with commas
    #[arg(long, value_delimiter = ',')]
    db_roles: Option<Vec<String>>,
    /// Trait azure_identities, with commas
    #[arg(long, value_delimiter = ',')]
    azure_identities: Option<Vec<String>>,
    /// Trait gcp_service_accounts, with commas
    #[arg(long, value_delimiter = ',')]
    gcp_service_accounts: Option<Vec<String>>,
    /// Trait host_user_uid
    #[arg(long)]
    host_user_uid: Option<String>,
    /// Trait host_user_gid
    #[arg(long)]
    host_user_gid: Option<String>,
}

impl TraitFlags {
    /// The traits that flags set; a flag with an empty value sets an empty trait.
    fn traits(&self) -> Traits {
        let one = |value: &Option<String>| value.clone().map(|value| vec![value]);
        let flags = [
            ("aws_role_arns", self.aws_role_arns.clone()),
            ("logins", self.logins.clone()),
            ("windows_logins", self.windows_logins.clone()),
            ("kubernetes_users", self.kubernetes_users.clone()),
            ("kubernetes_groups", self.kubernetes_groups.clone()),
            ("db_users", self.db_users.clone()),
            ("db_names", self.db_names.clone()),
            ("db_roles", self.db_roles.clone()),
            ("azure_identities", self.azure_identities.clone()),
            ("gcp_service_accounts", self.gcp_service_accounts.clone()),
            ("host_user_uid", one(&self.host_user_uid)),
            ("host_user_gid", one(&self.host_user_gid)),
        ];
        let set = flags.into_iter().filter_map(|(name, values)| {
            let values = values?.into_iter().filter(|value| !value.is_empty()).collect();
            Some((name.to_owned(), values))
        });
        set.collect()
    }
}

#[derive(Debug, Args)]
struct LsArgs {
    /// Format of the output
    #[arg(short, long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Debug, Args)]
struct RmArgs {
    /// Names, with commas
    #[arg(value_delimiter = ',', required = true)]
    users: Vec<String>,
}

#[derive(Debug, Args)]
struct ResetArgs {
    /// Name of the user
    user: String,
    /// How long the link works, at most 24h
    #[arg(long, default_value = "8h")]
    ttl: String,
}

#[derive(Debug, Args)]
struct UpdateArgs {
    /// Name of the user
    user: String,
    /// All roles from now on, with commas
    #[arg(long, value_delimiter = ',')]
    set_roles: Option<Vec<String>>,
    /// All values of trait aws_role_arns from now on, with commas
    #[arg(long, value_delimiter = ',')]
    set_aws_role_arns: Option<Vec<String>>,
    /// All values of trait logins from now on, with commas
    #[arg(long, value_delimiter = ',')]
    set_logins: Option<Vec<String>>,
}

/// Runs `tctl users …`.
///
/// # Errors
/// When the Auth Service cannot be reached or refuses.
pub async fn run(args: &UsersArgs, client: &Client, output: &mut Output) -> Result<(), Failure> {
    match &args.command {
        UsersCommand::Add(args) => add(args, client, output).await,
        UsersCommand::Ls(args) => ls(args, client, output).await,
        UsersCommand::Rm(args) => rm(args, client, output).await,
        UsersCommand::Reset(args) => reset(args, client, output).await,
        UsersCommand::Update(args) => update(args, client, output).await,
    }
}

async fn add(args: &AddArgs, client: &Client, output: &mut Output) -> Result<(), Failure> {
    let request = UserRequest {
        name: user_name(&args.user)?,
        roles: role_names(&args.roles)?,
        traits: args.traits.traits(),
        ttl_seconds: Some(parse_ttl(&args.ttl)?.as_secs()),
    };
    let link = client.add_user(&request).await?;
    output.text(link_text(&link))
}

async fn reset(args: &ResetArgs, client: &Client, output: &mut Output) -> Result<(), Failure> {
    let request = ResetRequest { ttl_seconds: Some(parse_ttl(&args.ttl)?.as_secs()) };
    let link = client.reset_user(&user_name(&args.user)?, &request).await?;
    output.text(link_text(&link))
}

/// What the admin hands on.
fn link_text(link: &InviteLink) -> String {
    let InviteLink { user, url, .. } = link;
    let left = moment::until(link.expires.into(), edge::now());
    // Rounded up to the minute, because the link was made a moment ago.
    let minutes = std::time::Duration::from_secs(left.as_secs().div_ceil(60) * 60);
    let life = api::duration::short(minutes);
    let (what, purpose) = match link.kind {
        InviteKind::Invite => ("created but requires a password", "user setup"),
        InviteKind::Reset => ("reset", "password reset"),
    };
    let host = url.split('/').nth(2).unwrap_or(url);
    format!(
        "User \"{user}\" has been {what}. Share this URL with the user to complete {purpose}, link is valid for {life}:\n\
         {url}\n\
         \n\
         NOTE: Make sure {host} points at a Teleport proxy which users can access.\n"
    )
}

async fn ls(args: &LsArgs, client: &Client, output: &mut Output) -> Result<(), Failure> {
    let mut users = all(client).await?;
    users.sort_by(|a, b| a.name().cmp(b.name()));
    match args.format {
        Format::Json => output.line(format::json(&users)?),
        Format::Yaml => output.text(format::yaml(&users)?),
        Format::Text if users.is_empty() => output.line("No users found"),
        Format::Text => output.text(text(&users)),
    }
}

/// The table of users.
#[must_use]
pub fn text(users: &[User]) -> String {
    let rows = users.iter().map(|user| {
        let roles: Vec<&str> = user.spec.roles.iter().map(RoleName::as_str).collect();
        vec![user.name().to_string(), roles.join(",")]
    });
    table::table(&["User", "Roles"], &rows.collect::<Vec<_>>())
}

async fn all(client: &Client) -> Result<Vec<User>, Failure> {
    let resources = client.resources(Kind::User).await?;
    let users = resources.into_iter().filter_map(|resource| match resource {
        Resource::User(user) => Some(*user),
        _ => None,
    });
    Ok(users.collect())
}

async fn rm(args: &RmArgs, client: &Client, output: &mut Output) -> Result<(), Failure> {
    for name in args.users.iter().filter(|name| !name.is_empty()) {
        client.delete_resource(Kind::User, name).await?;
        output.line(format!("User \"{name}\" has been deleted"))?;
    }
    Ok(())
}

async fn update(args: &UpdateArgs, client: &Client, output: &mut Output) -> Result<(), Failure> {
    let traits = [("aws_role_arns", &args.set_aws_role_arns), ("logins", &args.set_logins)];
    if args.set_roles.is_none() && traits.iter().all(|(_, values)| values.is_none()) {
        return Err(Failure::misuse("Nothing to update. Please provide at least one --set flag."));
    }
    let resource = client.resource(Kind::User, &args.user).await?;
    let Resource::User(mut user) = resource else {
        return Err(Failure::new("the cluster answered with something else than a user"));
    };
    let mut text = format!("User {} has been updated:\n", user.name());
    if let Some(roles) = &args.set_roles {
        user.spec.roles = role_names(roles)?;
        text.push_str(&format!("\tNew roles: {}\n", roles.join(",")));
    }
    for (name, values) in traits {
        let Some(values) = values else { continue };
        let values: Vec<String> = values.iter().filter(|v| !v.is_empty()).cloned().collect();
        text.push_str(&format!("\tNew {name}: {}\n", values.join(",")));
        user.spec.traits.insert(name.to_owned(), values);
    }
    let request = PutRequest { resource: Resource::User(user), mode: PutMode::Update };
    let reply = client.put_resource(&request).await?;
    for warning in &reply.warnings {
        output.warn(warning);
    }
    output.text(text)
}

fn user_name(text: &str) -> Result<UserName, Failure> {
    UserName::parse(text).map_err(|error| Failure::misuse(error.to_string()))
}

fn role_names(names: &[String]) -> Result<Vec<RoleName>, Failure> {
    let names = names.iter().map(|name| name.trim()).filter(|name| !name.is_empty());
    let roles: Result<Vec<RoleName>, _> = names.map(RoleName::parse).collect();
    let roles = roles.map_err(|error| Failure::misuse(error.to_string()))?;
    if roles.is_empty() {
        return Err(Failure::misuse("a user needs at least one role")
            .with_hint("write --roles=access, or another role of `tctl get roles`"));
    }
    Ok(roles)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(kind: InviteKind, seconds: u64) -> InviteLink {
        let end = edge::now() + std::time::Duration::from_secs(seconds);
        InviteLink {
            user: UserName::parse("alice").unwrap(),
            kind,
            url: "https://teleport.example.com:3080/web/invite/abc".to_owned(),
            expires: end.try_into().unwrap(),
        }
    }

    #[test]
    fn links_are_handed_on_in_the_words_of_the_original() {
        insta::assert_snapshot!(link_text(&link(InviteKind::Invite, 3599)), @r#"
        User "alice" has been created but requires a password. Share this URL with the user to complete user setup, link is valid for 1h:
        https://teleport.example.com:3080/web/invite/abc

        NOTE: Make sure teleport.example.com:3080 points at a Teleport proxy which users can access.
        "#);
        let text = link_text(&link(InviteKind::Reset, 8 * 3600 - 1));
        assert!(text.starts_with("User \"alice\" has been reset. Share this URL with the user to complete password reset, link is valid for 8h:\n"), "{text}");
    }

    #[test]
    fn flags_become_traits() {
        let flags = TraitFlags {
            aws_role_arns: Some(vec!["arn:aws:iam::123456789012:role/a".to_owned()]),
            logins: Some(vec![String::new()]),
            host_user_uid: Some("1000".to_owned()),
            ..TraitFlags::default()
        };
        let traits = flags.traits();
        assert_eq!(traits["aws_role_arns"], ["arn:aws:iam::123456789012:role/a"]);
        assert_eq!(traits["host_user_uid"], ["1000"]);
        assert!(traits["logins"].is_empty() && traits.len() == 3);
    }

    #[test]
    fn a_user_needs_a_role_that_can_be_one() {
        assert_eq!(role_names(&["access".to_owned(), " editor".to_owned()]).unwrap().len(), 2);
        assert_eq!(role_names(&[String::new()]).unwrap_err().code(), 2);
        assert_eq!(role_names(&["a b".to_owned()]).unwrap_err().code(), 2);
    }
}
