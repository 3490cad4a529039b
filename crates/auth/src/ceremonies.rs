//! What was begun and is not finished: challenges, enrolments, codes. In memory only, bounded,
//! each good once and for a while. A restart of the service makes people begin again.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use crate::passwords::random;
use crate::refusal::Refusal;

/// How many ceremonies of a kind may be open, of all users and of one.
const MOST: usize = 10_000;
const MOST_OF_ONE: usize = 32;

/// The open ceremonies of one kind. Each has an unguessable name and belongs to one user.
pub(crate) struct Ceremonies<T> {
    life: Duration,
    open: Mutex<HashMap<String, Open<T>>>,
}

struct Open<T> {
    user: String,
    ends: SystemTime,
    what: T,
}

impl<T> Ceremonies<T> {
    /// Ceremonies that last so long.
    pub(crate) fn lasting(life: Duration) -> Self {
        Self { life, open: Mutex::new(HashMap::new()) }
    }

    /// Opens one; gives its name. Where there are too many, the one that ends first has to go:
    /// of the same user if it is that user who has too many.
    pub(crate) fn begin(&self, user: &str, what: T, now: SystemTime) -> Result<String, Refusal> {
        let name = hex::encode(random::<16>()?);
        let ends = now.checked_add(self.life).unwrap_or(now);
        self.keep(name.clone(), Open { user: user.to_owned(), ends, what }, now);
        Ok(name)
    }

    /// Takes one out: whoever else comes with the same name finds none.
    pub(crate) fn take(&self, name: &str, now: SystemTime) -> Option<Taken<T>> {
        let open = self.locked().remove(name)?;
        (now < open.ends).then(|| Taken { name: name.to_owned(), open })
    }

    /// Puts one back that was taken out and is not used up.
    pub(crate) fn put_back(&self, taken: Taken<T>, now: SystemTime) {
        self.keep(taken.name, taken.open, now);
    }

    fn keep(&self, name: String, open: Open<T>, now: SystemTime) {
        let mut all = self.locked();
        if all.len() >= MOST {
            all.retain(|_, open| now < open.ends);
        }
        let of_one = all.values().filter(|other| other.user == open.user).count();
        let first = if of_one >= MOST_OF_ONE {
            first_to_end(all.iter().filter(|(_, other)| other.user == open.user))
        } else if all.len() >= MOST {
            first_to_end(all.iter())
        } else {
            None
        };
        if let Some(first) = first {
            all.remove(&first);
        }
        all.insert(name, open);
    }

    fn locked(&self) -> MutexGuard<'_, HashMap<String, Open<T>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn first_to_end<'a, T: 'a>(all: impl Iterator<Item = (&'a String, &'a Open<T>)>) -> Option<String> {
    all.min_by_key(|(_, open)| open.ends).map(|(name, _)| name.clone())
}

/// One that was taken out.
pub(crate) struct Taken<T> {
    name: String,
    open: Open<T>,
}

impl<T> Taken<T> {
    /// Whose.
    pub(crate) fn user(&self) -> &str {
        &self.open.user
    }

    /// What it is.
    pub(crate) fn what(&self) -> &T {
        &self.open.what
    }

    /// What it is, to be changed before it is put back.
    pub(crate) fn what_mut(&mut self) -> &mut T {
        &mut self.open.what
    }

    /// What it is, for good.
    pub(crate) fn into_inner(self) -> T {
        self.open.what
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    const LIFE: Duration = Duration::from_secs(300);

    #[test]
    fn one_is_taken_once_and_in_time() {
        let all = Ceremonies::lasting(LIFE);
        let name = all.begin("alice", 1, UNIX_EPOCH).unwrap();
        assert_eq!(name.len(), 32);
        assert!(all.take("another", UNIX_EPOCH).is_none());
        let taken = all.take(&name, UNIX_EPOCH).unwrap();
        assert_eq!((taken.user(), *taken.what()), ("alice", 1));
        assert!(all.take(&name, UNIX_EPOCH).is_none(), "it is out");
        all.put_back(taken, UNIX_EPOCH);
        assert!(all.take(&name, UNIX_EPOCH + LIFE).is_none(), "too late");
        assert!(all.take(&name, UNIX_EPOCH).is_none(), "and gone for that");
    }

    #[test]
    fn a_user_with_many_does_not_push_out_those_of_others() {
        let all = Ceremonies::lasting(LIFE);
        let hers = all.begin("alice", 0, UNIX_EPOCH).unwrap();
        let first = all.begin("mallory", 0, UNIX_EPOCH + Duration::from_secs(1)).unwrap();
        for n in 0..1_000 {
            all.begin("mallory", n, UNIX_EPOCH + Duration::from_secs(2)).unwrap();
        }
        assert!(all.locked().len() <= MOST_OF_ONE + 1);
        assert!(all.take(&first, UNIX_EPOCH).is_none());
        assert!(all.take(&hers, UNIX_EPOCH).is_some());
    }

    #[test]
    fn what_is_open_is_bounded_in_all() {
        let all = Ceremonies::lasting(LIFE);
        for n in 0..MOST + 50 {
            all.begin(&format!("user-{n}"), n, UNIX_EPOCH).unwrap();
        }
        assert_eq!(all.locked().len(), MOST);
    }
}
