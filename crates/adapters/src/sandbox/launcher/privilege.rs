//! Users and capabilities.

use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set,
    configure_capability_in_ambient_set, remove_capability_from_bounding_set, set_capabilities,
    set_keep_capabilities,
};

use super::super::message::Account;
use super::{Refused, step};

/// What the inner launcher needs in a user namespace of its own, where it is not root.
const NEEDED: [CapabilitySet; 3] = [
    CapabilitySet::SYS_ADMIN,
    CapabilitySet::NET_ADMIN,
    CapabilitySet::SETPCAP,
];

/// Lets the next program have what this process has in its user namespace.
pub(super) fn keep_over_exec() -> Result<(), Refused> {
    let failed = "keeping rights in the namespace";
    let mut sets = capabilities(None).map_err(step(failed))?;
    sets.inheritable = NEEDED.into_iter().collect();
    set_capabilities(None, sets).map_err(step(failed))?;
    for capability in NEEDED {
        configure_capability_in_ambient_set(capability, true).map_err(step(failed))?;
    }
    Ok(())
}

/// Whether the child may read whatever it sees, whoever owns it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    AsItsUser,
    Anything,
}

/// Becomes that user, and gives up every capability for good, but for the one that `reading` asks for.
pub(super) fn give_up(account: Option<Account>, reading: Reading) -> Result<(), Refused> {
    let failed = "giving up rights";
    let kept = match reading {
        Reading::AsItsUser => CapabilitySet::empty(),
        Reading::Anything => CapabilitySet::DAC_READ_SEARCH,
    };
    clear_ambient_capability_set().map_err(step(failed))?;
    let own = capabilities(None).map_err(step(failed))?;
    if own.effective.contains(CapabilitySet::SETPCAP) {
        for bit in 0..u64::BITS {
            let capability = CapabilitySet::from_bits_retain(1 << bit);
            if !kept.contains(capability) {
                // Those that the kernel does not know are none.
                let _ = remove_capability_from_bounding_set(capability);
            }
        }
    }
    if let Some(Account { user, group }) = account {
        let failed = "becoming an unprivileged user";
        let (uid, gid) = (Uid::from_raw(user), Gid::from_raw(group));
        set_keep_capabilities(!kept.is_empty()).map_err(step(failed))?;
        setgroups(&[]).map_err(step(failed))?;
        setresgid(gid, gid, gid).map_err(step(failed))?;
        setresuid(uid, uid, uid).map_err(step(failed))?;
    }
    let sets = CapabilitySets {
        effective: kept,
        permitted: kept,
        inheritable: kept,
    };
    set_capabilities(None, sets).map_err(step(failed))?;
    if !kept.is_empty() {
        configure_capability_in_ambient_set(kept, true).map_err(step(failed))?;
    }
    rustix::thread::set_no_new_privs(true).map_err(step(failed))
}
