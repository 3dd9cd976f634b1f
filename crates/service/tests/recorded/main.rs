//! Turns recorded on AWS that search knowledge bases or are planned by a function, taken again in
//! process, where searches and functions can be made to say what they said then.
//!
//! The doubles say what the recorded model, functions and searches said; the events that come of it
//! must be the recorded ones. Without recordings each test prints that it is skipped.

mod bench;
#[path = "../support/clock.rs"]
mod clock;
mod compare;
#[path = "../support/functions.rs"]
mod functions;
mod knowledge_bases;
#[path = "../support/model.rs"]
mod model;
#[path = "../support/no_documents.rs"]
mod no_documents;
mod orchestrator;
#[path = "../support/ports.rs"]
mod ports;
mod recording;
