//! Opening the spool: what an earlier life left open is closed with "outcome unknown".

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use audit::Event;
use rustix::fs::FlockOperation;
use tracing::{error, info, warn};
use uuid::Uuid;

use super::line::{self, Kind};
use super::prepare::{self, Next};
use super::segment::{self, Segment};
use super::sync::Progress;
use super::{Shared, Shelf, SpoolError, scan, setup};
use crate::config::SpoolSettings;

pub(super) fn open(settings: SpoolSettings) -> Result<Shared, SpoolError> {
    let dir = settings.dir.as_path();
    segment::make_dir(dir).map_err(|source| setup("make the directory", dir, source))?;
    let lock = lock(dir)?;
    let mut old = segment::list(dir).map_err(|source| setup("list the files of", dir, source))?;
    let number = old.last().map_or(1, |last| last.number() + 1);
    old.retain(has_records);
    let left_open = left_open(&old).map_err(|source| setup("read the files of", dir, source))?;
    let current = begin(&settings, number, &left_open)?;
    let mut segments: Vec<_> = old.into_iter().map(Arc::new).collect();
    segments.push(Arc::clone(&current));
    let bytes = segments.iter().map(|segment| segment.bytes()).sum();
    let shelf = |segment| Shelf { segment, shipped: 0 };
    Ok(Shared {
        current: ArcSwap::new(current),
        shelves: Mutex::new(segments.into_iter().map(shelf).collect()),
        turning: Mutex::default(),
        next: Next::default(),
        numbers: AtomicU64::new(number),
        bytes: AtomicU64::new(bytes),
        written: AtomicU64::new(0),
        wanted: AtomicU64::new(0),
        late: Mutex::default(),
        late_count: AtomicUsize::new(0),
        is_stopping: AtomicBool::new(false),
        progress: Progress::new(),
        settings,
        _lock: lock,
    })
}

/// Two processes on one spool would close each other's entries.
fn lock(dir: &Path) -> Result<File, SpoolError> {
    let path = dir.join("lock");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o600);
    let file = options.open(&path).map_err(|source| setup("open", &path, source))?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(SpoolError::InUse { path: dir.to_owned() }),
        Err(errno) => Err(setup("lock", &path, errno.into())),
    }
}

/// Tidies up what an earlier life left: a file that it had only prepared goes.
fn has_records(segment: &Segment) -> bool {
    let is_used = segment.end() > 0;
    let tidied = if is_used { segment.trim() } else { segment.delete() };
    if let Err(error) = tidied {
        warn!(segment = segment.number(), %error, "could not tidy up a file of the audit spool");
    }
    is_used
}

/// The opening events without a closing. An opening always stands before its closing.
pub(super) fn left_open(segments: &[Segment]) -> io::Result<Vec<Event>> {
    let mut open: HashMap<Uuid, Vec<u8>> = HashMap::new();
    for segment in segments {
        scan::whole(segment, &mut |line| match line.kind {
            Kind::Opened => drop(open.insert(line.uid, line.json.to_vec())),
            Kind::Closed => drop(open.remove(&line.uid)),
        })?;
    }
    let mut events: Vec<Event> = open.values().filter_map(|json| read(json)).collect();
    events.sort_by_key(|event| (event.time, event.uid));
    Ok(events)
}

fn read(json: &[u8]) -> Option<Event> {
    serde_json::from_slice(json)
        .inspect_err(
            |error| error!(%error, "the spool holds an audit entry that cannot be understood"),
        )
        .ok()
}

/// Begins the first file of this life with the closings of the last one. An opening event says "unknown" already.
fn begin(
    settings: &SpoolSettings,
    number: u64,
    left_open: &[Event],
) -> Result<Arc<Segment>, SpoolError> {
    let dir = settings.dir.as_path();
    let failed = |source| setup("begin a new file in", dir, source);
    let segment = prepare::at_once(dir, number, settings.prepared())
        .or_else(|error| {
            warn!(%error, "could not prepare a file of the audit spool; beginning with an empty one");
            Segment::create(dir, number)
        })
        .map_err(failed)?;
    for event in left_open {
        line::encoded(Kind::Closed, event, |record| segment.append(record))
            .map_err(|error| failed(error.into()))?
            .unwrap_or_else(|| Err(io::ErrorKind::Other.into()))
            .map_err(failed)?;
    }
    segment.sync().map_err(failed)?;
    segment::sync_dir(dir).map_err(failed)?;
    if !left_open.is_empty() {
        info!(entries = left_open.len(), "closed audit entries whose outcome is unknown");
    }
    Ok(Arc::new(segment))
}
