//! AWS's quotas for action groups (behaviour.md 1.8, 13.1). All are adjustable there.

/// Functions and API operations of all enabled action groups of one agent.
pub const ACTIONS: usize = 11;
/// Parameters of one function.
pub const PARAMETERS: usize = 5;
/// Action groups of one agent.
pub const ACTION_GROUPS: usize = 20;
/// Enabled ones among them.
pub const ENABLED_ACTION_GROUPS: usize = 15;
