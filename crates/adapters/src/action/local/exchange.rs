//! The meeting point of one worker and the server: what the server hands in, the worker fetches and
//! answers through the Runtime API.
//!
//! Invariant: at most one invocation is open at a time, and each open one is answered at most once;
//! an answer that names any other request id is refused.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::{Notify, oneshot, watch};

/// One event on its way to a worker, with all that the Runtime API says about it.
#[derive(Clone, Debug)]
pub(super) struct Invocation {
    /// `context.aws_request_id`.
    pub(super) request_id: String,
    /// `context.invoked_function_arn`.
    pub(super) function_arn: String,
    /// When the handler must have answered, in milliseconds since the Unix epoch.
    pub(super) deadline_ms: u64,
    /// X-Ray's trace header; reaches the handler as `_X_AMZN_TRACE_ID`.
    pub(super) trace_id: String,
    /// `context.client_context`, as JSON in ASCII.
    pub(super) client_context: String,
    /// The event, JSON.
    pub(super) event: Bytes,
}

/// What a worker made of an invocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The handler's return value, JSON.
    Returned(Bytes),
    /// The handler's exception, as the runtime client describes it.
    Raised(Bytes),
    /// More than Lambda passes on.
    TooLarge,
}

/// How far a worker has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// It imports the handler.
    Starting,
    /// It has asked for work.
    Ready,
    /// The handler cannot be imported; the error as the runtime client describes it.
    Failed(Bytes),
}

/// The request id of an answer is not that of the open invocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct UnknownRequest;

/// See the module's description.
#[derive(Debug)]
pub(super) struct Exchange {
    progress: watch::Sender<Progress>,
    open: Mutex<Open>,
    queued: Notify,
}

#[derive(Debug)]
enum Open {
    Nothing,
    /// Handed in, not fetched.
    Queued(Box<Invocation>, oneshot::Sender<Answer>),
    /// Fetched, not answered.
    Running(String, oneshot::Sender<Answer>),
}

impl Exchange {
    pub(super) fn new() -> Self {
        Self {
            progress: watch::Sender::new(Progress::Starting),
            open: Mutex::new(Open::Nothing),
            queued: Notify::new(),
        }
    }

    /// Waits until the worker has either asked for work or reported why it cannot.
    pub(super) async fn started(&self) -> Progress {
        let mut progress = self.progress.subscribe();
        let settled = progress
            .wait_for(|progress| *progress != Progress::Starting)
            .await;
        settled.map_or(Progress::Starting, |progress| progress.clone())
    }

    /// Hands in one invocation; the answer arrives on the channel.
    pub(super) fn submit(&self, invocation: Invocation) -> oneshot::Receiver<Answer> {
        let (answer, answered) = oneshot::channel();
        *self.open() = Open::Queued(Box::new(invocation), answer);
        self.queued.notify_one();
        answered
    }

    /// Takes back an invocation that the worker has not fetched. `false` means that it has, so that
    /// the handler may have run.
    pub(super) fn withdraw(&self) -> bool {
        let mut open = self.open();
        let unfetched = matches!(*open, Open::Queued(..));
        if unfetched {
            *open = Open::Nothing;
        }
        unfetched
    }

    /// The worker asks for work: waits for the next invocation.
    pub(super) async fn next(&self) -> Invocation {
        self.progress.send_if_modified(|progress| {
            let first = *progress == Progress::Starting;
            if first {
                *progress = Progress::Ready;
            }
            first
        });
        loop {
            if let Some(invocation) = self.fetch() {
                return invocation;
            }
            self.queued.notified().await;
        }
    }

    fn fetch(&self) -> Option<Invocation> {
        let mut open = self.open();
        match std::mem::replace(&mut *open, Open::Nothing) {
            Open::Queued(invocation, answer) => {
                *open = Open::Running(invocation.request_id.clone(), answer);
                Some(*invocation)
            }
            other => {
                *open = other;
                None
            }
        }
    }

    /// The worker answers. Nobody may be waiting any more; that is not the worker's fault.
    pub(super) fn answer(&self, request_id: &str, answer: Answer) -> Result<(), UnknownRequest> {
        let mut open = self.open();
        match std::mem::replace(&mut *open, Open::Nothing) {
            Open::Running(running, waiting) if running == request_id => {
                let _ = waiting.send(answer);
                Ok(())
            }
            other => {
                *open = other;
                Err(UnknownRequest)
            }
        }
    }

    /// The worker reports that it cannot import the handler.
    pub(super) fn fail(&self, error: Bytes) {
        self.progress.send_replace(Progress::Failed(error));
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::{Answer, Exchange, Invocation, Progress, UnknownRequest};

    fn invocation(request_id: &str) -> Invocation {
        Invocation {
            request_id: request_id.to_owned(),
            function_arn: String::new(),
            deadline_ms: 0,
            trace_id: String::new(),
            client_context: String::new(),
            event: Bytes::from_static(b"{}"),
        }
    }

    #[tokio::test]
    async fn an_invocation_is_fetched_and_answered_once() {
        let exchange = Exchange::new();
        let answered = exchange.submit(invocation("a"));
        assert_eq!(exchange.next().await.request_id, "a");
        assert_eq!(exchange.started().await, Progress::Ready);
        assert!(!exchange.withdraw());
        let answer = Answer::Returned(Bytes::from_static(b"1"));
        assert_eq!(exchange.answer("b", answer.clone()), Err(UnknownRequest));
        assert_eq!(exchange.answer("a", answer.clone()), Ok(()));
        assert_eq!(exchange.answer("a", answer.clone()), Err(UnknownRequest));
        assert_eq!(answered.await, Ok(answer));
    }

    #[tokio::test]
    async fn what_was_not_fetched_can_be_taken_back() {
        let exchange = Exchange::new();
        let _answered = exchange.submit(invocation("a"));
        assert!(exchange.withdraw());
        assert!(!exchange.withdraw());
    }

    #[tokio::test]
    async fn a_failed_import_is_reported_with_its_error() {
        let exchange = Exchange::new();
        let error = Bytes::from_static(b"{}");
        exchange.fail(error.clone());
        assert_eq!(exchange.started().await, Progress::Failed(error));
    }
}
