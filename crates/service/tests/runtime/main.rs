//! Turns in process: the memory store, a scripted model, recorded actions, a clock that stands still.

mod bench;
mod calls;
mod control;
mod converse;
mod crashes;
mod failures;
mod inline;
mod memory;
mod models;
mod processes;
mod sessions;
mod typed_arguments;
