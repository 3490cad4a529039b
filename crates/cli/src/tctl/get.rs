//! `tctl get`: resources as YAML, JSON or tables.

use access::resource::RequireMfa;
use api::Client;
use api::resource::{Kind, Resource};
use api::types::auth_preference::ClusterAuthPreference;
use clap::{Args, ValueEnum};

use super::reference::Reference;
use super::{apps, lock, tokens, users};
use crate::failure::Failure;
use crate::output::Output;
use crate::{edge, format, table};

/// Print resources
#[derive(Debug, Args)]
pub struct GetArgs {
    /// What to print: kind, kind/name, several with commas, or all
    pub resources: String,
    /// Format of the output
    #[arg(long, value_enum, default_value_t)]
    pub format: GetFormat,
    /// Show join tokens in lists too
    #[arg(long)]
    pub with_secrets: bool,
}

/// How `tctl get` prints.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum GetFormat {
    /// Documents that `tctl create` reads.
    #[default]
    Yaml,
    /// An array.
    Json,
    /// A table.
    Text,
}

/// Runs `tctl get`.
///
/// # Errors
/// When the Auth Service cannot be reached or refuses, or there is no such resource.
pub async fn run(args: &GetArgs, client: &Client, output: &mut Output) -> Result<(), Failure> {
    let references = Reference::parse_list(&args.resources)?;
    if references.len() > 1 && args.format != GetFormat::Yaml {
        return Err(Failure::misuse("several kinds at once can be printed as YAML only"));
    }
    let mut resources = Vec::new();
    for reference in &references {
        resources.extend(read(reference, args, client).await?);
    }
    match args.format {
        GetFormat::Yaml => output.text(yaml(&resources)?),
        GetFormat::Json => output.line(format::json(&resources)?),
        GetFormat::Text => output.text(text(references.first().map(|r| r.kind), resources)),
    }
}

async fn read(
    reference: &Reference,
    args: &GetArgs,
    client: &Client,
) -> Result<Vec<Resource>, Failure> {
    let Some(name) = &reference.name else {
        let mut all = client.resources(reference.kind).await?;
        if !args.with_secrets {
            all.iter_mut().for_each(mask);
        }
        return Ok(all);
    };
    match client.resource(reference.kind, name).await {
        Ok(one) => Ok(vec![one]),
        Err(error) if error.status() == Some(404) => Err(Failure::new(format!(
            "{} \"{name}\" doesn't exist",
            super::reference::word(reference.kind)
        ))),
        Err(error) => Err(error.into()),
    }
}

/// Hides the name of a join token, which is its secret.
fn mask(resource: &mut Resource) {
    if let Resource::Token(token) = resource {
        token.metadata.name = tokens::masked(&token.metadata.name);
    }
}

/// Documents with `---` between them.
///
/// # Errors
/// When a resource has no YAML form.
pub fn yaml(resources: &[Resource]) -> Result<String, Failure> {
    let documents: Result<Vec<String>, Failure> = resources.iter().map(format::yaml).collect();
    Ok(documents?.join("---\n"))
}

fn text(kind: Option<Kind>, resources: Vec<Resource>) -> String {
    match kind {
        Some(Kind::User) => users::text(&only(resources, |resource| match resource {
            Resource::User(user) => Some(*user),
            _ => None,
        })),
        Some(Kind::Token) => tokens::text(
            &only(resources, |resource| match resource {
                Resource::Token(token) => Some(*token),
                _ => None,
            }),
            edge::now(),
        ),
        Some(Kind::App) => apps::dynamic_text(&only(resources, |resource| match resource {
            Resource::App(app) => Some(*app),
            _ => None,
        })),
        Some(Kind::Lock) => lock::text(&only(resources, |resource| match resource {
            Resource::Lock(lock) => Some(*lock),
            _ => None,
        })),
        Some(Kind::ClusterAuthPreference) => {
            preferences_text(&only(resources, |resource| match resource {
                Resource::ClusterAuthPreference(preference) => Some(*preference),
                _ => None,
            }))
        }
        Some(Kind::Role) | None => {
            let rows: Vec<Vec<String>> = resources
                .iter()
                .filter_map(|resource| match resource {
                    Resource::Role(role) => Some(role),
                    _ => None,
                })
                .map(|role| vec![role.name().to_string(), role_arns(role)])
                .collect();
            table::table(&["Role", "Allowed to assume"], &rows)
        }
    }
}

fn preferences_text(preferences: &[ClusterAuthPreference]) -> String {
    let rows: Vec<Vec<String>> = preferences
        .iter()
        .map(|preference| {
            let spec = &preference.spec;
            let factor = spec.second_factor.unwrap_or_default();
            let is_asked = spec.require_session_mfa.unwrap_or_default() != RequireMfa::No;
            let local = spec.allow_local_auth.unwrap_or(true);
            let yes_no = |yes: bool| if yes { "yes" } else { "no" }.to_owned();
            vec!["local".to_owned(), factor.as_str().to_owned(), yes_no(is_asked), yes_no(local)]
        })
        .collect();
    table::table(&["Type", "Second Factor", "Session MFA", "Local Auth"], &rows)
}

fn role_arns(role: &access::Role) -> String {
    role.spec.allow.aws_role_arns.join(",")
}

fn only<T>(resources: Vec<Resource>, of: impl Fn(Resource) -> Option<T>) -> Vec<T> {
    resources.into_iter().filter_map(of).collect()
}
