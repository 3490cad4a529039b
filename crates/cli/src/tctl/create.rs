//! `tctl create`: stores the resources of a file, in order.

use std::io::Read as _;
use std::path::PathBuf;

use api::resource::{PutMode, PutOutcome, PutRequest, Resource};
use api::yaml::{self, Document, YamlProblem};
use api::{ApiError, Client, files};
use clap::Args;

use super::reference::word;
use crate::failure::{Failure, OrFail as _};
use crate::output::Output;

/// Most bytes that are read from stdin.
const STDIN_LIMIT: u64 = 4 * 1024 * 1024;

/// Create or replace resources from YAML
#[derive(Debug, Args)]
pub struct CreateArgs {
    /// Replace what is there
    #[arg(short, long)]
    pub force: bool,
    /// The file; stdin if left out or `-`
    pub file: Option<PathBuf>,
}

/// Runs `tctl create`.
///
/// # Errors
/// At the first document that cannot be read or that the cluster refuses; earlier ones stay.
pub async fn run(args: &CreateArgs, client: &Client, output: &mut Output) -> Result<(), Failure> {
    let (text, name) = input(args)?;
    let documents = yaml::documents(&text, &name).map_err(problem)?;
    if documents.is_empty() {
        return Err(Failure::new("no resources found, empty input?"));
    }
    let mode = if args.force { PutMode::Replace } else { PutMode::Create };
    for document in &documents {
        let source = Source { text: &text, file: &name, document };
        put(&source, mode, client, output).await?;
    }
    Ok(())
}

fn input(args: &CreateArgs) -> Result<(String, String), Failure> {
    match args.file.as_ref().filter(|path| path.as_os_str() != "-") {
        Some(path) => Ok((files::read(path)?, path.display().to_string())),
        None => {
            let mut text = String::new();
            let mut stdin = std::io::stdin().lock().take(STDIN_LIMIT + 1);
            stdin.read_to_string(&mut text).or_fail("could not read stdin")?;
            Ok((text, "stdin".to_owned()))
        }
    }
}

/// A document with the file that it stands in.
struct Source<'a> {
    text: &'a str,
    file: &'a str,
    document: &'a Document<'a>,
}

async fn put(
    source: &Source<'_>,
    mode: PutMode,
    client: &Client,
    output: &mut Output,
) -> Result<(), Failure> {
    let resource = Resource::read(source.document, source.file).map_err(problem)?;
    let (kind, name) = (resource.kind(), resource.name().to_owned());
    let request = PutRequest { resource, mode };
    let reply = client.put_resource(&request).await.map_err(|error| match error {
        ApiError::Refused { status: 409, .. } if mode == PutMode::Create => {
            Failure::new(format!("{} \"{name}\" already exists", word(kind)))
                .with_hint("use -f or --force to replace it")
        }
        other => other.into(),
    })?;
    for warning in &reply.warnings {
        let line = line_of(warning, source.text, source.document.line());
        output.warn(format!("{}:{line}: {warning}", source.file));
    }
    let done = match reply.outcome {
        PutOutcome::Created => "created",
        PutOutcome::Updated => "updated",
    };
    output.line(format!("{} \"{name}\" has been {done}", word(kind)))
}

/// The line that a warning is about: the first one of the document that holds a text
/// which the warning quotes, or the document's first line.
fn line_of(warning: &str, text: &str, first: u64) -> u64 {
    let quoted = warning.split('`').skip(1).step_by(2).filter(|quote| quote.len() > 3);
    let lines = || (1_u64..).zip(text.lines()).skip_while(|(number, _)| *number < first);
    for quote in quoted {
        let end = lines().position(|(number, line)| number > first && line.trim_end() == "---");
        let mut own = lines().take(end.unwrap_or(usize::MAX));
        if let Some((number, _)) = own.find(|(_, line)| line.contains(quote)) {
            return number;
        }
    }
    first
}

fn problem(problem: YamlProblem) -> Failure {
    Failure::new(problem.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_names_the_line_of_what_it_quotes() {
        let text = "kind: user\nspec:\n  traits:\n    aws_role_arns: ['arn:aws:iam:1:role/a']\n---\nkind: user\nspec:\n  traits:\n    aws_role_arns: ['arn:aws:iam:1:role/b']\n";
        for (warning, first, line) in [
            ("`arn:aws:iam:1:role/a` is not an ARN", 1, 4),
            ("`arn:aws:iam:1:role/b` is not an ARN", 6, 9),
            ("`arn:aws:iam:1:role/b` is not in this document", 1, 1),
            ("something without a quotation", 6, 6),
        ] {
            assert_eq!(line_of(warning, text, first), line, "{warning}");
        }
    }
}
