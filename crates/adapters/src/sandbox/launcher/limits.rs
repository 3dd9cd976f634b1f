//! Resource limits.

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit, setrlimit};

use super::super::message::Limits;
use super::{Refused, step};

/// Memory that may be locked, and messages queued, by children: the system's usual smallest.
const LOCKED_BYTES: u64 = 64 * 1024;

/// Sets what binds from now on.
pub(super) fn set(limits: &Limits) -> Result<(), Refused> {
    let limits = [
        (Resource::Core, Some(0)),
        (Resource::Nofile, Some(limits.open_files)),
        (Resource::Fsize, Some(limits.file_bytes)),
        (Resource::Memlock, Some(LOCKED_BYTES)),
        (Resource::Msgqueue, Some(LOCKED_BYTES)),
        (Resource::Nice, Some(0)),
        (Resource::Rtprio, Some(0)),
        (Resource::Cpu, limits.cpu_seconds),
        (Resource::Nproc, limits.processes),
    ];
    for (resource, limit) in limits {
        if let Some(limit) = limit {
            setrlimit(resource, bounded(resource, limit)).map_err(step("setting limits"))?;
        }
    }
    Ok(())
}

/// Sets the limit of memory for the program alone: this process holds more than some programs may.
pub(super) fn set_data(program: u32, limits: &Limits) -> Result<(), Refused> {
    let Some(limit) = limits.data_bytes else {
        return Ok(());
    };
    let pid = i32::try_from(program).ok().and_then(Pid::from_raw);
    match prlimit(pid, Resource::Data, bounded(Resource::Data, limit)) {
        // A program may be quicker than this.
        Ok(_) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(error) => Err(step("setting limits")(error)),
    }
}

/// Not more than what this process itself is held to, which only root could exceed.
fn bounded(resource: Resource, limit: u64) -> Rlimit {
    let limit = getrlimit(resource)
        .maximum
        .map_or(limit, |maximum| maximum.min(limit));
    Rlimit {
        current: Some(limit),
        maximum: Some(limit),
    }
}
