//! Rows of the picture: calls that are made by the keys of other roles than the session's.

use std::fmt::Write;

use access::UserNow;

use super::support::{ELSEWHERE, WRITER, now, role_name};
use super::{Scene, mark};

/// Calls by the keys of other roles.
pub(super) fn scenes() -> Vec<(&'static str, Scene)> {
    let no_writer = |user: &mut UserNow| user.roles.push(role_name("no-writer"));
    vec![
        ("by the keys of another role", Scene::new().chain(&[WRITER])),
        ("by the keys of a role of another account", Scene::new().chain(&[WRITER, ELSEWHERE])),
        (
            "by the keys of a role of another account, the app is bound to its own",
            Scene::new().bound_to("123456789012").chain(&[ELSEWHERE]),
        ),
        (
            "by keys that were got by way of another account, the app is bound to its own",
            Scene::new().bound_to("123456789012").chain(&[ELSEWHERE, WRITER]),
        ),
        ("the role of the keys is denied", Scene::new().user(no_writer).chain(&[WRITER])),
        (
            "a role that the keys were got by is denied",
            Scene::new().user(no_writer).chain(&[WRITER, ELSEWHERE]),
        ),
        (
            "a role that has no part in it is denied",
            Scene::new().user(no_writer).chain(&[ELSEWHERE]),
        ),
        (
            "by the keys of another role, the session's own is denied since",
            Scene::new().user(|user| user.roles.push(role_name("no-reader"))).chain(&[WRITER]),
        ),
        (
            "by the keys of another role, the session has ended",
            Scene::new().session(|session| session.expires = now()).chain(&[WRITER]),
        ),
        (
            "the call by the keys of another role would hand out keys",
            Scene { operation: "AssumeRole", ..Scene::new().chain(&[WRITER]) },
        ),
    ]
}

/// Draws them.
pub(super) fn draw(picture: &mut String) {
    picture.push_str("\n# Chains of roles\n\n");
    for (what, scene) in scenes() {
        let answer = scene.answer();
        writeln!(picture, "{what}: {}", mark(&answer)).unwrap();
        if let Err(denial) = answer {
            writeln!(picture, "    {denial}").unwrap();
        }
    }
}
