//! `tctl edit`: a resource in an editor, stored if it was changed and nobody else changed it.

use std::io::Write as _;
use std::path::Path;

use api::Client;
use api::resource::{PutMode, PutRequest, Resource};
use clap::Args;

use super::reference::{Reference, word};
use crate::edge;
use crate::failure::{Failure, OrFail as _};
use crate::format;
use crate::output::Output;

/// Edit a resource in an editor
#[derive(Debug, Args)]
pub struct EditArgs {
    /// What to edit: kind/name
    pub resource: String,
}

/// Runs `tctl edit`.
///
/// # Errors
/// When the resource cannot be read, edited or stored.
pub async fn run(args: &EditArgs, client: &Client, output: &mut Output) -> Result<(), Failure> {
    let (kind, name) = Reference::parse_one(&args.resource)?;
    let before = client.resource(kind, &name).await?;
    let text = format::yaml(&before)?;
    // Only the owner can read it: a token's name is a secret.
    let mut file = tempfile::Builder::new()
        .prefix("tctl-edit-")
        .suffix(".yaml")
        .tempfile()
        .or_fail("could not make a file to edit")?;
    file.write_all(text.as_bytes()).or_fail("could not write the file to edit")?;
    file.flush().or_fail("could not write the file to edit")?;
    edit(file.path()).await?;
    let edited = api::files::read(file.path())?;
    let Some(after) = changed(&text, &edited, &before)? else {
        return output.line("edit canceled, no changes made");
    };
    let request = PutRequest { resource: after, mode: PutMode::Update };
    let reply = client.put_resource(&request).await?;
    for warning in &reply.warnings {
        output.warn(warning);
    }
    output.line(format!("{} \"{name}\" has been updated", word(kind)))
}

async fn edit(path: &Path) -> Result<(), Failure> {
    let editor = ["TELEPORT_EDITOR", "VISUAL", "EDITOR"].into_iter().find_map(edge::variable);
    let editor = editor.unwrap_or_else(|| "vi".to_owned());
    let mut words = editor.split_whitespace();
    let program = words.next().unwrap_or("vi");
    let status = tokio::process::Command::new(program)
        .args(words)
        .arg(path)
        .status()
        .await
        .or_fail(format!("cannot run the editor `{program}`"))
        .map_err(|failure| failure.with_hint("set EDITOR to an editor that is installed"))?;
    if status.success() {
        return Ok(());
    }
    Err(Failure::new(format!("the editor `{program}` failed; nothing was stored")))
}

/// What was made of a resource; `None` if nothing.
fn changed(text: &str, edited: &str, before: &Resource) -> Result<Option<Resource>, Failure> {
    if edited == text || edited.trim().is_empty() {
        return Ok(None);
    }
    let mut found = Resource::read_all(edited, "the edited resource")
        .map_err(|problem| Failure::new(problem.to_string()))?;
    let (Some(after), true) = (found.pop(), found.is_empty()) else {
        return Err(Failure::new("the edited file must hold exactly one resource"));
    };
    if after.kind() != before.kind() || after.name() != before.name() {
        return Err(Failure::new("renaming a resource or changing its kind is not supported")
            .with_hint(
                "create the new one with `tctl create` and remove the old one with `tctl rm`",
            ));
    }
    Ok((after != *before).then_some(after))
}

#[cfg(test)]
mod tests {
    use super::*;

    const USER: &str =
        "kind: user\nversion: v2\nmetadata:\n  name: alice\nspec:\n  roles: [access]\n";

    #[test]
    fn only_real_changes_are_stored_and_names_stay() {
        let before = Resource::read_all(USER, "t").unwrap().remove(0);
        let change = |text: &str| changed(USER, text, &before);
        assert!(change(USER).unwrap().is_none());
        assert!(change("").unwrap().is_none());
        assert!(change(&format!("# a comment\n{USER}")).unwrap().is_none());
        assert!(change(&USER.replace("access", "editor")).unwrap().is_some());
        assert!(change(&USER.replace("alice", "bob")).unwrap_err().hint().is_some());
        assert!(change(&format!("{USER}---\n{USER}")).is_err());
        assert!(change("nonsense: 1").is_err());
    }
}
