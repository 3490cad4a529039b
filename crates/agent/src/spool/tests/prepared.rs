//! Files of zeros made ahead of their use, and gaps of zeros among records.

use super::*;
use proptest::prelude::*;

/// What a shipper finds now in every file, without the last pass over idle ones.
fn shipped(segment: &Segment) -> Vec<u128> {
    let mut found = Vec::new();
    scan::whole(segment, &mut |line| found.push(line.uid.as_u128())).unwrap();
    found
}

fn closing(number: u128) -> Vec<u8> {
    record(Kind::Closed, &event(number))
}

fn current(spool: &Arc<Spool>) -> Arc<Segment> {
    spool.shared.current.load_full()
}

/// A state that another thread brings about.
async fn until(is_so: impl Fn() -> bool) {
    while !is_so() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn a_prepared_file_neither_grows_nor_counts() {
    let dir = TempDir::new().unwrap();
    let spool = open_in(dir.path());
    let length = || std::fs::metadata(&files(dir.path())[0]).unwrap().len();
    assert_eq!((length(), spool.bytes()), (1 << 20, 0));
    let open = entry(&spool, 1).unwrap();
    spool.durable(open.opened()).await.unwrap();
    let size = record(Kind::Opened, &event(1)).len() as u64;
    assert_eq!((length(), spool.bytes()), (1 << 20, size));
    die(spool, vec![open]);
    let spool = open_in(dir.path());
    assert_eq!(length(), size, "the zeros of an old file are given back");
    assert_eq!(spool.bytes(), size + size);
}

#[tokio::test]
async fn live_readers_wait_where_a_slow_writer_is_about_to_write() {
    let dir = TempDir::new().unwrap();
    let spool = open_in(dir.path());
    spool.note(&event(1)).unwrap();
    let slow = closing(2);
    let segment = current(&spool);
    let place = segment.place(slow.len());
    spool.note(&event(3)).unwrap();
    assert_eq!(shipped(&segment), [1]);
    // As much of it as the kernel has copied so far.
    let file = std::fs::OpenOptions::new().write(true).open(&files(dir.path())[0]).unwrap();
    for part in [1, 50, slow.len() - 1] {
        std::os::unix::fs::FileExt::write_all_at(&file, &slow[..part], place).unwrap();
        assert_eq!(shipped(&segment), [1]);
    }
    segment.write(&slow, place).unwrap();
    assert_eq!(shipped(&segment), [1, 2, 3]);
}

#[tokio::test]
async fn a_file_left_behind_is_read_to_its_end_only_when_slow_writers_have_written() {
    let dir = TempDir::new().unwrap();
    let spool = open_in(dir.path());
    let segment = current(&spool);
    let slow = closing(1);
    let place = segment.place(slow.len());
    spool.note(&event(2)).unwrap();
    spool.shared.rotate(Leave::Failed).unwrap();
    spool.note(&event(3)).unwrap();
    assert_eq!((shipped(&segment), shipped(&current(&spool))), (vec![], vec![3]));
    assert!(segment.append(&slow).is_none(), "nothing gets into it any more");
    segment.write(&slow, place).unwrap();
    assert_eq!(shipped(&segment), [1, 2]);
}

#[tokio::test]
async fn a_failed_write_does_not_hold_up_what_stands_behind_it() {
    let dir = TempDir::new().unwrap();
    let spool = open_in(dir.path());
    let auth = Auth::default();
    let stop = CancellationToken::new();
    let mut shipping = tokio::task::JoinSet::new();
    shipping.spawn(ship(Arc::clone(&spool), auth.clone(), stop.clone()));
    let long = entry(&spool, 1).unwrap();
    tear(&spool, b"\nC torn", 500).await;
    answer(entry(&spool, 2).unwrap());
    // An open entry keeps the file, but not the others in it.
    until(|| auth.outcomes().contains_key(&2)).await;
    answer(long);
    stop.cancel();
    shipping.join_all().await;
    assert_eq!(auth.outcomes(), [(1, Outcome::Answered), (2, Outcome::Answered)].into());
}

#[tokio::test]
async fn a_call_that_comes_when_the_last_file_has_gone_begins_a_new_one() {
    let dir = TempDir::new().unwrap();
    let spool = open_in(dir.path());
    answer(entry(&spool, 1).unwrap());
    ship_all(&spool, &Auth::default()).await;
    assert_eq!(files(dir.path()).len(), 0);
    let late = entry(&spool, 2).unwrap();
    spool.durable(late.opened()).await.unwrap();
    die(spool, vec![late]);
    assert_eq!(after_restart(dir.path()).await, [(2, Outcome::Unknown)].into());
}

#[tokio::test]
async fn gaps_are_skipped_at_the_next_start() {
    let dir = TempDir::new().unwrap();
    let spool = open_in(dir.path());
    let segment = current(&spool);
    segment.place(700);
    spool.note(&event(1)).unwrap();
    segment.place(3 * scan::CHUNK);
    let open = entry(&spool, 2).unwrap();
    segment.place(1);
    die(spool, vec![open]);
    let expected = [(1, Outcome::Unknown), (2, Outcome::Unknown)].into();
    assert_eq!(after_restart(dir.path()).await, expected);
    assert_eq!(files(dir.path()).len(), 0);
}

#[tokio::test]
async fn files_of_the_old_format_and_prepared_ones_that_nobody_used_are_dealt_with() {
    let old = [record(Kind::Opened, &event(1)), record(Kind::Opened, &event(2)), closing(2)];
    let dir = written(&old.concat());
    let path = |number: u64| dir.path().join(format!("spool/{number:020}.spool"));
    std::fs::write(path(2), vec![0; 1 << 20]).unwrap();
    std::fs::write(path(3), b"").unwrap();
    let spool = open_in(dir.path());
    assert_eq!(files(dir.path()), [path(1), path(4)]);
    let used = old.concat().len() + closing(1).len();
    assert_eq!(spool.bytes(), used as u64);
    let auth = Auth::default();
    ship_all(&spool, &auth).await;
    assert_eq!(auth.outcomes(), [(1, Outcome::Unknown), (2, Outcome::Unknown)].into());
    assert_eq!((files(dir.path()).len(), spool.bytes()), (0, 0));
}

/// Fills the current file up to the half, at which the next one is asked for.
async fn fill_half(spool: &Arc<Spool>, from: u128) -> u128 {
    let (before, mut number) = (current(spool).number(), from);
    while current(spool).number() == before
        && current(spool).end() < spool.shared.settings.prepared() / 2
    {
        let entry = entry(spool, number).unwrap();
        spool.durable(entry.opened()).await.unwrap();
        answer(entry);
        number += 1;
    }
    let entry = entry(spool, number).unwrap();
    spool.durable(entry.opened()).await.unwrap();
    answer(entry);
    number + 1
}

fn small(dir: &Path) -> Arc<Spool> {
    Arc::new(Spool::open(SpoolSettings { segment: 40_000, ..settings(dir) }).unwrap())
}

#[tokio::test]
async fn the_next_file_is_made_ahead_and_goes_with_the_last_one() {
    let dir = TempDir::new().unwrap();
    let spool = small(dir.path());
    fill_half(&spool, 1).await;
    until(|| files(dir.path()).len() == 2).await;
    assert_eq!(current(&spool).number(), 1);
    spool.stop();
    assert_eq!(files(dir.path()).len(), 1, "what was prepared in vain is removed");
}

#[tokio::test]
async fn a_killed_spool_leaves_a_prepared_file_that_the_next_start_removes() {
    let dir = TempDir::new().unwrap();
    let spool = small(dir.path());
    let last = fill_half(&spool, 1).await - 1;
    until(|| files(dir.path()).len() == 2).await;
    die(spool, Vec::new());
    let outcomes = after_restart(dir.path()).await;
    assert_eq!(outcomes.into_keys().collect::<Vec<_>>(), (1..=last).collect::<Vec<_>>());
    assert_eq!(files(dir.path()).len(), 0);
}

#[tokio::test]
async fn what_cannot_be_prepared_is_done_without() {
    let dir = TempDir::new().unwrap();
    // More than any disk has.
    let settings = SpoolSettings { segment: 1 << 60, limit: 1 << 60, ..settings(dir.path()) };
    let spool = Arc::new(Spool::open(settings).unwrap());
    let entry = entry(&spool, 1).unwrap();
    spool.durable(entry.opened()).await.unwrap();
    answer(entry);
    let auth = Auth::default();
    ship_all(&spool, &auth).await;
    assert_eq!(auth.outcomes(), [(1, Outcome::Answered)].into());
}

#[tokio::test]
async fn while_no_file_can_be_made_the_current_one_grows_and_loses_nothing() {
    let dir = TempDir::new().unwrap();
    let spool = small(dir.path());
    let (here, away) = (dir.path().join("spool"), dir.path().join("away"));
    std::fs::rename(&here, &away).unwrap();
    let mut next = fill_half(&spool, 1).await;
    while current(&spool).end() < 100_000 {
        next = fill_half(&spool, next).await;
    }
    assert_eq!(current(&spool).number(), 1);
    std::fs::rename(&away, &here).unwrap();
    while current(&spool).number() == 1 {
        next = fill_half(&spool, next).await;
    }
    let auth = Auth::default();
    ship_all(&spool, &auth).await;
    assert_eq!(auth.outcomes().into_keys().collect::<Vec<_>>(), (1..next).collect::<Vec<_>>());
}

#[test]
fn a_full_disk_is_told_when_a_file_is_filled() {
    let dir = TempDir::new().unwrap();
    let full = Segment::special(dir.path(), "/dev/full", 1);
    let error = full.fill(0, 1 << 20).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn threads_write_while_a_reader_ships_and_nothing_is_lost_or_sent_twice() {
    const THREADS: u128 = 8;
    const EACH: u128 = 2_000;
    let dir = TempDir::new().unwrap();
    let settings = SpoolSettings { segment: 200_000, ..settings(dir.path()) };
    let spool = Arc::new(Spool::open(settings).unwrap());
    let auth = Auth::default();
    let stop = CancellationToken::new();
    let mut shipping = tokio::task::JoinSet::new();
    shipping.spawn(ship(Arc::clone(&spool), auth.clone(), stop.clone()));
    let threads: Vec<_> = (0..THREADS)
        .map(|thread| {
            let spool = Arc::clone(&spool);
            let numbers = thread * EACH..(thread + 1) * EACH;
            std::thread::spawn(move || {
                numbers.for_each(|number| answer(entry(&spool, number).unwrap()));
            })
        })
        .collect();
    let joined = tokio::task::spawn_blocking(|| {
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
    joined.await.unwrap();
    stop.cancel();
    shipping.join_all().await;
    spool.stop();
    let mut taken: Vec<u128> = auth.taken().iter().map(|event| event.uid.as_u128()).collect();
    taken.sort_unstable();
    assert_eq!(taken, (0..THREADS * EACH).collect::<Vec<_>>());
    assert_eq!((files(dir.path()).len(), spool.bytes()), (0, 0));
}

#[derive(Clone, Copy, Debug)]
enum Piece {
    Record,
    Gap(usize),
    Torn(usize),
}

fn pieces() -> impl Strategy<Value = Vec<Piece>> {
    let piece = prop_oneof![
        3 => Just(Piece::Record),
        1 => (1_usize..5_000).prop_map(Piece::Gap),
        1 => (1_usize..200).prop_map(Piece::Torn),
    ];
    prop::collection::vec(piece, 0..20)
}

proptest! {
    #[test]
    fn every_record_is_found_among_gaps_and_torn_ones(pieces in pieces(), tail in 0_usize..9_000) {
        let mut bytes = Vec::new();
        let mut expected = Vec::new();
        for (number, piece) in (1..).zip(pieces) {
            let whole = closing(number);
            match piece {
                Piece::Record => {
                    bytes.extend_from_slice(&whole);
                    expected.push(number);
                }
                Piece::Gap(size) => bytes.resize(bytes.len() + size, 0),
                Piece::Torn(size) => {
                    bytes.extend_from_slice(&whole[..size]);
                    bytes.resize(bytes.len() + whole.len() - size, 0);
                }
            }
        }
        let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last as u64 + 1);
        bytes.resize(bytes.len() + tail, 0);
        let dir = written(&bytes);
        let segments = segment::list(&dir.path().join("spool")).unwrap();
        prop_assert_eq!(segments[0].end(), used);
        prop_assert_eq!(shipped(&segments[0]), expected);
    }
}
