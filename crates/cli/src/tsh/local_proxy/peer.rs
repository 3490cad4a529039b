//! Whose process is at the other end of a connection: for requests that no signature vouches for.
//!
//! Linux tells the owner of every TCP socket of this machine in `/proc/net/tcp` and `/proc/net/tcp6`
//! (<https://docs.kernel.org/networking/proc_net_tcp.html>). Where there are no such files, nobody is known.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use thiserror::Error;
use tokio::net::TcpStream;

/// A table that changes while it is read may lack a line.
const ATTEMPTS: usize = 3;
const TABLES: [&str; 2] = ["/proc/net/tcp", "/proc/net/tcp6"];
const ESTABLISHED: &str = "01";

/// The ends of a client's connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ends {
    /// The client's; none if the connection has gone already.
    client: Option<SocketAddr>,
    /// Ours.
    here: Option<SocketAddr>,
    /// Where we listen, which may be more.
    listen: IpAddr,
}

/// Why a client is not known to be the user's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum NotOurs {
    /// `--listen`.
    #[error("this proxy listens where other machines and containers may reach it")]
    Open,
    /// Not by loopback.
    #[error("the client is not on this machine")]
    Far,
    /// No table, or the socket is not in it.
    #[error("this system does not tell whose process the client is")]
    Unknown,
    /// Another uid.
    #[error("the client is a process of another user of this machine")]
    Other,
}

impl Ends {
    /// Of a connection that a listener at `listen` has accepted.
    pub(crate) fn of(stream: &TcpStream, listen: IpAddr) -> Self {
        let canonical =
            |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
        Self {
            client: stream.peer_addr().ok().map(canonical),
            here: stream.local_addr().ok().map(canonical),
            listen: listen.to_canonical(),
        }
    }

    /// Proves that the client is a process of the user that this one belongs to.
    ///
    /// # Errors
    /// Whatever is not certain.
    pub(crate) async fn prove_ours(self) -> Result<(), NotOurs> {
        self.prove_of(rustix::process::geteuid().as_raw()).await
    }

    async fn prove_of(self, us: u32) -> Result<(), NotOurs> {
        if !self.listen.is_loopback() {
            return Err(NotOurs::Open);
        }
        let (Some(client), Some(here)) = (self.client, self.here) else {
            return Err(NotOurs::Unknown);
        };
        if !client.ip().is_loopback() || !here.ip().is_loopback() {
            return Err(NotOurs::Far);
        }
        let asking = tokio::task::spawn_blocking(move || owner((client, here)));
        match asking.await.ok().flatten() {
            Some(owner) if owner == us => Ok(()),
            Some(_) => Err(NotOurs::Other),
            None => Err(NotOurs::Unknown),
        }
    }
}

/// The uid that the client's socket belongs to.
fn owner(ends: (SocketAddr, SocketAddr)) -> Option<u32> {
    (0..ATTEMPTS).find_map(|_| {
        TABLES.iter().find_map(|path| owner_in(&std::fs::read_to_string(path).ok()?, ends))
    })
}

/// The uid of the open socket whose local end is the client's and whose other end is ours.
fn owner_in(table: &str, (client, here): (SocketAddr, SocketAddr)) -> Option<u32> {
    table.lines().skip(1).find_map(|line| {
        let mut columns = line.split_whitespace().skip(1);
        let (local, remote) = (address(columns.next()?)?, address(columns.next()?)?);
        let is_it = local == client && remote == here && columns.next()? == ESTABLISHED;
        // Queues, timer and retransmissions stand before the uid.
        is_it.then(|| columns.nth(3)?.parse().ok()).flatten()
    })
}

/// `0100007F:1F90`: words of 32 bits as the machine holds them, and the port.
fn address(text: &str) -> Option<SocketAddr> {
    let (words, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word =
        |at: usize| u32::from_str_radix(words.get(at..at + 8)?, 16).ok().map(u32::to_ne_bytes);
    let ip = match words.len() {
        8 => IpAddr::from(word(0)?),
        32 => {
            let all = [word(0)?, word(8)?, word(16)?, word(24)?].concat();
            IpAddr::from(Ipv6Addr::from(<[u8; 16]>::try_from(all).ok()?)).to_canonical()
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[cfg(target_endian = "little")]
    const TABLE: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
   1: 0100007F:9C40 0100007F:1F90 01 00000000:00000000 00:00000000 00000000  1000        0 2 1 0 20 4 30 10 -1
   2: 0100007F:1F90 0100007F:9C40 01 00000000:00000000 00:00000000 00000000     7        0 3 1 0 20 4 30 10 -1
   3: 0100007F:9C41 0100007F:1F90 06 00000000:00000000 03:00000000 00000000     0        0 0 3 0
   4: 0000000000000000FFFF00000100007F:9C42 0000000000000000FFFF00000100007F:1F90 01 00000000:00000000 00:00000000 00000000  1001        0 4 1 0 20 4 30 10 -1
   5: 00000000000000000000000001000000:9C43 00000000000000000000000001000000:1F90 01 00000000:00000000 00:00000000 00000000  1002        0 4 1 0 20 4 30 10 -1
   6: 0100007F:9C44 0100007F:1F90 01 00000000:00000000
";

    #[cfg(target_endian = "little")]
    #[test]
    fn the_clients_own_end_of_an_open_connection_tells_its_owner() {
        let owner = |client: &str, here: &str| {
            owner_in(TABLE, (client.parse().unwrap(), here.parse().unwrap()))
        };
        for (client, here, uid) in [
            ("127.0.0.1:40000", "127.0.0.1:8080", Some(1000)),
            ("127.0.0.1:8080", "127.0.0.1:40000", Some(7)),
            ("127.0.0.1:40001", "127.0.0.1:8080", None),
            ("127.0.0.1:40002", "127.0.0.1:8080", Some(1001)),
            ("[::1]:40003", "[::1]:8080", Some(1002)),
            ("127.0.0.1:40004", "127.0.0.1:8080", None),
            ("127.0.0.1:40005", "127.0.0.1:8080", None),
            ("127.0.0.2:40000", "127.0.0.1:8080", None),
            ("127.0.0.1:40000", "127.0.0.1:8081", None),
        ] {
            assert_eq!(owner(client, here), uid, "{client} {here}");
        }
    }

    #[test]
    fn rubbish_is_no_address() {
        for text in
            ["", ":", "0100007F", "0100007F:", "0100007:1F90", "é100007F:1F90", "0100007G:1"]
        {
            assert_eq!(address(text), None, "{text}");
        }
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn this_very_process_is_ours_and_nobody_is_where_others_may_come() {
        for host in ["127.0.0.1:0", "[::1]:0"] {
            this_process_is_ours_at(host).await;
        }
    }

    #[cfg(target_os = "linux")]
    async fn this_process_is_ours_at(host: &str) {
        let Ok(listener) = TcpListener::bind(host).await else { return };
        let address = listener.local_addr().unwrap();
        let _client = TcpStream::connect(address).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        assert_eq!(Ends::of(&stream, address.ip()).prove_ours().await, Ok(()));
        let other = rustix::process::geteuid().as_raw() + 1;
        assert_eq!(Ends::of(&stream, address.ip()).prove_of(other).await, Err(NotOurs::Other));
        let open = Ends::of(&stream, Ipv6Addr::UNSPECIFIED.into());
        assert_eq!(open.prove_ours().await, Err(NotOurs::Open));
        let gone = Ends { client: None, ..Ends::of(&stream, address.ip()) };
        assert_eq!(gone.prove_ours().await, Err(NotOurs::Unknown));
        let far = Ends { client: "192.0.2.1:1".parse().ok(), ..gone };
        assert_eq!(far.prove_ours().await, Err(NotOurs::Far));
        let closed = Ends { client: "127.0.0.1:1".parse().ok(), ..gone };
        assert_eq!(closed.prove_ours().await, Err(NotOurs::Unknown));
    }
}
