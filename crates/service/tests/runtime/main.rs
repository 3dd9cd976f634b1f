//! Turns in process: the memory store, a scripted model, recorded actions, a clock that stands still.

mod bench;
mod calls;
#[path = "../support/clock.rs"]
mod clock;
mod control;
mod converse;
mod crashes;
mod failures;
#[path = "../support/functions.rs"]
mod functions;
mod inline;
mod memory;
#[path = "../support/model.rs"]
mod model;
mod models;
#[path = "../support/no_documents.rs"]
mod no_documents;
#[path = "../support/ports.rs"]
mod ports;
mod processes;
mod sessions;
mod typed_arguments;
