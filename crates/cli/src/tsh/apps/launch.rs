//! `tsh apps launch`: opens an app in the browser; an AWS app as its console, signed in.
//!
//! The address that signs in to the AWS console is worth as much as the session. It is never an argument of another
//! process, which every user of the machine could read: the browser fetches it once from this one.

use access::{App, AppTraffic};
use api::error::ErrorBody;
use api::types::console::ConsoleSignIn;
use api::wire;
use bytes::Bytes;
use clap::Args;
use http::Request;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::rt::TokioIo;

use crate::failure::{Failure, OrFail as _};
use crate::output::Output;
use crate::tsh::app_session::{self, SavedSession};
use crate::tsh::browser::Browser;
use crate::tsh::context::{Context, Login};
use crate::tsh::factor::Asker;
use crate::tsh::{agent_line, launch_page};

/// Largest answer of the agent, bytes.
const LIMIT: usize = 64 * 1024;

/// Open an app in the browser; an AWS app as its console
#[derive(Debug, Args)]
pub struct LaunchArgs {
    /// The app; may be left out where there is one only
    pub app: Option<String>,
    /// For AWS apps: name or ARN of the role to use
    #[arg(long)]
    pub aws_role: Option<String>,
    /// What to do with the address. Whoever has that of a console is signed in by it
    #[arg(long, value_enum, default_value_t)]
    pub browser: Browser,
}

/// Runs `tsh apps launch`.
///
/// # Errors
/// When there is no such app, no single role is meant, or the cluster, the agent or AWS refuses.
pub async fn run(args: &LaunchArgs, context: &Context, output: &mut Output) -> Result<(), Failure> {
    let login = context.valid_login()?;
    let client = context.client(&login)?;
    let app = match &args.app {
        Some(name) => app_session::find_app(&client, name).await?,
        None => the_only_app(app_session::visible_apps(&client).await?)?,
    };
    let role = args.aws_role.as_deref().filter(|role| !role.is_empty());
    match app.traffic() {
        AppTraffic::Aws => {
            let going = console(context, &login, (&app, role), output);
            let signed_in = Box::pin(going).await?;
            match args.browser {
                Browser::None => output.line(signed_in.expose_url()),
                Browser::Default => {
                    output.say(format!("Opening the AWS console of app \"{}\".", app.name()));
                    launch_page::show(&signed_in).await
                }
            }
        }
        AppTraffic::Web => {
            let address =
                app_session::web_address(&login, &app.public_addr(login.profile.proxy_host()));
            match args.browser {
                Browser::None => output.line(address),
                Browser::Default => {
                    output.say(format!("Opening {address}."));
                    launch_page::open(&address)
                }
            }
        }
        AppTraffic::Tcp | AppTraffic::Other => {
            Err(Failure::new(format!("app \"{}\" cannot be shown in a browser", app.name()))
                .with_hint(format!("run `tsh proxy app {}`", app.name())))
        }
    }
}

fn the_only_app(mut apps: Vec<App>) -> Result<App, Failure> {
    apps.retain(|app| matches!(app.traffic(), AppTraffic::Aws | AppTraffic::Web));
    match (apps.pop(), apps.is_empty()) {
        (Some(only), true) => Ok(only),
        (None, _) => Err(Failure::new("there is no app that you may use")),
        _ => Err(Failure::misuse("there are several apps; name one (`tsh apps ls` lists them)")),
    }
}

/// Signs in to the console in a session of its own, which ends with this: a running one is not disturbed.
async fn console(
    context: &Context,
    login: &Login,
    (app, role): (&App, Option<&str>),
    output: &mut Output,
) -> Result<ConsoleSignIn, Failure> {
    let client = context.client(login)?;
    let role = app_session::choose_role(login, app, role, output)?;
    let wanted = (app.name(), Some(role));
    let session =
        app_session::open_unsaved(Asker { context, login, client: &client }, wanted, output)
            .await?;
    let signed_in = Box::pin(ask(context, login, &session)).await;
    if let Some(claims) = &session.claims.app {
        // Best effort: one that cannot be ended expires.
        let _ = client.end_app_session(&claims.session).await;
    }
    signed_in
}

async fn ask(
    context: &Context,
    login: &Login,
    session: &SavedSession,
) -> Result<ConsoleSignIn, Failure> {
    let broken = "the connection to the app's agent broke";
    let tls = agent_line::dial(context, login, session, wire::ALPN_APP_CONSOLE).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(tls)).await.or_fail(broken)?;
    let request = Request::post(wire::CONSOLE_PATH)
        .header(http::header::HOST, session.app.as_str())
        .body(Empty::<Bytes>::new())
        .or_fail(broken)?;
    let asking = async {
        let reply = sender.send_request(request).await.or_fail(broken)?;
        let status = reply.status();
        let body = Limited::new(reply.into_body(), LIMIT).collect().await;
        let body = body.map_err(|_| Failure::new(broken))?.to_bytes();
        if status.is_success() {
            let answer = "the agent answered with something else than expected";
            return serde_json::from_slice(&body).map_err(|_| Failure::new(answer));
        }
        Err(refusal(&body))
    };
    tokio::select! {
        answered = asking => answered,
        Err(error) = connection => Err(Failure::caused_by(broken, error.to_string())),
    }
}

fn refusal(body: &[u8]) -> Failure {
    match serde_json::from_slice::<ErrorBody>(body) {
        Ok(body) => {
            let failure = Failure::new(body.error.message);
            match body.error.hint {
                Some(hint) => failure.with_hint(hint),
                None => failure,
            }
        }
        Err(_) => Failure::new("the agent refused without saying why"),
    }
}

#[cfg(test)]
mod tests {
    use access::AppName;

    use super::*;

    fn app(name: &str, uri: &str) -> App {
        App::new(AppName::parse(name).unwrap(), uri)
    }

    #[test]
    fn the_only_app_that_a_browser_can_show_is_meant() {
        let aws = app("aws", "https://console.aws.amazon.com");
        let db = app("db", "tcp://db:5432");
        assert_eq!(the_only_app(vec![aws.clone(), db.clone()]).unwrap(), aws);
        let several = the_only_app(vec![aws.clone(), app("grafana", "http://x")]).unwrap_err();
        assert!(several.to_string().contains("several"), "{several}");
        assert!(the_only_app(vec![db]).is_err());
    }

    #[test]
    fn a_refusal_is_told_in_the_agents_words() {
        let body = ErrorBody::new("the login ends in 3 minutes", None);
        let failure = refusal(&serde_json::to_vec(&body).unwrap());
        assert!(failure.text().unwrap().contains("the login ends in 3 minutes"));
        assert!(refusal(b"<html>").text().unwrap().contains("without saying why"));
    }
}
