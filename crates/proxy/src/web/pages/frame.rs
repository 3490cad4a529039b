//! What every page has around it: files, the navigation, the token of its forms.

use std::fmt;
use std::sync::Arc;

use access::Verb;
use askama::filters::HtmlSafe;

use crate::web::as_user::SignedIn;
use crate::web::assets;

/// The page around a page.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) cluster: String,
    pub(crate) csrf: Arc<str>,
    pub(crate) person: Option<Person>,
    /// What was done just now, if this page follows upon something.
    pub(crate) done: Option<&'static str>,
}

/// Who is signed in, and where to go.
#[derive(Debug)]
pub(crate) struct Person {
    pub(crate) name: String,
    pub(crate) initials: String,
    pub(crate) groups: Vec<Group>,
}

/// A part of the navigation.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) title: &'static str,
    pub(crate) links: Vec<Link>,
}

/// One way.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) name: &'static str,
    pub(crate) href: &'static str,
    pub(crate) icon: &'static str,
    pub(crate) is_here: bool,
}

/// Which part of the navigation a page belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Here {
    Apps,
    Account,
    Terminal,
    Overview,
    Users,
    Roles,
    Tokens,
    Agents,
    Locks,
    Audit,
    Elsewhere,
}

/// A symbol of `icons.svg`.
pub(crate) struct Icon(String);

impl fmt::Display for Icon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sprite = assets::path_of("icons.svg");
        write!(
            f,
            r##"<svg class="icon" aria-hidden="true" focusable="false"><use href="{sprite}#{}"></use></svg>"##,
            self.0
        )
    }
}

/// Letters and digits, and the address of a file of ours.
impl HtmlSafe for Icon {}

impl Frame {
    /// Around a page for anybody.
    pub(crate) fn open(cluster: &str, csrf: &Arc<str>) -> Self {
        Self { cluster: cluster.to_owned(), csrf: Arc::clone(csrf), person: None, done: None }
    }

    /// Around a page for somebody.
    pub(crate) fn of(cluster: &str, csrf: &Arc<str>, me: &SignedIn, here: Here) -> Self {
        let person = Person {
            name: me.user().to_owned(),
            initials: initials(me.user()),
            groups: groups(me, here),
        };
        Self { person: Some(person), ..Self::open(cluster, csrf) }
    }

    /// Says what was done.
    #[must_use]
    pub(crate) fn saying(self, done: Option<&'static str>) -> Self {
        Self { done, ..self }
    }

    /// The address of a file.
    pub(crate) fn asset(&self, name: &str) -> &'static str {
        assets::path_of(name)
    }

    /// A symbol.
    pub(crate) fn icon(&self, name: impl AsRef<str>) -> Icon {
        Icon(name.as_ref().chars().filter(char::is_ascii_alphanumeric).collect())
    }
}

fn initials(name: &str) -> String {
    let parts =
        name.split(|letter: char| !letter.is_alphanumeric()).filter(|part| !part.is_empty());
    parts.filter_map(|part| part.chars().next()).take(2).collect()
}

/// What the user may see. The Auth Service decides again when it is asked for.
fn groups(me: &SignedIn, here: Here) -> Vec<Group> {
    let may_list = |kind: &str| me.may(Verb::List, kind);
    let link = |place, name, href, icon| Link { name, href, icon, is_here: here == place };
    let mine = vec![
        link(Here::Apps, "Applications", "/web/apps", "apps"),
        link(Here::Account, "Account", "/web/account", "account"),
        link(Here::Terminal, "Terminal", "/web/terminal", "terminal"),
    ];
    let cluster = [
        (
            may_list("event") || may_list("user"),
            link(Here::Overview, "Overview", "/web/overview", "overview"),
        ),
        (may_list("user"), link(Here::Users, "Users", "/web/users", "users")),
        (may_list("role"), link(Here::Roles, "Roles", "/web/roles", "roles")),
        (may_list("token"), link(Here::Tokens, "Join tokens", "/web/tokens", "token")),
        (
            may_list("token") || may_list("user") || may_list("event"),
            link(Here::Agents, "Agents", "/web/agents", "agents"),
        ),
        (may_list("lock"), link(Here::Locks, "Locks", "/web/locks", "lock")),
        (may_list("event"), link(Here::Audit, "Audit log", "/web/audit", "audit")),
    ];
    let cluster: Vec<Link> =
        cluster.into_iter().filter(|(is_allowed, _)| *is_allowed).map(|(_, link)| link).collect();
    let mut groups = vec![Group { title: "Access", links: mine }];
    if !cluster.is_empty() {
        groups.push(Group { title: "Cluster", links: cluster });
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn initials_are_of_the_first_two_parts() {
        for (name, letters) in [("alice", "a"), ("bob.jones@example.com", "bj"), ("--", "")] {
            assert_eq!(initials(name), letters);
        }
    }
}
