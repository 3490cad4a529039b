//! Crash, corruption and concurrency: whatever happens, no entry is lost and none is invented.

mod prepared;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::{Duration, UNIX_EPOCH};

use api::error::ApiError;
use audit::events::{Outcome, RequestFields};
use audit::{Closing, Entry, Event, Request, What};
use bytes::Bytes;
use rustix::fs::FlockOperation;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::ship::Sink;
use super::*;

/// A request's event; the number makes its uid.
pub(crate) fn event(number: u128) -> Event {
    let fields = RequestFields {
        user: "alice".to_owned(),
        aws_service: "dynamodb".to_owned(),
        tables: vec!["Music".to_owned()],
        ..RequestFields::default()
    };
    let time = UNIX_EPOCH + Duration::from_secs(1_795_334_400);
    Event::new(Uuid::from_u128(number), time, "example.com", What::request(fields))
}

fn settings(dir: &Path) -> SpoolSettings {
    SpoolSettings { segment: 1 << 20, ..SpoolSettings::new(dir.join("spool")) }
}

/// The bytes of a record.
pub(crate) fn record(kind: Kind, event: &Event) -> Vec<u8> {
    line::encoded(kind, event, <[u8]>::to_vec).unwrap()
}

fn open_in(dir: &Path) -> Arc<Spool> {
    Arc::new(Spool::open(settings(dir)).unwrap())
}

fn entry(spool: &Arc<Spool>, number: u128) -> Result<Entry<Spool>, SpoolError> {
    Request::new(event(number)).unwrap().open(Arc::clone(spool))
}

fn answer(entry: Entry<Spool>) {
    entry.close(Outcome::Answered, Closing { status_code: Some(200), ..Closing::default() });
}

/// The process dies: nothing is closed, nothing is removed, the threads and the lock are gone.
fn die(spool: Arc<Spool>, open: Vec<Entry<Spool>>) {
    spool.syncer.stop(&spool.shared);
    spool.preparer.die(&spool.shared);
    rustix::fs::flock(&spool.shared._lock, FlockOperation::Unlock).unwrap();
    std::mem::forget((spool, open));
}

/// An Auth Service that keeps what it gets, and may be away.
#[derive(Clone, Default)]
pub(crate) struct Auth {
    events: Arc<Mutex<Vec<Event>>>,
    away: Arc<AtomicUsize>,
}

impl Auth {
    /// Everything it got.
    pub(crate) fn taken(&self) -> Vec<Event> {
        self.events.lock().unwrap().clone()
    }

    fn outcomes(&self) -> BTreeMap<u128, Outcome> {
        let events = self.events.lock().unwrap();
        let outcome = |event: &Event| event.what.as_request().unwrap().outcome;
        // The first of a uid counts, as in the Auth Service.
        events.iter().rev().map(|event| (event.uid.as_u128(), outcome(event))).collect()
    }
}

impl Sink for Auth {
    async fn store(&self, lines: Bytes) -> Result<(), ApiError> {
        let take_one = |left: usize| left.checked_sub(1);
        if self.away.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take_one).is_ok() {
            return Err(ApiError::Unreachable {
                address: "auth".to_owned(),
                source: "away".into(),
            });
        }
        let events = lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let events = events.map(|line| serde_json::from_slice(line).unwrap());
        self.events.lock().unwrap().extend(events);
        Ok(())
    }
}

/// Ships everything once, as a stopping agent does.
pub(crate) async fn ship_all(spool: &Arc<Spool>, auth: &Auth) {
    let stop = CancellationToken::new();
    stop.cancel();
    ship(Arc::clone(spool), auth.clone(), stop).await;
}

async fn after_restart(dir: &Path) -> BTreeMap<u128, Outcome> {
    let spool = open_in(dir);
    let auth = Auth::default();
    ship_all(&spool, &auth).await;
    spool.stop();
    auth.outcomes()
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir.join("spool")).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "spool"));
    files.sort();
    files
}

#[tokio::test]
async fn a_closed_entry_reaches_the_auth_service_and_leaves_the_disk() {
    let dir = TempDir::new().unwrap();
    let spool = open_in(dir.path());
    let entry = entry(&spool, 1).unwrap();
    spool.durable(entry.opened()).await.unwrap();
    answer(entry);
    let auth = Auth::default();
    ship_all(&spool, &auth).await;
    assert_eq!(auth.outcomes(), [(1, Outcome::Answered)].into());
    assert_eq!((files(dir.path()).len(), spool.bytes()), (0, 0));
}

#[tokio::test]
async fn an_open_entry_keeps_its_file_until_it_is_closed() {
    let dir = TempDir::new().unwrap();
    let spool = open_in(dir.path());
    let (open, closed) = (entry(&spool, 1).unwrap(), entry(&spool, 2).unwrap());
    answer(closed);
    let auth = Auth::default();
    ship_all(&spool, &auth).await;
    assert_eq!(auth.outcomes(), [(2, Outcome::Answered)].into());
    assert_eq!(files(dir.path()).len(), 1);
    answer(open);
    ship_all(&spool, &auth).await;
    assert_eq!(auth.outcomes(), [(1, Outcome::Answered), (2, Outcome::Answered)].into());
    assert_eq!(files(dir.path()).len(), 0);
}

#[tokio::test]
async fn what_was_open_when_the_process_died_has_an_unknown_outcome() {
    let dir = TempDir::new().unwrap();
    let spool = open_in(dir.path());
    let open = vec![entry(&spool, 1).unwrap(), entry(&spool, 2).unwrap()];
    answer(entry(&spool, 3).unwrap());
    die(spool, open);
    let expected = [(1, Outcome::Unknown), (2, Outcome::Unknown), (3, Outcome::Answered)].into();
    assert_eq!(after_restart(dir.path()).await, expected);
    assert_eq!(after_restart(dir.path()).await, BTreeMap::new(), "shipped once is enough");
}

#[tokio::test]
async fn dying_again_before_shipping_closes_nothing_twice() {
    let dir = TempDir::new().unwrap();
    let spool = open_in(dir.path());
    let open = vec![entry(&spool, 1).unwrap()];
    die(spool, open);
    for _ in 0..3 {
        die(open_in(dir.path()), Vec::new());
    }
    let spool = open_in(dir.path());
    let auth = Auth::default();
    ship_all(&spool, &auth).await;
    assert_eq!(auth.events.lock().unwrap().len(), 1);
    assert_eq!(auth.outcomes(), [(1, Outcome::Unknown)].into());
}

#[tokio::test]
async fn a_file_cut_at_any_byte_gives_all_that_stands_before_the_cut() {
    let dir = TempDir::new().unwrap();
    let spool = open_in(dir.path());
    // After which byte which outcome is known: the last line feed of a record may be missing without loss of the
    // record before it, but not of its own.
    let mut known: Vec<(u64, u128, Outcome)> = Vec::new();
    let mut open = Vec::new();
    for number in 1..=4 {
        open.push(entry(&spool, number).unwrap());
        known.push((spool.bytes(), number, Outcome::Unknown));
        if number % 2 == 0 {
            answer(open.remove(0));
            known.push((spool.bytes(), number / 2, Outcome::Answered));
        }
    }
    let used = spool.shared.current.load().end();
    die(spool, open);
    assert_eq!(known.last().unwrap().0, used);
    let mut whole = std::fs::read(&files(dir.path())[0]).unwrap();
    let zeros = whole.split_off(usize::try_from(used).unwrap());
    assert!(zeros.iter().all(|byte| *byte == 0) && zeros.len() > 1 << 19);
    let one = written(&whole);
    for cut in (0..=whole.len()).rev() {
        let file = std::fs::OpenOptions::new().write(true).open(&files(one.path())[0]).unwrap();
        file.set_len(cut as u64).unwrap();
        let stands = known.iter().filter(|(end, _, _)| *end <= cut as u64);
        let expected: BTreeMap<_, _> =
            stands.map(|(_, number, outcome)| (*number, *outcome)).collect();
        assert_eq!(on_disk(one.path()), expected, "cut at {cut}");
        file.set_len(4 * whole.len() as u64).unwrap();
        assert_eq!(on_disk(one.path()), expected, "zeros from {cut} on");
        // All the way through a restart for some: that syncs, and takes its time.
        if cut % 151 == 0 {
            let other = written(&whole[..cut]);
            assert_eq!(after_restart(other.path()).await, expected, "cut at {cut}");
        }
    }
}

/// A spool of one file.
fn written(bytes: &[u8]) -> TempDir {
    let dir = TempDir::new().unwrap();
    std::fs::create_dir(dir.path().join("spool")).unwrap();
    std::fs::write(dir.path().join("spool/00000000000000000001.spool"), bytes).unwrap();
    dir
}

/// What a restart would find.
fn on_disk(dir: &Path) -> BTreeMap<u128, Outcome> {
    let segments = segment::list(&dir.join("spool")).unwrap();
    let mut outcomes = BTreeMap::new();
    for event in recover::left_open(&segments).unwrap() {
        outcomes.insert(event.uid.as_u128(), event.what.as_request().unwrap().outcome);
    }
    for segment in &segments {
        let mut each = |line: line::Line<'_>| {
            if line.kind == Kind::Closed {
                let event: Event = serde_json::from_slice(line.json).unwrap();
                outcomes.insert(event.uid.as_u128(), event.what.as_request().unwrap().outcome);
            }
        };
        scan::whole(segment, &mut each).unwrap();
    }
    outcomes
}

#[tokio::test]
async fn a_torn_record_spoils_no_other() {
    let dir = TempDir::new().unwrap();
    let spool = open_in(dir.path());
    answer(entry(&spool, 1).unwrap());
    let record = record(Kind::Closed, &event(2));
    tear(&spool, &record[..record.len() / 2], record.len()).await;
    answer(entry(&spool, 3).unwrap());
    tear(&spool, &record[..record.len() / 3], record.len() / 3).await;
    let auth = Auth::default();
    ship_all(&spool, &auth).await;
    assert_eq!(auth.outcomes(), [(1, Outcome::Answered), (3, Outcome::Answered)].into());
    assert_eq!(files(dir.path()).len(), 0, "a torn end does not keep the file");
}

/// A record of which only a part could be written. Its file is left behind.
async fn tear(spool: &Arc<Spool>, part: &[u8], size: usize) {
    let current = spool.shared.current.load_full();
    current.tear(part, size);
    spool.syncer.wake();
    while spool.shared.current.load().number() == current.number() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn bytes_without_a_record_are_passed_over_in_constant_memory() {
    let dir = TempDir::new().unwrap();
    let spool = open_in(dir.path());
    spool.shared.append(&vec![b'x'; 3 * scan::CHUNK + 17]).unwrap();
    answer(entry(&spool, 1).unwrap());
    let auth = Auth::default();
    ship_all(&spool, &auth).await;
    assert_eq!(auth.outcomes(), [(1, Outcome::Answered)].into());
}

#[tokio::test]
async fn a_full_spool_refuses_and_says_so_until_there_is_room() {
    let dir = TempDir::new().unwrap();
    let spool =
        Arc::new(Spool::open(SpoolSettings { limit: 4096, ..settings(dir.path()) }).unwrap());
    let mut opened = 0;
    let refused = loop {
        match entry(&spool, opened + 1) {
            Ok(entry) => answer(entry),
            Err(error) => break error,
        }
        opened += 1;
    };
    assert!(matches!(refused, SpoolError::Full { limit: 4096, .. }));
    assert!(refused.to_string().contains("spool") && refused.to_string().contains("is full"));
    assert!(matches!(spool.note(&event(99)), Err(SpoolError::Full { .. })));
    let auth = Auth::default();
    ship_all(&spool, &auth).await;
    assert_eq!(auth.outcomes().len() as u128, opened);
    spool.check().unwrap();
}

#[tokio::test]
async fn a_closing_that_cannot_be_written_stops_new_calls_and_is_written_later() {
    let dir = TempDir::new().unwrap();
    let spool = open_in(dir.path());
    let open = entry(&spool, 1).unwrap();
    let good = spool.shared.current.load_full();
    spool.shared.current.store(Arc::new(Segment::special(
        &spool.shared.settings.dir,
        "/dev/full",
        2,
    )));
    assert!(matches!(entry(&spool, 2), Err(SpoolError::Write { .. })));
    answer(open);
    assert!(matches!(entry(&spool, 3), Err(SpoolError::Failing { .. })));
    spool.shared.current.store(good);
    while spool.check().is_err() {
        tokio::task::yield_now().await;
    }
    answer(entry(&spool, 4).unwrap());
    let auth = Auth::default();
    ship_all(&spool, &auth).await;
    assert_eq!(auth.outcomes(), [(1, Outcome::Answered), (4, Outcome::Answered)].into());
}

/// What is written to `/dev/null` is accepted, and cannot be synced.
pub(crate) fn make_unsyncable(spool: &Spool) {
    let shared = &spool.shared;
    shared.turn_to(Segment::special(&shared.settings.dir, "/dev/null", shared.next_number()));
}

#[tokio::test]
async fn a_failed_sync_is_told_and_a_new_file_is_begun() {
    let dir = TempDir::new().unwrap();
    let spool = open_in(dir.path());
    let before = entry(&spool, 1).unwrap();
    spool.durable(before.opened()).await.unwrap();
    make_unsyncable(&spool);
    let entry_2 = entry(&spool, 2).unwrap();
    let failed = spool.durable(entry_2.opened()).await;
    assert!(matches!(failed, Err(SpoolError::Sync { .. })));
    while spool.shared.current.load().number() == 2 {
        tokio::task::yield_now().await;
    }
    let after = entry(&spool, 3).unwrap();
    spool.durable(after.opened()).await.unwrap();
    assert!(spool.durable(entry_2.opened()).await.is_err(), "once failed, always failed");
}

/// An Auth Service that refuses one entry for good.
#[derive(Clone, Default)]
struct Fussy {
    auth: Auth,
    dislikes: Arc<Mutex<Option<String>>>,
}

impl Sink for Fussy {
    async fn store(&self, lines: Bytes) -> Result<(), ApiError> {
        let text = String::from_utf8(lines.to_vec()).unwrap();
        if self.dislikes.lock().unwrap().as_ref().is_some_and(|word| text.contains(word)) {
            let message = "line 1 is not an event".to_owned();
            return Err(ApiError::Refused { status: 400, message, hint: None, code: None });
        }
        self.auth.store(lines).await
    }
}

#[tokio::test]
async fn an_entry_that_is_refused_for_good_is_set_aside_and_holds_up_no_other() {
    let dir = TempDir::new().unwrap();
    let spool = open_in(dir.path());
    for number in 1..=9 {
        answer(entry(&spool, number).unwrap());
    }
    let fussy = Fussy::default();
    *fussy.dislikes.lock().unwrap() = Some(uuid::Uuid::from_u128(5).to_string());
    let stop = CancellationToken::new();
    stop.cancel();
    ship(Arc::clone(&spool), fussy.clone(), stop).await;
    let taken: Vec<u128> = fussy.auth.outcomes().into_keys().collect();
    assert_eq!(taken, [1, 2, 3, 4, 6, 7, 8, 9]);
    let kept = std::fs::read_to_string(dir.path().join("spool/refused.jsonl")).unwrap();
    assert_eq!(kept.lines().count(), 1, "{kept}");
    assert!(kept.contains(&uuid::Uuid::from_u128(5).to_string()), "{kept}");
}

#[test]
fn two_processes_cannot_share_a_spool() {
    let dir = TempDir::new().unwrap();
    let _spool = open_in(dir.path());
    assert!(matches!(Spool::open(settings(dir.path())), Err(SpoolError::InUse { .. })));
}

#[test]
fn only_the_owner_can_read_the_files() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = TempDir::new().unwrap();
    let _spool = open_in(dir.path());
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&dir.path().join("spool")), 0o700);
    assert_eq!(mode(&files(dir.path())[0]), 0o600);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_writers_lose_nothing_while_files_turn_over_and_the_auth_service_comes_and_goes() {
    const WRITERS: u128 = 32;
    const EACH: u128 = 100;
    let dir = TempDir::new().unwrap();
    let spool =
        Arc::new(Spool::open(SpoolSettings { segment: 20_000, ..settings(dir.path()) }).unwrap());
    let auth = Auth { away: Arc::new(AtomicUsize::new(3)), ..Auth::default() };
    let stop = CancellationToken::new();
    let mut tasks = tokio::task::JoinSet::new();
    let mut shipping = tokio::task::JoinSet::new();
    shipping.spawn(ship(Arc::clone(&spool), auth.clone(), stop.clone()));
    for writer in 0..WRITERS {
        let spool = Arc::clone(&spool);
        tasks.spawn(async move { write_entries(&spool, writer * EACH, EACH).await });
    }
    tasks.join_all().await;
    stop.cancel();
    shipping.join_all().await;
    spool.stop();
    let outcome = |number: u128| {
        if (number % EACH).is_multiple_of(3) { Outcome::Unknown } else { Outcome::Answered }
    };
    let expected: BTreeMap<_, _> =
        (0..WRITERS * EACH).map(|number| (number + 1, outcome(number))).collect();
    assert_eq!(auth.outcomes(), expected);
    assert_eq!((files(dir.path()).len(), spool.bytes()), (0, 0));
}

/// Closes two of three entries, and drops the third.
async fn write_entries(spool: &Arc<Spool>, before: u128, count: u128) {
    for number in 0..count {
        let entry = entry(spool, 1 + before + number).unwrap();
        spool.durable(entry.opened()).await.unwrap();
        if number % 3 == 0 { drop(entry) } else { answer(entry) }
    }
}

/// Tells what it does on standard output, line by line, until it is killed.
#[test]
#[ignore = "the child of the next test"]
fn child() {
    let Some(dir) = std::env::var_os("SPOOL_TEST_DIR") else { return };
    let spool = Arc::new(
        Spool::open(SpoolSettings { segment: 50_000, ..settings(Path::new(&dir)) }).unwrap(),
    );
    let threads: Vec<_> = (0..4_u128)
        .map(|thread| {
            let spool = Arc::clone(&spool);
            std::thread::spawn(move || {
                for number in 0_u128.. {
                    let uid = (thread << 64) + number;
                    let entry = entry(&spool, uid).unwrap();
                    say(&format!("opened {uid}"));
                    answer(entry);
                    say(&format!("closed {uid}"));
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

fn say(line: &str) {
    // One write each, so that a kill cannot mix lines.
    std::io::stdout().lock().write_all(format!("\n{line}\n").as_bytes()).unwrap();
}

#[tokio::test]
async fn killed_at_any_moment_every_entry_it_told_of_is_there() {
    for round in 0..5 {
        let dir = TempDir::new().unwrap();
        let (opened, closed) = run_and_kill(dir.path(), 200 + 613 * round);
        let outcomes = after_restart(dir.path()).await;
        for uid in &closed {
            assert_eq!(outcomes.get(uid), Some(&Outcome::Answered), "{uid} was closed");
        }
        for uid in &opened {
            assert!(outcomes.contains_key(uid), "{uid} was opened");
        }
    }
}

/// Runs the child until it has told of so many openings, and kills it.
fn run_and_kill(dir: &Path, openings: usize) -> (BTreeSet<u128>, BTreeSet<u128>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "spool::tests::child", "--ignored", "--nocapture"])
        .env("SPOOL_TEST_DIR", dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = child.stdout.take().unwrap();
    let (enough, reached) = mpsc::channel();
    let reader = std::thread::spawn(move || {
        let (mut opened, mut closed) = (BTreeSet::new(), BTreeSet::new());
        for line in BufReader::new(output).lines() {
            let line = line.unwrap();
            match line.split_once(' ').map(|(word, uid)| (word, uid.parse())) {
                Some(("opened", Ok(uid))) => drop(opened.insert(uid)),
                Some(("closed", Ok(uid))) => drop(closed.insert(uid)),
                _ => {}
            }
            if opened.len() == openings {
                // Fails only when the child has been killed already.
                let _ = enough.send(());
            }
        }
        (opened, closed)
    });
    reached.recv().unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    reader.join().unwrap()
}
