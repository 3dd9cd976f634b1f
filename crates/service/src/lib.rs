//! Use cases: every operation Outcrop serves, over ports.
//!
//! No HTTP, no SQL, no vendor SDK. Each resource's `Handle<Op>` impls sit in the file of that
//! resource; the driver that performs the engine's effects is in [`runtime`].

mod background;
pub mod control;
mod converse;
mod error;
mod guardrails;
mod knowledge;
pub mod lambda;
mod models;
pub mod outcrop_api;
pub mod ports;
mod records;
pub mod runtime;
pub mod settings;

use std::sync::Arc;

use outcrop_model::exception::Exception;
use outcrop_model::handle::CallContext;
use outcrop_model::timestamp::Timestamp;

use control::Lines;
use guardrails::Guardrails;
use knowledge::ingest::Ingestion;
use ports::Ports;
use records::Scope;
use runtime::Runtime;
use settings::Settings;

pub use records::LISTINGS;

/// All use cases over one set of ports. Cheap to clone.
#[derive(Clone)]
pub struct Service {
    ports: Arc<Ports>,
    settings: Arc<Settings>,
    runtime: Runtime,
    guardrails: Guardrails,
    ingestion: Ingestion,
    lines: Arc<Lines>,
}

impl Service {
    /// Puts the service together. Does no work of its own until it is called.
    pub fn new(ports: Ports, settings: Settings) -> Self {
        let ports = Arc::new(ports);
        let settings = Arc::new(settings);
        let guardrails = Guardrails::new(Arc::clone(&ports), settings.classifier.clone());
        let runtime = Runtime::new(
            Arc::clone(&ports),
            Arc::clone(&settings),
            guardrails.clone(),
        );
        let ingestion = Ingestion::new(Arc::clone(&ports), Arc::clone(&settings));
        Self {
            ports,
            settings,
            runtime,
            guardrails,
            ingestion,
            lines: Arc::new(Lines::new()),
        }
    }

    /// Begins what goes on in the background: sessions that have ended are
    /// summarised, documents of knowledge bases are indexed. To be called
    /// once, where tasks can be spawned; until then nothing happens by itself.
    pub fn start(&self) {
        self.runtime.start();
        self.ingestion.start();
    }

    /// Makes the summaries that are due now, and gives how many jobs there were: what the background
    /// does by itself once it is started.
    ///
    /// # Errors
    /// Where the store does not answer.
    pub async fn summarise_due(&self) -> Result<usize, Exception> {
        self.runtime.summarise_due().await
    }

    /// Stops the turns in flight, each after journaling that it was stopped, and waits for them.
    pub async fn shutdown(&self) {
        self.ingestion.shutdown().await;
        self.runtime.shutdown().await;
    }

    /// Waits until no turn is in flight.
    pub async fn idle(&self) {
        self.runtime.idle().await;
    }

    fn now(&self) -> Timestamp {
        self.ports.clock.now()
    }
}

fn scope(cx: &CallContext) -> Scope {
    Scope::new(&cx.account_id, &cx.region)
}
