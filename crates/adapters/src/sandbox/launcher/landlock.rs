//! Landlock: which files, ports, processes and sockets are out of reach, enforced by the kernel
//! whatever user the child is and whatever it can see.

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, LandlockStatus, NetPort, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetStatus, Scope, path_beneath_rules,
};

use super::super::message::{Reach, Task};
use super::super::places;
use super::{Refused, step};

/// The newest interface whose rights are asked for; an older kernel gives what it has.
const INTERFACE: ABI = ABI::V7;

/// Applies it, and returns the version of the kernel's interface, 0 if there is none.
pub(super) fn apply(task: &Task) -> Result<i32, Refused> {
    let status = restrict(task).map_err(step("confining itself with Landlock"))?;
    let version = match (status.ruleset, status.landlock) {
        (RulesetStatus::NotEnforced, _)
        | (_, LandlockStatus::NotEnabled | LandlockStatus::NotImplemented) => 0,
        (_, LandlockStatus::Available { effective_abi, .. }) => effective_abi as i32,
    };
    if version < task.landlock {
        return Err(step("confining itself with Landlock")(format!(
            "the kernel gives version {version}, at least {} expected",
            task.landlock
        )));
    }
    Ok(version)
}

fn restrict(task: &Task) -> Result<landlock::RestrictionStatus, landlock::RulesetError> {
    let all = AccessFs::from_all(INTERFACE);
    let mut ruleset = Ruleset::default()
        .handle_access(all)?
        .scope(Scope::AbstractUnixSocket | Scope::Signal)?;
    if matches!(task.network, Reach::Port(_)) {
        ruleset = ruleset.handle_access(AccessNet::from_all(INTERFACE))?;
    }
    let mut ruleset = ruleset.create()?;
    if let Reach::Port(Some(port)) = task.network {
        ruleset = ruleset.add_rule(NetPort::new(port, AccessNet::ConnectTcp))?;
    }
    let read = AccessFs::from_read(INTERFACE);
    let (readable, writable) = paths(task);
    ruleset
        .add_rules(path_beneath_rules(readable, read))?
        .add_rules(path_beneath_rules(writable, all))?
        .add_rules(path_beneath_rules(
            places::DEVICES,
            AccessFs::ReadFile | AccessFs::WriteFile,
        ))?
        .restrict_self()
}

fn paths(task: &Task) -> (Vec<PathBuf>, Vec<PathBuf>) {
    let own = |paths: &[&str]| paths.iter().map(PathBuf::from).collect::<Vec<_>>();
    if task.mount {
        // Only what may be read is there.
        let mut writable = own(&["/tmp", "/dev/shm"]);
        writable.extend(task.writable.iter().cloned());
        return (own(&["/"]), writable);
    }
    let places = places::of(task);
    let mut readable = places.readable;
    readable.extend(own(&["/proc"]));
    let mut writable = places.writable;
    writable.extend(task.temporary.clone());
    writable.retain(|path: &PathBuf| path.is_absolute() && path != Path::new("/"));
    (readable, writable)
}
