//! Where things are: binaries, clients, free ports.

use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Root of the repository.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// The target directory that this test was built into.
#[must_use]
pub fn target() -> PathBuf {
    // …/target/<profile>/deps/test-name → …/target
    let exe = std::env::current_exe().unwrap();
    exe.ancestors().nth(3).unwrap().to_owned()
}

/// One of our binaries, of the profile that this test was built with.
#[must_use]
pub fn binary(name: &str) -> PathBuf {
    let exe = std::env::current_exe().unwrap();
    let path = exe.ancestors().nth(2).unwrap().join(name);
    assert!(path.exists(), "{} is missing; run `cargo build --workspace` first", path.display());
    path
}

/// A binary of the sandbox.
#[must_use]
pub fn sandbox_binary(name: &str) -> PathBuf {
    let folder = root().join("sandbox/target");
    let found = ["release", "debug"].iter().map(|profile| folder.join(profile).join(name));
    let newest = found
        .filter(|path| path.exists())
        .max_by_key(|path| path.metadata().and_then(|meta| meta.modified()).ok());
    newest.unwrap_or_else(|| panic!("sandbox/{name} is missing; run `make sandbox` first"))
}

/// A program of the Python environment of the test clients.
#[must_use]
pub fn python_client(name: &str) -> PathBuf {
    client(&target().join("clients/python/bin").join(name))
}

/// The folder with the node modules of the test clients.
#[must_use]
pub fn node_clients() -> PathBuf {
    client(&target().join("clients/node"))
}

fn client(path: &Path) -> PathBuf {
    assert!(
        path.exists(),
        "{} is missing; run crates/testkit/clients/install.sh first",
        path.display()
    );
    path.to_owned()
}

/// Ports of one test process, and how many such parts there are.
const PART: u16 = 200;
const PARTS: u16 = 110;

/// A port on 127.0.0.1 that nothing listens on right now.
///
/// Below the range that the system gives to outgoing connections, so that none takes it
/// between this call and its use; and of a part that no other test process draws from.
#[must_use]
pub fn free_port() -> u16 {
    use std::sync::atomic::{AtomicU16, Ordering};
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let base = own_part();
    for _ in 0..2 * PART {
        let port = base + NEXT.fetch_add(1, Ordering::Relaxed) % PART;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no free port");
}

/// First port of the part that is this process's own, by a lock that lasts as long as the process.
fn own_part() -> u16 {
    static OWN: OnceLock<(File, u16)> = OnceLock::new();
    OWN.get_or_init(|| {
        let folder = std::env::temp_dir().join("causeway-test-ports");
        std::fs::create_dir_all(&folder).unwrap();
        let first = u16::try_from(std::process::id() % u32::from(PARTS)).unwrap();
        let mut parts = (0..PARTS).map(|step| (first + step) % PARTS);
        let lock = |part: u16| {
            let file = File::create(folder.join(part.to_string())).unwrap();
            file.try_lock().ok().map(|()| (file, 10_000 + part * PART))
        };
        parts.find_map(lock).expect("a part of the ports that no other test process has")
    })
    .1
}
