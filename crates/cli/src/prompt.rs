//! Asking at the terminal; without one, answers are lines of stdin. Connections live on while somebody thinks.

use std::io::{self, BufRead as _, IsTerminal as _};

use api::types::login::Password;
use tokio::task::spawn_blocking;

use crate::failure::{Failure, OrFail as _};
use crate::output::Output;

/// Longest line that is read as an answer.
const LONGEST: usize = 1024;
const NOT_READ: &str = "could not read from the terminal";

/// Asks for a secret, which is not shown while it is typed.
///
/// # Errors
/// When there is no answer.
pub async fn secret(question: &str, output: &mut Output) -> Result<Password, Failure> {
    output.ask(question);
    if io::stdin().is_terminal() {
        let reading = spawn_blocking(rpassword::read_password).await;
        let typed = reading.or_fail(NOT_READ)?.or_fail(NOT_READ)?;
        return Ok(Password::new(typed));
    }
    let line = answer(question).await?;
    output.say("");
    Ok(Password::new(line))
}

/// Asks for something that may be seen.
///
/// # Errors
/// When there is no answer.
pub async fn visible(question: &str, output: &mut Output) -> Result<String, Failure> {
    output.ask(question);
    let line = answer(question).await?;
    if !io::stdin().is_terminal() {
        output.say("");
    }
    Ok(line.trim().to_owned())
}

async fn answer(question: &str) -> Result<String, Failure> {
    let question = question.to_owned();
    spawn_blocking(move || read_line(&question)).await.or_fail(NOT_READ)?
}

fn read_line(question: &str) -> Result<String, Failure> {
    let mut line = String::new();
    let read = io::stdin().lock().read_line(&mut line).or_fail("could not read from stdin")?;
    if read == 0 {
        let question = question.trim_end().trim_end_matches(':');
        return Err(Failure::new(format!("no answer on stdin to: {question}")).with_hint(
            "without a terminal, give the password and the one-time code as a line each",
        ));
    }
    if line.len() > LONGEST {
        return Err(Failure::new("the answer on stdin is longer than 1024 bytes"));
    }
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}
