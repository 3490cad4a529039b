//! Users: made with an invite, changed as a resource, reset, deleted.

use access::resource::{CreatedBy, UserRef};
use access::rules::Verb;
use access::{Lock, Role, RoleName, User, UserName};
use api::resource::{Kind, PutMode, PutOutcome};
use api::types::invites::{InviteKind, InviteLink};
use api::types::users::{ResetRequest, UserRequest};
use api::types::watch::Key;
use audit::events::{MfaDelete, UserCreate, UserDelete, UserFields, UserUpdate};

use crate::app_sessions::{self, End};
use crate::caller::Actor;
use crate::cluster::Cluster;
use crate::events::rfc3339;
use crate::factors::named;
use crate::invites::{self, NewInvite};
use crate::locks;
use crate::refusal::Refusal;
use crate::store::{Credentials, Reader, Tx, not_found};
use crate::watch::user_item;
use crate::web_sessions;

/// Verbs that making, changing and resetting a user take.
pub(crate) const ADD: &[Verb] = &[Verb::Create];
/// See [`ADD`].
pub(crate) const RESET: &[Verb] = &[Verb::Update];

/// The role whose holders can give themselves any other.
const EDITOR: &str = "editor";

/// Makes a user and an invite link.
pub(crate) async fn add(
    cluster: &Cluster,
    actor: Actor,
    request: UserRequest,
) -> Result<InviteLink, Refusal> {
    let mut user = User::new(request.name, request.roles, request.traits);
    valid(&user)?;
    let invite = NewInvite::make(
        cluster,
        user.metadata.name.clone(),
        InviteKind::Invite,
        request.ttl_seconds,
    )?;
    let link = invite.link(cluster);
    cluster
        .store
        .write(move |tx| {
            create(tx, &actor, &mut user)?;
            invites::open(tx, &actor, &invite)
        })
        .await?;
    Ok(link)
}

/// Makes a user's password and second factor stop working, and a link to set new ones.
pub(crate) async fn reset(
    cluster: &Cluster,
    actor: Actor,
    name: UserName,
    request: ResetRequest,
) -> Result<InviteLink, Refusal> {
    let invite = NewInvite::make(cluster, name.clone(), InviteKind::Reset, request.ttl_seconds)?;
    let link = invite.link(cluster);
    cluster
        .store
        .write(move |tx| {
            if tx.find::<User>(name.as_str())?.is_none() {
                return Err(not_found(Kind::User, name.as_str()));
            }
            forget_credentials(tx, &actor, &name)?;
            let why = (web_sessions::End::PasswordChanged, None);
            web_sessions::end_all(tx, actor.stamp(), &name, why)?;
            invites::open(tx, &actor, &invite)
        })
        .await?;
    Ok(link)
}

/// Stores a user resource. Credentials and who made the user are no part of it and stay.
pub(crate) fn put(
    tx: &mut Tx<'_>,
    actor: &Actor,
    mut user: User,
    mode: PutMode,
) -> Result<PutOutcome, Refusal> {
    let old = tx.find::<User>(user.metadata.name.as_str())?;
    let Some(old) = old.filter(|_| mode != PutMode::Create) else {
        if mode == PutMode::Update {
            return Err(not_found(Kind::User, user.metadata.name.as_str()));
        }
        create(tx, actor, &mut user)?;
        return Ok(PutOutcome::Created);
    };
    roles_exist(tx, &user)?;
    keeps_an_editor(tx, actor, &old, &user.spec.roles)?;
    user.spec.created_by = old.spec.created_by.clone();
    let expected = match mode {
        PutMode::Update => user.metadata.revision.clone(),
        _ => old.metadata.revision.clone(),
    };
    tx.replace(&mut user, expected.as_deref())?;
    let fields = fields(actor, &user);
    tx.record(&actor.stamp().event(UserUpdate(fields)))?;
    if user.is_locked(actor.now()) || user.is_expired(actor.now()) {
        app_sessions::end_all(tx, actor.stamp(), &user.metadata.name, End::Locked)?;
        let why = (web_sessions::End::Locked, None);
        web_sessions::end_all(tx, actor.stamp(), &user.metadata.name, why)?;
    } else if old.spec.roles != user.spec.roles || old.spec.traits != user.spec.traits {
        // Their certificates say what the user was.
        let why = (web_sessions::End::UserChanged, None);
        web_sessions::end_all(tx, actor.stamp(), &user.metadata.name, why)?;
    }
    tx.put(user_item(&user));
    Ok(PutOutcome::Updated)
}

/// Deletes a user with all that is the user's.
pub(crate) fn delete(tx: &mut Tx<'_>, actor: &Actor, name: &str) -> Result<(), Refusal> {
    let Some(user) = tx.find::<User>(name)? else { return Err(not_found(Kind::User, name)) };
    keeps_an_editor(tx, actor, &user, &[])?;
    let user = user.metadata.name;
    tx.remove::<User>(name)?;
    tx.drop_credentials(name)?;
    tx.drop_devices(name)?;
    web_sessions::end_all(tx, actor.stamp(), &user, (web_sessions::End::UserDeleted, None))?;
    tx.drop_invites(name)?;
    app_sessions::end_all(tx, actor.stamp(), &user, End::UserDeleted)?;
    tx.record(&actor.stamp().event(UserDelete { user: actor.name(), name: name.to_owned() }))?;
    tx.gone(Key::User(user));
    Ok(())
}

/// Says what is wrong with a user resource.
pub(crate) fn valid(user: &User) -> Result<(), Refusal> {
    access::resource::validate(user).map_err(|invalid| Refusal::invalid(invalid.to_string()))
}

fn create(tx: &mut Tx<'_>, actor: &Actor, user: &mut User) -> Result<(), Refusal> {
    roles_exist(tx, user)?;
    user.spec.created_by = Some(CreatedBy {
        connector: None,
        time: Some(actor.now()),
        user: Some(UserRef { name: actor.name() }),
    });
    tx.insert(user)?;
    tx.record(&actor.stamp().event(UserCreate(fields(actor, user))))?;
    tx.put(user_item(user));
    Ok(())
}

fn forget_credentials(tx: &mut Tx<'_>, actor: &Actor, name: &UserName) -> Result<(), Refusal> {
    tx.keep_credentials(name.as_str(), &Credentials::default())?;
    for device in tx.devices(name.as_str())? {
        let removed = MfaDelete { user: name.to_string(), device: named(&device) };
        tx.record(&actor.stamp().event(removed))?;
    }
    tx.drop_devices(name.as_str())
}

/// Refuses a user who is gone, has ended or is locked: for what a certificate alone would allow.
pub(crate) fn in_good_standing(
    tx: &Tx<'_>,
    name: &UserName,
    now: std::time::SystemTime,
) -> Result<(), Refusal> {
    let Some(user) = tx.find::<User>(name.as_str())? else {
        return Err(Refusal::denied(format!("user {name} does not exist any more")));
    };
    if user.is_locked(now) || tx.list::<Lock>()?.iter().any(|lock| locks::stops(lock, &user, now)) {
        return Err(Refusal::denied(format!("user {name} is locked")));
    }
    if user.is_expired(now) {
        return Err(Refusal::denied(format!("the account of user {name} has expired")));
    }
    Ok(())
}

fn fields(actor: &Actor, user: &User) -> UserFields {
    UserFields {
        user: actor.name(),
        name: user.metadata.name.to_string(),
        roles: user.spec.roles.iter().map(RoleName::to_string).collect(),
        connector: "local".to_owned(),
        expires: user.spec.expires.or(user.metadata.expires).map(rfc3339),
    }
}

fn roles_exist(tx: &Tx<'_>, user: &User) -> Result<(), Refusal> {
    for role in &user.spec.roles {
        if tx.find::<Role>(role.as_str())?.is_none() {
            let missing = format!("role \"{role}\" is not found");
            return Err(
                Refusal::invalid(missing).hint("`tctl get roles` lists the roles there are")
            );
        }
    }
    Ok(())
}

/// Refuses that users take away the last user who may edit users: they could not undo it.
/// `tctl` on the Auth Service's own host can, and may.
fn keeps_an_editor(
    tx: &Tx<'_>,
    actor: &Actor,
    old: &User,
    new_roles: &[RoleName],
) -> Result<(), Refusal> {
    let is_editor = |roles: &[RoleName]| roles.iter().any(|role| *role == EDITOR);
    if actor.user().is_none() || !is_editor(&old.spec.roles) || is_editor(new_roles) {
        return Ok(());
    }
    if others_with(tx, old, EDITOR)? {
        return Ok(());
    }
    let last = format!("user \"{}\" is the last one with the role editor", old.metadata.name);
    Err(Refusal::conflict(last)
        .hint("give the role to another user first, or run tctl on the host of the Auth Service"))
}

fn others_with(reader: &Reader<'_>, old: &User, role: &str) -> Result<bool, Refusal> {
    let users = reader.list::<User>()?;
    Ok(users.iter().any(|user| {
        user.metadata.name != old.metadata.name && user.spec.roles.iter().any(|held| *held == role)
    }))
}
