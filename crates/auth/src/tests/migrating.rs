//! Files of older versions are opened without a loss.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use access::{RoleName, User, UserName};
use api::types::login::Password;
use api::types::mfa::MfaKind;
use api::types::ping::SecondFactor;
use audit::Event;
use audit::chain::Head;
use audit::events::{MfaAdd, MfaDevice};
use rusqlite::{Connection, params};
use totp_rs::Builder;
use uuid::Uuid;

use super::people::{code, finish, otp, password_of};
use super::town::{Hands, PASSWORD, Town, cluster_name, config};
use crate::PasswordCost;
use crate::passwords::Passwords;

const SECRET: &[u8] = b"12345678901234567890";
const DEVICE: &str = "7b0e5c1e-1f0e-4a3e-8d0e-000000000001";

fn millis(moment: SystemTime) -> i64 {
    moment.duration_since(UNIX_EPOCH).unwrap().as_millis().try_into().unwrap()
}

/// A file of the first version: alice with a device that the log tells of, bob with one that it
/// does not, carol with none, each with a password.
async fn file_of_the_first_version(dir: &Path, enrolled: SystemTime, last_step: u64) {
    fs::create_dir_all(dir.join("auth")).unwrap();
    let file = Connection::open(dir.join("auth/store.sqlite")).unwrap();
    file.execute_batch(include_str!("step_one.sql")).unwrap();
    let hash = Passwords::new(PasswordCost::least()).unwrap();
    let hash = hash.hash(&Password::new(PASSWORD.to_owned())).await.unwrap();
    for (name, device) in [("alice", Some(DEVICE)), ("bob", Some("b0b")), ("carol", None)] {
        let name = UserName::parse(name).unwrap();
        let roles = vec![RoleName::parse("access").unwrap()];
        let mut user = User::new(name.clone(), roles, Default::default());
        user.metadata.revision = Some("1".to_owned());
        let sql = "INSERT INTO resources (kind, name, revision, body) VALUES ('user', ?, '1', ?)";
        let body = serde_json::to_string(&user).unwrap();
        file.execute(sql, params![name.as_str(), body]).unwrap();
        let sql = "INSERT INTO credentials (user, password_hash, otp_secret, otp_device, otp_step,
            failures, last_failure) VALUES (?, ?, ?, ?, ?, 2, ?)";
        let secret = device.map(|_| SECRET);
        let step = device.map(|_| i64::try_from(last_step).unwrap());
        let row = params![name.as_str(), hash, secret, device, step, millis(enrolled)];
        file.execute(sql, row).unwrap();
    }
    let device = MfaDevice {
        mfa_device_name: "otp".to_owned(),
        mfa_device_uuid: DEVICE.to_owned(),
        mfa_device_type: "TOTP".to_owned(),
    };
    let what = MfaAdd { user: "alice".to_owned(), device };
    let event = Event::new(Uuid::new_v4(), enrolled, cluster_name().as_str(), what.into());
    let link = Head::EMPTY.link(event.to_json().unwrap());
    let sql = "INSERT INTO audit (seq, prev, hash, uid, time, event, code, user, json)
        VALUES (1, ?, ?, ?, ?, 'mfa.add', 'T1006I', 'alice', ?)";
    let uid = event.uid.into_bytes();
    let row = params![
        link.prev.as_bytes().as_slice(),
        link.hash.as_bytes().as_slice(),
        uid.as_slice(),
        event.time.as_millisecond(),
        link.event_json,
    ];
    file.execute(sql, row).unwrap();
}

#[tokio::test]
async fn the_one_second_factor_of_old_becomes_the_first_of_several() {
    let (dir, hands) = (tempfile::tempdir().unwrap(), Hands::new());
    let enrolled = hands.now() - Duration::from_secs(3_600);
    let step = hands.now().duration_since(UNIX_EPOCH).unwrap().as_secs() / 30;
    file_of_the_first_version(dir.path(), enrolled, step).await;
    let mut config = config(dir.path());
    config.second_factor = SecondFactor::Optional;
    let handle = crate::start(config, hands.clock()).await.unwrap();
    let town = Town { handle, hands, dir };
    let app = Builder::new().with_secret(SECRET.to_vec()).build().unwrap();
    let proxy = town.proxy().await;
    // A code that was used before the update stays used.
    let begun = proxy.begin_login(&password_of("alice")).await.unwrap();
    assert!(begun.needs_factor && begun.otp && begun.webauthn.is_none());
    finish(&town, &begun.id, Some(otp(&app, &town))).await.map(|_| ()).unwrap_err();
    town.hands.turn(Duration::from_secs(31));
    assert_eq!(code(&app, &town).len(), 6);
    let (credential, _) = finish(&town, &begun.id, Some(otp(&app, &town))).await.unwrap();
    let devices = town.client(Some(credential)).mfa_devices().await.unwrap();
    assert_eq!(devices.len(), 1);
    let device = &devices[0];
    assert_eq!((device.id.as_str(), device.name.as_str()), (DEVICE, "otp"));
    assert_eq!(device.kind, MfaKind::Totp);
    assert_eq!(device.added.as_millisecond(), millis(enrolled), "the log knows since when");
    let begun = proxy.begin_login(&password_of("bob")).await.unwrap();
    finish(&town, &begun.id, Some(otp(&app, &town))).await.unwrap();
    let begun = proxy.begin_login(&password_of("carol")).await.unwrap();
    assert!(!begun.needs_factor);
    finish(&town, &begun.id, None).await.unwrap();
    let verified = town.admin().verify_audit().await.unwrap();
    assert!(verified.broken.is_none(), "{verified:?}");
}

#[tokio::test]
async fn failures_before_the_update_still_count() {
    let (dir, hands) = (tempfile::tempdir().unwrap(), Hands::new());
    file_of_the_first_version(dir.path(), hands.now(), 0).await;
    let handle = crate::start(config(dir.path()), hands.clock()).await.unwrap();
    let town = Town { handle, hands, dir };
    let mut wrong = password_of("carol");
    wrong.password = Password::new("wrong password wrong".to_owned());
    for _ in 0..3 {
        town.proxy().await.begin_login(&wrong).await.unwrap_err();
    }
    assert_eq!(town.events("user.lockout").await[0]["attempts"], 5);
}

#[tokio::test]
async fn secrets_leave_the_place_that_they_had() {
    let (dir, hands) = (tempfile::tempdir().unwrap(), Hands::new());
    file_of_the_first_version(dir.path(), hands.now(), 0).await;
    let handle = crate::start(config(dir.path()), hands.clock()).await.unwrap();
    handle.stop(Duration::from_secs(5)).await;
    let file = Connection::open(dir.path().join("auth/store.sqlite")).unwrap();
    let columns = "SELECT COUNT(*) FROM pragma_table_info('credentials') WHERE name LIKE 'otp%'";
    let old: i64 = file.query_row(columns, [], |row| row.get(0)).unwrap();
    let devices = "SELECT COUNT(*) FROM mfa_devices WHERE secret IS NOT NULL";
    let new: i64 = file.query_row(devices, [], |row| row.get(0)).unwrap();
    assert_eq!((old, new), (0, 2));
}
