//! Users for children of a server that runs as root: one each, so that what the system counts by user
//! is counted by child.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

/// The users of a server.
#[derive(Debug)]
pub(super) struct Identities {
    first: u32,
    count: u32,
    taken: Arc<Mutex<Taken>>,
}

#[derive(Debug, Default)]
struct Taken {
    users: HashSet<u32>,
    /// Where to look next: a user that was just given back may still own something.
    next: u32,
}

/// A user that nobody else has until this is dropped.
#[derive(Debug)]
pub(super) struct Identity {
    user: u32,
    taken: Arc<Mutex<Taken>>,
}

impl Identities {
    pub(super) fn new(first: u32, count: u32) -> Self {
        // Servers of one machine begin at different places, so that they share users only when they
        // have hundreds of children.
        let taken = Taken {
            users: HashSet::new(),
            next: std::process::id().wrapping_mul(37),
        };
        Self {
            first,
            count,
            taken: Arc::new(Mutex::new(taken)),
        }
    }

    /// How many there are.
    pub(super) fn count(&self) -> u32 {
        self.count
    }

    /// Whether it is one of these.
    pub(super) fn contains(&self, user: u32) -> bool {
        (self.first..self.first.saturating_add(self.count)).contains(&user)
    }

    /// A free one.
    pub(super) fn take(&self) -> Option<Identity> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        for _ in 0..self.count {
            let user = self.first + taken.next % self.count;
            taken.next = taken.next.wrapping_add(1);
            if taken.users.insert(user) {
                let taken = Arc::clone(&self.taken);
                return Some(Identity { user, taken });
            }
        }
        None
    }
}

impl Identity {
    pub(super) fn user(&self) -> u32 {
        self.user
    }
}

impl Drop for Identity {
    fn drop(&mut self) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.users.remove(&self.user);
    }
}

#[cfg(test)]
mod tests {
    use super::Identities;

    #[test]
    fn a_user_belongs_to_one_child() {
        let identities = Identities::new(59_000, 2);
        let one = identities.take().expect("two are free");
        let other = identities.take().expect("one is free");
        assert_ne!(one.user(), other.user());
        assert!((59_000..59_002).contains(&one.user()));
        assert!(identities.take().is_none());
        let user = one.user();
        drop(one);
        assert_eq!(identities.take().map(|again| again.user()), Some(user));
    }
}
