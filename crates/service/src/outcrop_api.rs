//! Outcrop's own operations, besides AWS's: what `outcrop deploy` keeps on the server.
//!
//! Everything belongs to an account and a region, as AWS's resources do.

pub mod functions;
pub mod stacks;
