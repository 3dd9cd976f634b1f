//! Turns recorded on AWS that search knowledge bases or are planned by a function, taken again in
//! process, where searches and functions can be made to say what they said then.
//!
//! The doubles say what the recorded model, functions and searches said; the events that come of it
//! must be the recorded ones. Without recordings each test prints that it is skipped.

mod bench;
mod compare;
mod knowledge_bases;
mod orchestrator;
mod recording;
