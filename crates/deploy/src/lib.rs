//! Infrastructure templates as agents on a server: CloudFormation and SAM, read, planned, applied; and
//! agents as templates and handlers.
//!
//! [`template`] reads a template and keeps every position, [`mapping`] turns properties into members
//! of the API and back. Knows no HTTP client, no runtime and no terminal.
//!
//! Invariant: everything that can be found wrong in a template is found, all at once and with its
//! line, before the first call that changes anything.

pub mod api;
pub mod apply;
pub mod diff;
pub mod files;
pub mod intrinsics;
pub mod mapping;
pub mod node;
pub mod plan;
pub mod pull;
pub mod resource;
pub mod scaffold;
pub mod stack;
pub mod state;
pub mod template;
