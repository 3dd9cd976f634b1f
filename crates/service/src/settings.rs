//! What an operator can choose about the use cases.

use outcrop_engine::action::Strictness;
use outcrop_engine::orchestration::Budget;

/// Settings of the service.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `aws_limits`.
    pub strictness: Strictness,
    /// Limits of one turn.
    pub budget: Budget,
    /// Most turns in flight at once; above it `InvokeAgent` answers `ThrottlingException`.
    pub turns_max: usize,
    /// Whether this process is the store's only user, as with `SQLite`. A lease another process left
    /// behind is then void at once.
    pub exclusive_store: bool,
    /// Most bytes of conversation kept in memory for sessions that are not in a turn.
    pub session_cache_bytes: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            strictness: Strictness::Relaxed,
            budget: Budget::default(),
            turns_max: 1_024,
            exclusive_store: true,
            session_cache_bytes: 256 * 1024 * 1024,
        }
    }
}
