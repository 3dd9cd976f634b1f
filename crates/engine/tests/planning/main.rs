//! The planning loop, event by event: scenarios with their whole effects, and a seeded simulation.

mod code;
mod control;
mod harness;
mod orchestrated;
mod prompts;
mod scenarios;
mod simulation;
mod streaming;
mod supervisors;
