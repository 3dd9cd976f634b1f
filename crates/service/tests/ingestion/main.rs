//! Ingestion in process: jobs, single documents and deletion over a store, an index and a bucket in
//! memory, all of which can be stopped at any call.

mod buckets;
mod crashes;
mod deletion;
mod documents;
mod doubles;
#[path = "../support/functions.rs"]
mod functions;
mod fuse;
mod index;
mod jobs;
#[path = "../support/no_model.rs"]
mod no_model;
#[path = "../support/ports.rs"]
mod ports;
mod scale;
mod servers;
mod transformation;
mod web;
#[path = "../support/words.rs"]
mod words;
mod world;
