//! `tsh aws-profile ls` and `rm`: what was written where, and taking it out again.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use api::files::{self, Mode};
use api::profile::Profile;
use clap::Args;
use serde::Serialize;

use super::config_file;
use super::editor::{self, Left, Marker};
use super::login_id;
use crate::failure::{Failure, OrFail as _};
use crate::format::{self, Format};
use crate::output::Output;
use crate::table;
use crate::tsh::context::{Context, not_logged_in};

/// List the profiles that tsh has written
#[derive(Debug, Args)]
pub struct LsArgs {
    /// Format of the output
    #[arg(short, long, value_enum, default_value_t)]
    pub format: Format,
}

/// Remove profiles that tsh has written
#[derive(Debug, Args)]
pub struct RmArgs {
    /// Names of the profiles
    #[arg(required_unless_present = "all")]
    pub names: Vec<String>,
    /// Remove all that were written for this login
    #[arg(long, conflicts_with = "names")]
    pub all: bool,
}

#[derive(Serialize)]
struct Row {
    profile: String,
    app: String,
    aws_role_arn: String,
    file: String,
}

/// Runs `tsh aws-profile ls`.
///
/// # Errors
/// When nobody is logged in, or a file cannot be read.
pub fn list(args: &LsArgs, context: &Context, output: &mut Output) -> Result<(), Failure> {
    let profile = context.profile()?.ok_or_else(not_logged_in)?;
    let id = login_id(context, &profile);
    let mut rows = Vec::new();
    for path in places(context, &profile)? {
        let text = config_file::read(&path)?.unwrap_or_default();
        let ours = editor::list(&text).into_iter().filter(|marker| marker.login == id);
        rows.extend(ours.map(|marker| Row {
            profile: marker.name.as_str().to_owned(),
            app: marker.app.to_string(),
            aws_role_arn: marker.role.to_string(),
            file: path.display().to_string(),
        }));
    }
    match args.format {
        Format::Json => output.line(format::json(&rows)?),
        Format::Yaml => output.text(format::yaml(&rows)?),
        Format::Text => {
            let cells = rows.into_iter().map(|r| vec![r.profile, r.app, r.aws_role_arn, r.file]);
            let header = ["Profile", "Application", "Role ARN", "File"];
            output.text(table::table(&header, &cells.collect::<Vec<_>>()))
        }
    }
}

/// Runs `tsh aws-profile rm`.
///
/// # Errors
/// When a profile is not one of this login's, or a file cannot be written.
pub fn run(args: &RmArgs, context: &Context, output: &mut Output) -> Result<(), Failure> {
    let profile = context.profile()?.ok_or_else(not_logged_in)?;
    let id = login_id(context, &profile);
    let removed = everywhere(context, &profile, |marker| {
        let is_named = args.names.iter().any(|name| name == marker.name.as_str());
        marker.login == id && (args.all || is_named)
    })?;
    for name in &removed {
        output.line(format!("Removed profile {name}"))?;
    }
    match args.names.iter().find(|name| !removed.contains(name)) {
        Some(absent) => Err(Failure::new(format!("tsh has written no profile `{absent}`"))
            .with_hint("run `tsh aws-profile ls`")),
        None => Ok(()),
    }
}

/// Takes profiles out of every file that this login has written to, and gives their names.
///
/// # Errors
/// When a file cannot be written; the others are done all the same.
pub fn everywhere(
    context: &Context,
    profile: &Profile,
    goes: impl Fn(&Marker) -> bool,
) -> Result<Vec<String>, Failure> {
    let mut names = Vec::new();
    let mut failed = None;
    for path in places(context, profile)? {
        match take_out(&path, &goes) {
            Ok(removed) => names.extend(removed),
            Err(failure) => failed = Some(failure),
        }
    }
    failed.map_or(Ok(names), Err)
}

fn take_out(path: &Path, goes: &impl Fn(&Marker) -> bool) -> Result<Vec<String>, Failure> {
    let names = RefCell::new(Vec::new());
    config_file::change(path, |before| {
        let Some(before) = before else { return Ok(None) };
        let Left { text, removed } = editor::remove(before, goes);
        let removed = removed.iter().map(|marker| marker.name.as_str().to_owned());
        names.replace(removed.collect());
        Ok(text)
    })?;
    Ok(names.into_inner())
}

/// The files that profiles of a login were written to.
fn places(context: &Context, profile: &Profile) -> Result<Vec<PathBuf>, Failure> {
    let path = context.home.local_proxy_files(profile).profiles;
    let text = files::read_optional(&path)?;
    // A list that cannot be read is made anew by the next write.
    Ok(text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default())
}

/// Notes that profiles of a login are written to a file.
///
/// # Errors
/// When it cannot be noted.
pub fn note(context: &Context, profile: &Profile, place: &Path) -> Result<(), Failure> {
    let paths = context.home.local_proxy_files(profile);
    files::private_folder(&paths.folder)?;
    let _lock = config_file::lock(&paths.folder)?;
    let mut all = places(context, profile)?;
    if all.iter().any(|known| known == place) {
        return Ok(());
    }
    all.push(place.to_owned());
    let text = serde_json::to_string(&all)
        .or_fail(format!("{} cannot be remembered: its name is no text", place.display()))?;
    Ok(files::write(&paths.profiles, text.as_bytes(), Mode::Private)?)
}
