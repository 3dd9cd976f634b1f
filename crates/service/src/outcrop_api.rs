//! Outcrop's own operations, besides AWS's: what `outcrop deploy` keeps on the server, and single
//! calls of functions.
//!
//! Everything belongs to an account and a region, as AWS's resources do.

pub mod calls;
pub mod functions;
pub mod knowledge;
pub mod stacks;
