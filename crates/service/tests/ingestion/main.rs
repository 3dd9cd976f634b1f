//! Ingestion in process: jobs, single documents and deletion over a store, an index and a bucket in
//! memory, all of which can be stopped at any call.

mod crashes;
mod deletion;
mod documents;
mod doubles;
mod jobs;
mod scale;
mod transformation;
mod web;
mod world;
