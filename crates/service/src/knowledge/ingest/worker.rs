//! Which queues ingestion has, and who does which job of them. How jobs are taken up and held is in
//! [`crate::background`].

use std::sync::Arc;

use outcrop_store::Job;
use tracing::error;

use super::queue::{self, Task};
use super::{Shared, delete, direct, sync};
use crate::background::{Background, Queue, Worker, finish};

/// All queues. Documents share their room among all jobs (see [`super::budget`]), so that few jobs do
/// as much as many.
pub(super) const QUEUES: [Queue; 3] = [
    Queue {
        name: queue::SYNC,
        at_once: 8,
    },
    Queue {
        name: queue::DOCUMENT,
        at_once: 16,
    },
    Queue {
        name: queue::DELETE,
        at_once: 2,
    },
];

impl Worker for Shared {
    fn background(&self) -> &Background {
        &self.background
    }

    async fn perform(self: &Arc<Self>, job: &Job) {
        match serde_json::from_str(&job.payload) {
            Ok(Task::Sync { source, job_id }) => sync::perform(self, job, source, &job_id).await,
            Ok(Task::Document {
                source,
                location,
                failures,
            }) => direct::perform(self, job, source, location, failures).await,
            Ok(Task::DeleteSource { source, failures }) => {
                delete::source(self, job, source, failures).await;
            }
            Ok(Task::DeleteBase {
                account_id,
                region,
                knowledge_base_id,
                failures,
            }) => {
                let base = delete::BaseRef {
                    account_id,
                    region,
                    knowledge_base_id,
                };
                delete::base(self, job, base, failures).await;
            }
            Err(cause) => {
                error!(job = &*job.id, %cause, "a job is damaged and is dropped");
                self.background.settle(job, vec![finish(job)]).await;
            }
        }
    }
}
