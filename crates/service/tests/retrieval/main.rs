//! Retrieval and what is made of it: `Retrieve`, `Rerank`, `RetrieveAndGenerate`, its stream, and the
//! turns of agents, over an index in memory and a model that says what a test has it say.
//!
//! Recorded responses are read from `OUTCROP_RECORDINGS`; without them those tests print that they are
//! skipped.

mod agents;
mod bench;
#[path = "../support/clock.rs"]
mod clock;
#[path = "../support/functions.rs"]
mod functions;
mod generate;
mod index;
mod knowledge;
#[path = "../support/model.rs"]
mod model;
#[path = "../support/ports.rs"]
mod ports;
mod recorded;
mod retrieve;
mod says;
mod tools;
#[path = "../support/words.rs"]
mod words;
