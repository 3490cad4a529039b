//! The road by the user's browser: a page of the proxy is opened, the user approves there, and the browser brings
//! a code back to a port of this machine.
//!
//! The code is worth nothing without the verifier, which never leaves this process but for the Auth Service (as in
//! [RFC 7636](https://www.rfc-editor.org/rfc/rfc7636)); an answer without the state that this process made up is
//! turned away, so that no other page can slip a code in.

use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::ValueEnum;
use percent_encoding::percent_decode_str;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::launch_page;
use crate::failure::{Failure, OrFail as _};
use crate::output::Output;

/// How long the user may take, as the original's.
const PATIENCE: Duration = Duration::from_secs(180);
/// How long one connection may take.
const HEAD_DEADLINE: Duration = Duration::from_secs(5);
/// Most bytes of a request that are read.
const HEAD_LIMIT: usize = 16 * 1024;
/// Connections at once.
const MOST_CONNECTIONS: usize = 16;
/// Longest code.
const LONGEST_CODE: usize = 256;

/// What is done with the address of a page.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Browser {
    /// Open it in the user's browser.
    #[default]
    Default,
    /// Print it.
    None,
}

/// What the browser is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Letting `tsh` log in.
    Login,
    /// Proving a second factor.
    Mfa,
}

/// A code that the browser brought, with the secret that makes it good.
pub struct Brought {
    /// The code.
    pub code: String,
    /// The verifier.
    pub verifier: String,
}

/// Opens the page at `proxy` (`host:port`) and waits for the code.
///
/// # Errors
/// When there is no browser, or the user does not approve in time.
pub async fn ask(
    proxy: &str,
    purpose: Purpose,
    browser: Browser,
    output: &mut Output,
) -> Result<Brought, Failure> {
    let door = Door::new(purpose).await?;
    let address = door.address(proxy);
    match browser {
        Browser::None => output.say(format!(
            "Open this page in a browser on this machine and approve there:\n\n  {address}\n"
        )),
        Browser::Default => {
            output.say(format!(
                "If browser window does not open automatically, open it by clicking on the link:\n {address}"
            ));
            // Where none can be opened, the link above can still be followed by hand.
            if let Err(failure) = launch_page::open(&address) {
                output.warn(failure.to_string());
            }
        }
    }
    door.wait().await
}

/// Listens for the browser's return.
struct Door {
    listener: TcpListener,
    port: u16,
    purpose: Purpose,
    state: String,
    verifier: String,
}

impl Door {
    async fn new(purpose: Purpose) -> Result<Self, Failure> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.or_fail("cannot listen")?;
        let port = listener.local_addr().or_fail("cannot listen")?.port();
        Ok(Self { listener, port, purpose, state: random()?, verifier: random()? })
    }

    fn address(&self, proxy: &str) -> String {
        let purpose = match self.purpose {
            Purpose::Login => "login",
            Purpose::Mfa => "mfa",
        };
        let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, self.verifier.as_bytes()));
        let host = proxy.strip_suffix(":443").unwrap_or(proxy);
        format!(
            "https://{host}/web/tsh?purpose={purpose}&port={}&challenge={challenge}&state={}",
            self.port, self.state
        )
    }

    async fn wait(self) -> Result<Brought, Failure> {
        let late = || {
            Failure::new(format!("the browser brought no answer within {} s", PATIENCE.as_secs()))
                .with_hint("run the command again, and approve it on the page that it opens")
        };
        let code = timeout(PATIENCE, self.code()).await.map_err(|_| late())?;
        Ok(Brought { code, verifier: self.verifier })
    }

    /// The first code that comes with our state. Whatever else calls is answered and forgotten: each connection by a
    /// task of its own, so that none can hold up another.
    async fn code(&self) -> String {
        let mut calls = JoinSet::new();
        loop {
            tokio::select! {
                accepted = self.listener.accept(), if calls.len() < MOST_CONNECTIONS => {
                    let Ok((stream, _)) = accepted else { continue };
                    let (port, state) = (self.port, self.state.clone());
                    calls.spawn(timeout(HEAD_DEADLINE, answer(stream, port, state)));
                }
                Some(ended) = calls.join_next() => {
                    if let Ok(Ok(Some(code))) = ended {
                        return code;
                    }
                }
            }
        }
    }
}

/// Answers one request; gives the code that it brings.
async fn answer(mut stream: TcpStream, port: u16, state: String) -> Option<String> {
    let head = read_head(&mut stream).await?;
    let code = code_in(&head, port, &state);
    let (status, words) = match &code {
        Some(_) => ("200 OK", "Approved. You can close this window and go back to the terminal."),
        None => ("400 Bad Request", "This is not the answer that tsh waits for."),
    };
    let reply = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\nCache-Control: no-store\r\n\
         Content-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\nReferrer-Policy: no-referrer\r\n\
         X-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n\
         <!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>tsh</title><h1>tsh</h1><p>{words}</p></html>\n"
    );
    // The code counts even if its bearer does not wait for the words.
    let _ = stream.write_all(reply.as_bytes()).await;
    let _ = stream.shutdown().await;
    code
}

async fn read_head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if head.len() > HEAD_LIMIT || stream.read_buf(&mut head).await.ok()? == 0 {
            return None;
        }
    }
    String::from_utf8(head).ok()
}

/// The code of `GET /callback?code=…&state=…`, if it was sent to us under our own name with our state.
fn code_in(head: &str, port: u16, state: &str) -> Option<String> {
    let mut lines = head.split("\r\n");
    let target = lines.next()?.strip_prefix("GET ")?.strip_suffix(" HTTP/1.1")?;
    let query = target.strip_prefix("/callback?")?;
    let mut hosts = lines
        .filter_map(|line| line.split_once(':'))
        .filter_map(|(name, value)| name.eq_ignore_ascii_case("host").then_some(value.trim()));
    // Another name that resolves to this machine is somebody else's page.
    let is_ours = hosts.next() == Some(&format!("127.0.0.1:{port}")) && hosts.next().is_none();
    let field = |wanted: &str| {
        let mut values = query.split('&').filter_map(|pair| pair.split_once('='));
        let value = values.find(|(name, _)| *name == wanted).map(|(_, value)| value)?;
        percent_decode_str(value).decode_utf8().ok().map(std::borrow::Cow::into_owned)
    };
    let given = field("state")?;
    let is_answer = verify_slices_are_equal(given.as_bytes(), state.as_bytes()).is_ok();
    let code = field("code").filter(|code| (1..=LONGEST_CODE).contains(&code.len()))?;
    (is_ours && is_answer).then_some(code)
}

fn random() -> Result<String, Failure> {
    let mut bytes = [0; 32];
    rand::fill(&mut bytes).or_fail("the system gives no random numbers")?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATE: &str = "0123456789abcdef";

    fn head(target: &str, host: &str) -> String {
        format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n")
    }

    #[test]
    fn a_code_comes_with_our_state_and_to_our_name_only() {
        let ours = "127.0.0.1:4711";
        let good = format!("/callback?code=abc-_1&state={STATE}");
        assert_eq!(code_in(&head(&good, ours), 4711, STATE).as_deref(), Some("abc-_1"));
        for (target, host) in [
            ("/callback?code=abc&state=0123456789abcdeX".to_owned(), ours),
            ("/callback?code=abc".to_owned(), ours),
            (format!("/callback?state={STATE}"), ours),
            (format!("/callback?code=&state={STATE}"), ours),
            (format!("/callback?code={}&state={STATE}", "x".repeat(300)), ours),
            (format!("/other?code=abc&state={STATE}"), ours),
            (good.clone(), "evil.example.com:4711"),
            (good.clone(), "127.0.0.1:4712"),
            (good.clone(), "localhost:4711"),
        ] {
            assert_eq!(code_in(&head(&target, host), 4711, STATE), None, "{target} {host}");
        }
        let twice = format!("GET {good} HTTP/1.1\r\nHost: {ours}\r\nHost: evil\r\n\r\n");
        assert_eq!(code_in(&twice, 4711, STATE), None);
        assert_eq!(
            code_in(&format!("POST {good} HTTP/1.1\r\nHost: {ours}\r\n\r\n"), 4711, STATE),
            None
        );
        assert_eq!(code_in("rubbish", 4711, STATE), None);
    }

    async fn call(port: u16, text: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut reply = String::new();
        let _ = stream.read_to_string(&mut reply).await;
        reply
    }

    #[tokio::test]
    async fn the_right_answer_gets_through_whatever_else_calls() {
        let door = Door::new(Purpose::Mfa).await.unwrap();
        let (port, state) = (door.port, door.state.clone());
        let address = door.address("proxy.example.com:443");
        assert!(
            address.starts_with("https://proxy.example.com/web/tsh?purpose=mfa&port="),
            "{address}"
        );
        assert!(!address.contains(&door.verifier), "the verifier stays here");
        let host = format!("127.0.0.1:{port}");
        let calling = async {
            // Some say nothing, and hold on.
            let connect = |_| TcpStream::connect(("127.0.0.1", port));
            let silent = futures_util::future::join_all((1..MOST_CONNECTIONS).map(connect)).await;
            assert!(silent.iter().all(Result::is_ok));
            let forged = call(port, &head("/callback?code=forged&state=x", &host)).await;
            assert!(forged.starts_with("HTTP/1.1 400"), "{forged}");
            let good = format!("/callback?code=good&state={state}");
            call(port, &head(&good, &host)).await
        };
        let verifier = door.verifier.clone();
        let (brought, reply) = tokio::join!(door.wait(), calling);
        let brought = brought.unwrap();
        assert_eq!((brought.code.as_str(), brought.verifier), ("good", verifier));
        assert!(
            reply.starts_with("HTTP/1.1 200") && reply.contains("default-src 'none'"),
            "{reply}"
        );
    }
}
