//! How large the windows are, how many streams there may be, and how long a silent peer counts as alive.

use std::time::Duration;

/// What both ends of a tunnel are set to. The defaults suit a loopback as well as a line of 100 ms.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How much may be under way.
    pub windows: Windows,
    /// The most streams at once.
    pub max_streams: u32,
    /// The most bytes of target and headers of one stream, as HTTP/2 counts them (RFC 9113, 6.5.2).
    pub max_header_bytes: u32,
    /// When a silent peer is asked, and when it is given up.
    pub keepalive: Keepalive,
}

/// Bytes that may be under way towards this end before it has consumed them.
#[derive(Debug, Clone, Copy)]
pub struct Windows {
    /// Of one stream. A stream carries at most this much per round trip; beside a full stream others wait for about
    /// this much to pass.
    pub stream: u32,
    /// Of all streams of a connection together.
    pub connection: u32,
    /// Bytes of one stream that this end keeps before the connection takes them.
    pub send_buffer: usize,
}

/// When a silent peer is asked, and when it is given up: at the latest `every + patience` after its last sign of life.
#[derive(Debug, Clone, Copy)]
pub struct Keepalive {
    /// Time between two questions (HTTP/2 PING).
    pub every: Duration,
    /// Time for any byte to arrive after a question.
    pub patience: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            windows: Windows::default(),
            max_streams: 4096,
            max_header_bytes: 16 * 1024,
            keepalive: Keepalive::default(),
        }
    }
}

impl Default for Windows {
    fn default() -> Self {
        Self { stream: 1024 * 1024, connection: 16 * 1024 * 1024, send_buffer: 256 * 1024 }
    }
}

impl Default for Keepalive {
    fn default() -> Self {
        Self { every: Duration::from_secs(15), patience: Duration::from_secs(5) }
    }
}
