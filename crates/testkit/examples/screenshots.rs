//! Pictures of every page: 1440, 768 and 390 pixels wide, light and dark, into `target/screenshots`
//! or the folder that is named. `make screenshots` runs it.
#![allow(
    clippy::print_stdout,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a program for developers"
)]

use std::path::PathBuf;

use testkit::browser::browse;
use testkit::lived_in::LivedIn;
use testkit::places;

fn main() {
    let named = std::env::args().nth(1).map(PathBuf::from);
    let into = named.unwrap_or_else(|| places::target().join("screenshots"));
    let home = LivedIn::start();
    let settings = serde_json::json!({
        "name": home.admin.name,
        "password": home.admin.password,
        "secret": home.admin.otp_secret,
        "paths": home.paths(),
        "into": into,
    });
    let found = browse(&home.cluster, "pages", settings);
    println!("{}", found["first"]);
    println!("pictures of {} pages are in {}", home.paths().len(), into.display());
}
