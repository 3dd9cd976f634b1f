//! The command line.

mod invoke;
