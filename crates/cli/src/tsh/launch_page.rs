//! Hands an address to the user's browser: by its command, or, where the address is a secret, through a page of this
//! process that can be fetched once.

use std::process::{Command, Stdio};
use std::time::Duration;

use api::types::console::ConsoleSignIn;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::failure::{Failure, OrFail as _};

/// How long the browser may take to come.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long one of its connections may take.
const HEAD_DEADLINE: Duration = Duration::from_secs(5);
/// Most bytes of a request that are read.
const HEAD_LIMIT: usize = 16 * 1024;

#[cfg(target_os = "macos")]
const OPENER: &str = "open";
#[cfg(not(target_os = "macos"))]
const OPENER: &str = "xdg-open";

/// Opens an address that is no secret.
///
/// # Errors
/// When there is no browser.
pub fn open(address: &str) -> Result<(), Failure> {
    let opened = Command::new(OPENER)
        .arg(address)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    opened
        .map(drop)
        .or_fail(format!("cannot run {OPENER}"))
        .map_err(|failure| failure.with_hint("with --browser=none the address is printed instead"))
}

/// Sends the browser to the console, by way of a page of this process.
///
/// # Errors
/// When there is no browser, or it does not come.
pub async fn show(signed_in: &ConsoleSignIn) -> Result<(), Failure> {
    let page = Page::new().await?;
    open(&page.address)?;
    page.give(signed_in).await
}

/// A page on this machine that is given out once.
struct Page {
    listener: TcpListener,
    path: String,
    address: String,
}

impl Page {
    async fn new() -> Result<Self, Failure> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.or_fail("cannot listen")?;
        let port = listener.local_addr().or_fail("cannot listen")?.port();
        let path = format!("/{}", uuid::Uuid::new_v4().simple());
        let address = format!("http://127.0.0.1:{port}{path}");
        Ok(Self { listener, path, address })
    }

    async fn give(self, signed_in: &ConsoleSignIn) -> Result<(), Failure> {
        // A browser opens connections ahead of need: those that ask for nothing do not count.
        let giving = async { while !self.give_to_one(signed_in).await {} };
        let late = || {
            Failure::new("the browser did not come for the page")
                .with_hint("with --browser=none the address is printed instead")
        };
        timeout(PATIENCE, giving).await.map_err(|_| late())
    }

    async fn give_to_one(&self, signed_in: &ConsoleSignIn) -> bool {
        let Ok((mut stream, _)) = self.listener.accept().await else { return false };
        let answered = timeout(HEAD_DEADLINE, answer(&mut stream, &self.path, signed_in));
        matches!(answered.await, Ok(Ok(true)))
    }
}

/// Answers one request; true if it was for the page.
async fn answer(
    stream: &mut TcpStream,
    path: &str,
    signed_in: &ConsoleSignIn,
) -> std::io::Result<bool> {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if head.len() > HEAD_LIMIT || stream.read_buf(&mut head).await? == 0 {
            return Ok(false);
        }
    }
    let is_ours = head.starts_with(format!("GET {path} HTTP/1.").as_bytes());
    let reply = if is_ours {
        format!(
            "HTTP/1.1 303 See Other\r\nLocation: {}\r\nCache-Control: no-store\r\nReferrer-Policy: no-referrer\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
            signed_in.expose_url()
        )
    } else {
        "HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".to_owned()
    };
    stream.write_all(reply.as_bytes()).await?;
    stream.shutdown().await?;
    Ok(is_ours)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn fetch(address: &str, path: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).await.unwrap();
        reply
    }

    #[tokio::test]
    async fn the_page_is_given_once_and_to_its_own_path_alone() {
        let page = Page::new().await.unwrap();
        let address = page.listener.local_addr().unwrap().to_string();
        let path = page.path.clone();
        let signed_in = ConsoleSignIn::new("https://signin.aws.amazon.com/federation?x".to_owned());
        let asking = async {
            drop(TcpStream::connect(&address).await.unwrap());
            assert!(fetch(&address, "/").await.starts_with("HTTP/1.1 404"));
            fetch(&address, &path).await
        };
        let (given, reply) = tokio::join!(page.give(&signed_in), asking);
        given.unwrap();
        assert!(reply.starts_with("HTTP/1.1 303"), "{reply}");
        assert!(reply.contains("\r\nLocation: https://signin.aws.amazon.com/federation?x\r\n"));
        assert!(TcpStream::connect(&address).await.is_err(), "nobody listens any more");
    }
}
