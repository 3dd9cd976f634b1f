//! The planning loop and everything about it that can be decided without the outside world.
//!
//! Pure: no clock, no randomness, no I/O, no tasks. Time, fresh ids and every fact from outside
//! arrive as [`orchestration::Event`]s; what should happen is returned as
//! [`orchestration::Effect`]s, which the driver in `service` performs. Replaying a journal of events
//! therefore rebuilds a run exactly (ADR 0003).

pub mod action;
pub mod citation;
pub mod converse;
pub mod definition;
pub mod files;
pub mod fit;
pub mod history;
pub mod java;
pub mod lint;
pub mod orchestration;
pub mod orchestrator;
pub mod parser;
pub mod payload;
pub mod plan;
pub mod port;
pub mod prompt;
pub mod redaction;
pub mod trace;
