//! The control plane in process: every rule and its exact text, over the store in memory.
//!
//! Requests and answers are JSON as on the wire, so that whole answers can be compared. What HTTP
//! adds (routes, constraints of the service model, status codes) is tested elsewhere.

#[path = "control/action_groups.rs"]
mod action_groups;
#[path = "control/agent_knowledge_bases.rs"]
mod agent_knowledge_bases;
#[path = "control/agents.rs"]
mod agents;
#[path = "control/aliases.rs"]
mod aliases;
#[path = "control/collaborators.rs"]
mod collaborators;
#[path = "control/crowd.rs"]
mod crowd;
#[path = "control/data_sources.rs"]
mod data_sources;
#[path = "control/fixed_ids.rs"]
mod fixed_ids;
#[path = "control/knowledge_bases.rs"]
mod knowledge_bases;
#[path = "control/lambda.rs"]
mod lambda;
#[path = "control/lists.rs"]
mod lists;
#[path = "support/no_model.rs"]
mod no_model;
#[path = "support/ports.rs"]
mod ports;
#[path = "control/prepare.rs"]
mod prepare;
#[path = "control/prompt_library.rs"]
mod prompt_library;
#[path = "control/prompts.rs"]
mod prompts;
#[path = "control/races.rs"]
mod races;
#[path = "control/restored.rs"]
mod restored;
#[path = "control/support.rs"]
mod support;
#[path = "control/tags.rs"]
mod tags;
#[path = "control/tokens.rs"]
mod tokens;
#[path = "control/versions.rs"]
mod versions;
