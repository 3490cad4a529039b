//! Where buckets and objects are kept: contents in files, everything else in memory and, with a
//! state directory, in an index file beside them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Context as _;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::answer::Refusal;
use crate::chance;

/// A piece of content in a file. The file goes when the piece was discarded and nobody reads it.
#[derive(Debug)]
pub struct Blob {
    /// The file.
    pub path: PathBuf,
    /// How long it is.
    pub length: u64,
    discarded: AtomicBool,
}

impl Blob {
    /// A piece that is in a file already.
    pub fn new(path: PathBuf, length: u64) -> Arc<Self> {
        Arc::new(Self { path, length, discarded: AtomicBool::new(false) })
    }

    /// Says that nothing refers to the piece any more.
    pub fn discard(&self) {
        self.discarded.store(true, Ordering::Release);
    }
}

impl Drop for Blob {
    fn drop(&mut self) {
        if self.discarded.load(Ordering::Acquire) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// An object.
#[derive(Debug, Clone)]
pub struct Object {
    /// Its content, in order.
    pub pieces: Vec<Arc<Blob>>,
    /// What belongs to it.
    pub facts: ObjectFacts,
}

/// What is known of an object beside its content.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ObjectFacts {
    /// The ETag, without quotes.
    pub etag: String,
    /// When it was written.
    pub modified: Timestamp,
    /// Headers that come back with it: content type, user metadata and the like.
    pub headers: BTreeMap<String, String>,
    /// The checksum that came with it: header and value.
    pub checksum: Option<(String, String)>,
}

impl Object {
    /// How long the content is.
    pub fn length(&self) -> u64 {
        self.pieces.iter().map(|piece| piece.length).sum()
    }

    /// Says that the object is gone.
    pub fn discard(&self) {
        for piece in &self.pieces {
            piece.discard();
        }
    }
}

/// A bucket.
#[derive(Debug, Clone)]
pub struct Bucket {
    /// Whose it is.
    pub account: String,
    /// Where it is.
    pub region: String,
    /// Since when.
    pub created: Timestamp,
    /// What is in it.
    pub objects: BTreeMap<String, Object>,
}

/// A multipart upload that has not ended.
#[derive(Debug, Clone)]
pub struct Upload {
    /// The bucket.
    pub bucket: String,
    /// The key.
    pub key: String,
    /// Headers for the object to be.
    pub headers: BTreeMap<String, String>,
    /// Since when.
    pub started: Timestamp,
    /// The parts by number.
    pub parts: BTreeMap<u32, Part>,
}

/// A part of an upload.
#[derive(Debug, Clone)]
pub struct Part {
    /// Its content.
    pub blob: Arc<Blob>,
    /// Its MD5.
    pub md5: [u8; 16],
    /// When it came.
    pub modified: Timestamp,
}

/// All buckets and uploads. Uploads end with the process.
#[derive(Debug, Default)]
pub struct Holdings {
    /// By name.
    pub buckets: BTreeMap<String, Bucket>,
    /// By upload id.
    pub uploads: BTreeMap<String, Upload>,
}

/// The shelf.
#[derive(Debug)]
pub struct Shelf {
    dir: PathBuf,
    index: Option<PathBuf>,
    holdings: Mutex<Holdings>,
    // Takes the directory along when it goes.
    _temporary: Option<tempfile::TempDir>,
}

/// The index as it is written.
#[derive(Default, Serialize, Deserialize)]
struct Index {
    buckets: BTreeMap<String, WrittenBucket>,
}

#[derive(Serialize, Deserialize)]
struct WrittenBucket {
    account: String,
    region: String,
    created: Timestamp,
    objects: BTreeMap<String, WrittenObject>,
}

#[derive(Serialize, Deserialize)]
struct WrittenObject {
    pieces: Vec<(String, u64)>,
    facts: ObjectFacts,
}

impl Shelf {
    /// A shelf in a directory, or in one that goes away with the process.
    pub fn open(dir: Option<PathBuf>) -> anyhow::Result<Self> {
        let Some(dir) = dir else {
            let temporary = tempfile::Builder::new().prefix("sandbox-s3-").tempdir()?;
            let dir = temporary.path().to_owned();
            return Ok(Self {
                dir,
                index: None,
                holdings: Mutex::default(),
                _temporary: Some(temporary),
            });
        };
        std::fs::create_dir_all(&dir)
            .with_context(|| format!("could not make {}", dir.display()))?;
        let index = dir.join("index.json");
        let holdings = if index.exists() { read_index(&index, &dir)? } else { Holdings::default() };
        Ok(Self { dir, index: Some(index), holdings: Mutex::new(holdings), _temporary: None })
    }

    /// A file name for new content.
    pub fn new_path(&self) -> PathBuf {
        self.dir.join(chance::name())
    }

    /// Reads.
    pub fn read<T>(&self, look: impl FnOnce(&Holdings) -> T) -> T {
        look(&self.lock())
    }

    /// Changes, and writes the index when there is one.
    pub fn change<T>(
        &self,
        act: impl FnOnce(&mut Holdings) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let mut holdings = self.lock();
        let outcome = act(&mut holdings)?;
        if let Some(index) = &self.index {
            write_index(index, &holdings)
                .map_err(|error| Refusal::new(500, "InternalError", format!("{error:#}")))?;
        }
        Ok(outcome)
    }

    /// Checks that a bucket is there, is the caller's, and is in the region that was signed for.
    pub fn reach(&self, name: &str, account: &str, region: &str) -> Result<(), Refusal> {
        let found = self.read(|held| {
            held.buckets.get(name).map(|one| (one.account.clone(), one.region.clone()))
        });
        let (owner, place) = found.ok_or_else(|| no_such_bucket(name))?;
        if owner != account {
            return Err(Refusal::new(403, "AccessDenied", "Access Denied"));
        }
        // SigV4A names a set of regions, or all.
        let mut regions = region.split(',').map(str::trim);
        if !regions.any(|region| region == place || region == "*") {
            let text = format!(
                "The authorization header is malformed; the region '{region}' is wrong; expecting '{place}'"
            );
            return Err(
                Refusal::new(400, "AuthorizationHeaderMalformed", text).with("Region", place)
            );
        }
        Ok(())
    }

    /// Forgets everything, unless it is kept in a state directory.
    pub fn clear(&self) {
        if self.index.is_some() {
            return;
        }
        let held = std::mem::take(&mut *self.lock());
        held.buckets.values().flat_map(|bucket| bucket.objects.values()).for_each(Object::discard);
        held.uploads
            .values()
            .flat_map(|upload| upload.parts.values())
            .for_each(|part| part.blob.discard());
    }

    fn lock(&self) -> MutexGuard<'_, Holdings> {
        self.holdings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What AWS says of a bucket that is not there.
pub fn no_such_bucket(name: &str) -> Refusal {
    Refusal::new(404, "NoSuchBucket", "The specified bucket does not exist")
        .with("BucketName", name)
}

fn write_index(path: &Path, holdings: &Holdings) -> anyhow::Result<()> {
    let object = |object: &Object| WrittenObject {
        pieces: object.pieces.iter().map(|piece| (file_name(&piece.path), piece.length)).collect(),
        facts: object.facts.clone(),
    };
    let bucket = |bucket: &Bucket| WrittenBucket {
        account: bucket.account.clone(),
        region: bucket.region.clone(),
        created: bucket.created,
        objects: bucket.objects.iter().map(|(key, one)| (key.clone(), object(one))).collect(),
    };
    let buckets = holdings.buckets.iter().map(|(name, one)| (name.clone(), bucket(one))).collect();
    crate::files::write_private(path, &serde_json::to_vec(&Index { buckets })?)
}

fn read_index(path: &Path, dir: &Path) -> anyhow::Result<Holdings> {
    let text = std::fs::read(path).with_context(|| format!("could not read {}", path.display()))?;
    let index: Index =
        serde_json::from_slice(&text).with_context(|| format!("{} is damaged", path.display()))?;
    let object = |written: WrittenObject| Object {
        pieces: written
            .pieces
            .into_iter()
            .map(|(name, length)| Blob::new(dir.join(name), length))
            .collect(),
        facts: written.facts,
    };
    let bucket = |written: WrittenBucket| Bucket {
        account: written.account,
        region: written.region,
        created: written.created,
        objects: written.objects.into_iter().map(|(key, one)| (key, object(one))).collect(),
    };
    let buckets = index.buckets.into_iter().map(|(name, one)| (name, bucket(one))).collect();
    Ok(Holdings { buckets, uploads: BTreeMap::new() })
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
