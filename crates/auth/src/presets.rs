//! The roles that every cluster starts with: made again at each start if missing, otherwise left
//! as their editors want them.

use access::Role;
use api::types::watch::Item;
use audit::events::RoleCreated;

use crate::caller::Actor;
use crate::refusal::Refusal;
use crate::store::Store;

/// Makes the presets that are missing.
pub(crate) async fn ensure(store: &Store, actor: Actor) -> Result<(), Refusal> {
    store
        .write(move |tx| {
            for mut role in access::presets() {
                let name = role.metadata.name.to_string();
                if tx.find::<Role>(&name)?.is_some() {
                    continue;
                }
                tx.insert(&mut role)?;
                tx.record(&actor.stamp().event(RoleCreated { user: actor.name(), name }))?;
                tx.put(Item::Role(Box::new(role)));
            }
            Ok(())
        })
        .await
}
