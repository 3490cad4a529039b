//! Everything that the stand-in knows, in one place that all requests share.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use anyhow::Context as _;
use jiff::Timestamp;

use crate::dynamodb::Engines;
use crate::faults::Faults;
use crate::federation::Desk;
use crate::journal::Journal;
use crate::keys::{Keys, Principal};
use crate::roles::Roles;
use crate::s3::Shelf;

/// How a world begins.
#[derive(Debug, Default)]
pub struct Beginning {
    /// Where to keep tables, objects and keys; in memory (and a directory that goes away) without.
    pub state: Option<PathBuf>,
    /// Where to log requests.
    pub log: Option<PathBuf>,
    /// Host names that are served beside AWS's and this machine's.
    pub hosts: Vec<String>,
    /// Tokens and assertions of identity providers that are good.
    pub identity_tokens: Vec<String>,
}

/// All of it.
#[derive(Debug)]
pub struct World {
    /// Who may sign.
    pub keys: Keys,
    /// What may be assumed.
    pub roles: Roles,
    /// What is to go wrong.
    pub faults: Faults,
    /// What happened.
    pub journal: Journal,
    /// DynamoDB.
    pub tables: Engines,
    /// S3.
    pub objects: Shelf,
    /// Sign-in tokens of the console.
    pub desk: Desk,
    /// Host names that are served beside AWS's and this machine's.
    pub hosts: Vec<String>,
    /// Tokens and assertions of identity providers that are good.
    pub identity_tokens: Vec<String>,
    ledger: Option<Mutex<PathBuf>>,
}

impl World {
    /// Makes a world, or wakes the one that a state directory holds.
    pub fn begin(beginning: Beginning) -> anyhow::Result<Self> {
        let state = beginning.state;
        if let Some(dir) = &state {
            std::fs::create_dir_all(dir)
                .with_context(|| format!("could not make {}", dir.display()))?;
        }
        let under = |name: &str| state.as_ref().map(|dir| dir.join(name));
        let world = Self {
            keys: Keys::default(),
            roles: Roles::default(),
            faults: Faults::default(),
            journal: Journal::new(beginning.log.as_deref())?,
            tables: Engines::new(under("dynamodb")),
            objects: Shelf::open(under("s3"))?,
            desk: Desk::default(),
            hosts: beginning.hosts,
            identity_tokens: beginning.identity_tokens,
            ledger: under("principals.jsonl").map(Mutex::new),
        };
        if let Some(ledger) = under("principals.jsonl").filter(|path| path.exists()) {
            world.remember(&ledger)?;
        }
        Ok(world)
    }

    /// The time as it is taken to be here.
    pub fn now(&self) -> Timestamp {
        self.faults.now()
    }

    /// Adds somebody who may sign, for good if there is a state directory.
    pub fn enrol(&self, principal: Principal) -> anyhow::Result<std::sync::Arc<Principal>> {
        let principal = self.keys.add(principal);
        if let Some(ledger) = &self.ledger {
            let path = ledger.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            append(&path, &serde_json::to_string(&*principal)?)?;
        }
        Ok(principal)
    }

    fn remember(&self, ledger: &Path) -> anyhow::Result<()> {
        let text = std::fs::read_to_string(ledger)
            .with_context(|| format!("could not read {}", ledger.display()))?;
        for line in text.lines().filter(|line| !line.is_empty()) {
            // The last line may have been cut by a kill.
            if let Ok(principal) = serde_json::from_str(line) {
                self.keys.add(principal);
            }
        }
        Ok(())
    }
}

fn append(path: &Path, line: &str) -> anyhow::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut file = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("could not open {}", path.display()))?;
    file.write_all(format!("{line}\n").as_bytes())
        .with_context(|| format!("could not write {}", path.display()))
}
