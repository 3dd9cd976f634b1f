//! Who holds a stack's lock: this process, by machine and number, so that on the same machine the
//! lock of a process that was killed can be told from one at work.

/// This process, told from any other that ever had its number.
pub(super) fn owner() -> String {
    format!(
        "{}:{}:{}",
        machine(),
        std::process::id(),
        uuid::Uuid::new_v4()
    )
}

/// Whether the holder was a process of this machine that has ended.
pub(super) fn is_dead(owner: &str) -> bool {
    let mut parts = owner.rsplitn(3, ':').skip(1);
    let process = parts.next().and_then(|text| text.parse::<i32>().ok());
    let is_here = parts.next() == Some(machine().as_str());
    let Some(process) = process.and_then(rustix::process::Pid::from_raw) else {
        return false;
    };
    is_here && rustix::process::test_kill_process(process) == Err(rustix::io::Errno::SRCH)
}

fn machine() -> String {
    let uname = rustix::system::uname();
    uname.nodename().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_process_of_this_machine_that_has_ended_is_dead() {
        assert!(!is_dead(&owner()));
        assert!(!is_dead("elsewhere:1:x"));
        assert!(!is_dead("nonsense"));
        let mut child = std::process::Command::new("true").spawn().expect("starts");
        let process = child.id();
        child.wait().expect("ends");
        assert!(is_dead(&format!("{}:{process}:x", machine())));
    }
}
