//! System calls that no child has business with, and what is left of sockets.
//!
//! A list of what is refused, not of what is allowed: handlers are anybody's programs, and refusing a
//! harmless call breaks them in ways nobody understands. What this keeps out is the kernel's larger
//! and rarer doors, and what would get around Landlock.

use std::collections::BTreeMap;

use nix::libc;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};

use super::super::message::{Reach, Task};
use super::{Refused, step};

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Refused whatever the arguments.
const REFUSED: &[i64] = &[
    // Other processes.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_kcmp,
    libc::SYS_pidfd_getfd,
    libc::SYS_process_madvise,
    // Namespaces and mounts.
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_open_tree,
    libc::SYS_move_mount,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    // Files past any path.
    libc::SYS_open_by_handle_at,
    libc::SYS_name_to_handle_at,
    libc::SYS_quotactl,
    libc::SYS_fanotify_init,
    // The kernel itself.
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_syslog,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_lookup_dcookie,
    libc::SYS_nfsservctl,
    libc::SYS_vhangup,
    // The clock and the host's name.
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_iopl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ioperm,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_modify_ldt,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_kexec_file_load,
];

/// Said not to exist, so that libraries fall back to what can be looked into: the flags of `clone3`
/// lie in memory, and a ring does what it is told past every filter.
const ABSENT: &[i64] = &[
    libc::SYS_clone3,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
];

/// Flags of `clone` that make namespaces.
const NAMESPACE_FLAGS: [i32; 7] = [
    libc::CLONE_NEWNS,
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
];

/// The old way to whole frames (packet(7)).
const SOCK_PACKET: i32 = 10;

/// The part of a socket's type that is not a flag.
const TYPE_MASK: u64 = 0xf;

/// Applies it; tells whether this machine's processor is one that filters can be made for.
pub(super) fn apply(task: &Task) -> Result<bool, Refused> {
    let failed = "filtering system calls";
    let Ok(architecture) = TargetArch::try_from(std::env::consts::ARCH) else {
        return if task.seccomp {
            Err(step(failed)("no filter for this processor"))
        } else {
            Ok(false)
        };
    };
    let refused = rules(task).map_err(step(failed))?;
    let absent: Rules = ABSENT.iter().map(|&call| (call, Vec::new())).collect();
    for (rules, errno) in [(refused, libc::EPERM), (absent, libc::ENOSYS)] {
        let action = SeccompAction::Errno(errno.unsigned_abs());
        let filter = SeccompFilter::new(rules, SeccompAction::Allow, action, architecture);
        let program: BpfProgram = filter.and_then(TryInto::try_into).map_err(step(failed))?;
        match seccompiler::apply_filter(&program) {
            Ok(()) => {}
            // A kernel without it; the server has been told so when it tried.
            Err(_) if !task.seccomp => return Ok(false),
            Err(error) => return Err(step(failed)(error)),
        }
    }
    Ok(true)
}

fn rules(task: &Task) -> Result<Rules, seccompiler::BackendError> {
    let mut rules: Rules = REFUSED.iter().map(|&call| (call, Vec::new())).collect();
    let namespaces = NAMESPACE_FLAGS
        .iter()
        .map(|flag| all([has(0, u64::from(flag.unsigned_abs()))]))
        .collect::<Result<_, _>>()?;
    rules.insert(libc::SYS_clone, namespaces);
    // Typing into a terminal.
    let terminal = [libc::TIOCSTI, libc::TIOCLINUX]
        .iter()
        .map(|&request| all([is(1, request)]))
        .collect::<Result<_, _>>()?;
    rules.insert(libc::SYS_ioctl, terminal);
    rules.insert(libc::SYS_socket, sockets(task)?);
    if matches!(task.network, Reach::Port(_)) {
        // Sending may connect, past Landlock.
        let fast = u64::from(libc::MSG_FASTOPEN.unsigned_abs());
        rules.insert(libc::SYS_sendto, vec![all([has(3, fast)])?]);
        rules.insert(libc::SYS_sendmsg, vec![all([has(2, fast)])?]);
        rules.insert(libc::SYS_sendmmsg, vec![all([has(3, fast)])?]);
    }
    Ok(rules)
}

fn sockets(task: &Task) -> Result<Vec<SeccompRule>, seccompiler::BackendError> {
    let family = |family: i32| is(0, number(family));
    let mut refused = vec![
        // Other families are doors into the kernel, or to other machines.
        all([
            is_not(0, number(libc::AF_UNIX)),
            is_not(0, number(libc::AF_INET)),
            is_not(0, number(libc::AF_INET6)),
            is_not(0, number(libc::AF_NETLINK)),
        ])?,
        // Of netlink, only what lists interfaces.
        all([
            family(libc::AF_NETLINK),
            is_not(2, number(libc::NETLINK_ROUTE)),
        ])?,
    ];
    let closed = matches!(task.network, Reach::Port(_));
    let mut types = vec![libc::SOCK_RAW, SOCK_PACKET];
    if closed {
        // Landlock knows TCP only.
        types.extend([
            libc::SOCK_DGRAM,
            libc::SOCK_RDM,
            libc::SOCK_SEQPACKET,
            libc::SOCK_DCCP,
        ]);
    }
    for internet in [libc::AF_INET, libc::AF_INET6] {
        for &kind in &types {
            refused.push(all([family(internet), masked(1, TYPE_MASK, number(kind))])?);
        }
        if closed {
            refused.push(all([
                family(internet),
                is_not(2, 0),
                is_not(2, number(libc::IPPROTO_TCP)),
            ])?);
        }
    }
    if closed && !task.mount {
        // Services of the host listen on paths, which Landlock does not look at.
        refused.push(all([family(libc::AF_UNIX)])?);
    }
    Ok(refused)
}

fn number(constant: i32) -> u64 {
    u64::from(constant.unsigned_abs())
}

type Condition = Result<SeccompCondition, seccompiler::BackendError>;

fn all<const N: usize>(
    conditions: [Condition; N],
) -> Result<SeccompRule, seccompiler::BackendError> {
    let conditions = conditions.into_iter().collect::<Result<Vec<_>, _>>()?;
    SeccompRule::new(conditions)
}

fn is(argument: u8, value: u64) -> Condition {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value)
}

fn is_not(argument: u8, value: u64) -> Condition {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, value)
}

fn has(argument: u8, bits: u64) -> Condition {
    masked(argument, bits, bits)
}

fn masked(argument: u8, mask: u64, value: u64) -> Condition {
    let operator = SeccompCmpOp::MaskedEq(mask);
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value)
}
