//! A child takes from itself what it does not need before it reads a file that somebody else wrote.
//!
//! Unlike programs in the sandbox it is the server's own, and known to need little, so that the list
//! is of what is allowed. Invariant: after [`apply`] gave true, this process can open nothing, reach
//! nobody, start nothing, and send signals to itself only.

use std::collections::BTreeMap;

use nix::libc;
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch,
};

/// Allowed whatever the arguments.
const ALLOWED: &[i64] = &[
    // The pipes that it has.
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_close,
    libc::SYS_fstat,
    // Memory.
    libc::SYS_brk,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_futex,
    // The panics of parsers, and the overflow of the stack.
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_restart_syscall,
    // Itself.
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_getrusage,
    libc::SYS_sched_yield,
    libc::SYS_exit,
    libc::SYS_exit_group,
    // Time and the seeds of hash tables.
    libc::SYS_clock_gettime,
    libc::SYS_getrandom,
];

/// Confines this process, which must have one thread. False where the system or processor has no
/// filters.
pub(super) fn apply() -> bool {
    let filtered = filter().ok().and_then(|program| {
        // Without it only root may filter.
        rustix::thread::set_no_new_privs(true).ok()?;
        seccompiler::apply_filter(&program).ok()
    });
    filtered.is_some()
}

fn filter() -> Result<BpfProgram, BackendError> {
    let architecture = TargetArch::try_from(std::env::consts::ARCH)?;
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        ALLOWED.iter().map(|&call| (call, Vec::new())).collect();
    // Memory that is no program.
    let executable = u64::from(libc::PROT_EXEC.unsigned_abs());
    let no_program = || {
        let operator = SeccompCmpOp::MaskedEq(executable);
        one(SeccompCondition::new(
            2,
            SeccompCmpArgLen::Dword,
            operator,
            0,
        ))
    };
    rules.insert(libc::SYS_mmap, no_program()?);
    rules.insert(libc::SYS_mprotect, no_program()?);
    let equal = |argument: u8, value: u64| {
        one(SeccompCondition::new(
            argument,
            SeccompCmpArgLen::Dword,
            SeccompCmpOp::Eq,
            value,
        ))
    };
    // Giving up, which is a signal to itself; and its own limits.
    rules.insert(libc::SYS_tgkill, equal(0, u64::from(std::process::id()))?);
    rules.insert(libc::SYS_prlimit64, equal(0, 0)?);
    let refused = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    SeccompFilter::new(rules, refused, SeccompAction::Allow, architecture)?.try_into()
}

fn one(
    condition: Result<SeccompCondition, BackendError>,
) -> Result<Vec<SeccompRule>, BackendError> {
    Ok(vec![SeccompRule::new(vec![condition?])?])
}
