//! What an operator can choose about the use cases.

use std::time::Duration;

use outcrop_engine::action::Strictness;
use outcrop_engine::orchestration::Budget;

/// Settings of the service.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one choice, none a state"
)]
#[derive(Clone, Debug)]
pub struct Settings {
    /// `aws_limits`.
    pub strictness: Strictness,
    /// Whether clients may upload functions.
    pub takes_code: bool,
    /// Whether answers are streamed to clients that do not say (`streamFinalResponse`).
    pub streams: bool,
    /// Limits of one turn.
    pub budget: Budget,
    /// Most turns in flight at once; above it `InvokeAgent` answers `ThrottlingException`.
    pub turns_max: usize,
    /// Whether this process is the store's only user, as with `SQLite`. A lease another process left
    /// behind is then void at once.
    pub exclusive_store: bool,
    /// How long a turn's hold on its session outlives the process that runs it, where others may
    /// serve the session. Renewed at a third of it.
    pub session_lease: Duration,
    /// The model that judges what no pattern of a guardrail tells.
    pub classifier: Option<String>,
    /// Whether a session with a memory is summarised after each turn, and not only at its end.
    pub memory_live: bool,
    /// Most bytes of conversation kept in memory for sessions that are not in a turn.
    pub session_cache_bytes: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            strictness: Strictness::Relaxed,
            takes_code: true,
            streams: false,
            budget: Budget::default(),
            turns_max: 1_024,
            exclusive_store: true,
            session_lease: Duration::from_secs(30),
            classifier: None,
            memory_live: false,
            session_cache_bytes: 256 * 1024 * 1024,
        }
    }
}
