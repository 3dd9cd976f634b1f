//! Retrieval and what is made of it: `Retrieve`, `Rerank`, `RetrieveAndGenerate`, its stream, and the
//! turns of agents, over an index in memory and a model that says what a test has it say.
//!
//! Recorded responses are read from `OUTCROP_RECORDINGS`; without them those tests print that they are
//! skipped.

mod agents;
mod bench;
mod generate;
mod recorded;
mod retrieve;
