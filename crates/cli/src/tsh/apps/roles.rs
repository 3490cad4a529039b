//! `tsh apps ls --roles` and `tsh apps logins`: which AWS roles there are to log in to, app by app.

use access::App;
use clap::Args;
use serde::Serialize;

use crate::failure::Failure;
use crate::format::{self, Format};
use crate::output::Output;
use crate::table;
use crate::tsh::app_session;
use crate::tsh::app_sessions;
use crate::tsh::context::{Context, Login};

/// List the AWS roles that you may use
#[derive(Debug, Args)]
pub struct LoginsArgs {
    /// The app; all AWS apps if none is named
    pub app: Option<String>,
    /// Format of the output
    #[arg(short, long, value_enum, default_value_t)]
    pub format: Format,
}

#[derive(Serialize)]
struct AppRoles {
    app: String,
    roles: Vec<RoleRow>,
}

#[derive(Serialize)]
struct RoleRow {
    name: String,
    arn: String,
    account: String,
    logged_in: bool,
}

/// Runs `tsh apps logins`.
///
/// # Errors
/// When the cluster cannot be asked or there is no such app.
pub async fn run(args: &LoginsArgs, context: &Context, output: &mut Output) -> Result<(), Failure> {
    let login = context.valid_login()?;
    let client = context.client(&login)?;
    let apps = match &args.app {
        Some(name) => vec![app_session::find_app(&client, name).await?],
        None => app_session::visible_apps(&client).await?,
    };
    if let (Some(name), [only]) = (&args.app, apps.as_slice())
        && !only.is_aws()
    {
        return Err(Failure::new(format!("app \"{name}\" is not an AWS application")));
    }
    print(&apps, args.format, (context, &login), output)
}

/// Prints the AWS roles of apps.
///
/// # Errors
/// When the saved sessions cannot be read or stdout cannot be written.
pub fn print(
    apps: &[App],
    format: Format,
    (context, login): (&Context, &Login),
    output: &mut Output,
) -> Result<(), Failure> {
    for finding in access::malformed_aws_roles(&login.claims.allowed_aws_roles) {
        output.warn(finding.message);
    }
    let all = rows(apps, context, login)?;
    match format {
        Format::Json => output.line(format::json(&all)?),
        Format::Yaml => output.text(format::yaml(&all)?),
        Format::Text => output.text(text(&all)),
    }
}

fn rows(apps: &[App], context: &Context, login: &Login) -> Result<Vec<AppRoles>, Failure> {
    let live = app_sessions::all_live(context, login)?;
    let rows = apps.iter().filter(|app| app.is_aws()).map(|app| {
        let roles = access::available_aws_roles(&login.claims.allowed_aws_roles, app);
        let roles = roles.iter().map(|role| RoleRow {
            name: role.full_name().to_owned(),
            arn: role.to_string(),
            account: role.account().to_string(),
            logged_in: live
                .iter()
                .any(|session| session.app == *app.name() && session.aws_role() == Some(role)),
        });
        AppRoles { app: app.name().to_string(), roles: roles.collect() }
    });
    Ok(rows.collect())
}

fn text(all: &[AppRoles]) -> String {
    let cells = all.iter().flat_map(|app| {
        app.roles.iter().map(|role| {
            let marker = if role.logged_in { "> " } else { "" };
            let name = format!("{marker}{}", app.app);
            vec![name, role.name.clone(), role.account.clone(), role.arn.clone()]
        })
    });
    let header = ["Application", "Role Name", "Account", "Role ARN"];
    table::table(&header, &cells.collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use access::AppName;

    use super::*;
    use crate::tsh::tests::{READER, Saved};

    #[test]
    fn roles_are_listed_with_those_that_are_logged_in_to() {
        let saved = Saved::new();
        let profile = saved.log_in("localhost", 7_200);
        let context = saved.context();
        let mut login = context.login_of(profile.clone()).unwrap();
        let writer = "arn:aws:iam::444455556666:role/team/writer";
        login.claims.allowed_aws_roles = vec![writer.to_owned(), READER.to_owned()];
        saved.log_in_to_app(&profile, "aws", (Some(READER), 3_600));
        let app = |name: &str, uri: &str| App::new(AppName::parse(name).unwrap(), uri);
        let apps =
            [app("aws", "https://console.aws.amazon.com"), app("grafana", "http://localhost:3000")];
        let rows = rows(&apps, &context, &login).unwrap();
        insta::assert_snapshot!(text(&rows), @r"
        Application  Role Name    Account       Role ARN
        -----------  -----------  ------------  ------------------------------------------
        > aws        reader       123456789012  arn:aws:iam::123456789012:role/reader
        aws          team/writer  444455556666  arn:aws:iam::444455556666:role/team/writer
        ");
        let (mut output, data, _) = Output::kept();
        print(&apps, Format::Json, (&context, &login), &mut output).unwrap();
        let value: serde_json::Value = serde_json::from_str(&data.text()).unwrap();
        assert_eq!(value[0]["app"], "aws");
        assert_eq!(value[0]["roles"][0]["account"], "123456789012");
        assert_eq!(value[0]["roles"][0]["logged_in"], true);
        assert_eq!(value[0]["roles"][1]["arn"], writer);
        assert_eq!(value.as_array().unwrap().len(), 1, "AWS apps only");
    }
}
