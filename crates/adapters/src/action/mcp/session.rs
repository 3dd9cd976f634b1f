//! The connection to an MCP server: opened when needed, kept, looked after, opened again.
//!
//! One attempt to connect is under way at a time, whoever waits for it. Attempts that fail, and
//! sessions that end without having answered a call, put off the next attempt, longer each time; calls
//! in between are told why at once. A session that has been idle for a while is asked for a sign of
//! life before it is used.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use rmcp::model::{
    CallToolRequestParams, CallToolResult, ClientCapabilities, ClientConfig, ClientRequest,
    Implementation, PaginatedRequestParams, PingRequest, Tool,
};
use rmcp::service::{ClientInitializeError, NotificationContext, RunningService};
use rmcp::{ClientHandler, RoleClient, ServiceError, ServiceExt as _};
use tokio::time::Instant;
use tracing::{info, warn};

use super::http;
use super::stdio::{self, Child};
use super::{McpProcess, Shelter};
use crate::action::upstream::Reach;
use crate::http::Flight;

/// How long a server may take to start and to shake hands. Runners that fetch the server's package
/// first take their time.
const OPEN_LIMIT: Duration = Duration::from_mins(1);
/// A session idle for this long is asked for a sign of life.
const IDLE_BEFORE_CHECK: Duration = Duration::from_secs(30);
/// How long the sign of life may take.
const CHECK_LIMIT: Duration = Duration::from_secs(5);
/// The wait after the first failure; it doubles with each that follows.
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// The longest wait between two attempts.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// How long the end of a session may take before it is cut off.
const CLOSE_LIMIT: Duration = Duration::from_secs(4);
/// The most tools of one server, and the most pages they come in: a list without end must end.
const TOOLS_MAX: usize = 1_000;
const PAGES_MAX: usize = 100;

/// How a server is reached.
#[derive(Debug)]
pub(super) enum Route {
    Stdio(McpProcess, Shelter),
    Http(Arc<Reach>),
}

/// A server, connected or not.
#[derive(Clone, Debug)]
pub(super) struct Peer(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    name: String,
    route: Route,
    standing: Mutex<Standing>,
    opening: Flight<Result<Arc<Session>, String>>,
}

#[derive(Debug, Default)]
struct Standing {
    session: Option<Arc<Session>>,
    /// Failures in a row.
    failures: u32,
    /// The last of them, and when the next attempt may be made.
    failed: Option<(String, Instant)>,
    is_closed: bool,
}

/// An open connection.
#[derive(Debug)]
pub(super) struct Session {
    service: RunningService<RoleClient, Client>,
    tools: Mutex<Option<(u64, Arc<[Tool]>)>>,
    child: Option<Child>,
    used: Mutex<Instant>,
    has_worked: AtomicBool,
}

/// Whether a list of tools may be one that is at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Freshness {
    /// The list at hand, unless the server has said that it changed.
    Kept,
    /// A list read now.
    Now,
}

/// This side of a session: it offers the server nothing and notices changes.
#[derive(Clone, Debug, Default)]
struct Client {
    /// Counts the changes of the server's tools.
    changes: Arc<AtomicU64>,
}

impl ClientHandler for Client {
    async fn on_tool_list_changed(&self, _: NotificationContext<RoleClient>) {
        self.changes.fetch_add(1, Ordering::AcqRel);
    }

    fn get_info(&self) -> ClientConfig {
        ClientConfig::new(
            ClientCapabilities::default(),
            Implementation::new("outcrop", env!("CARGO_PKG_VERSION")),
        )
    }
}

impl Peer {
    pub(super) fn new(name: &str, route: Route) -> Self {
        Self(Arc::new(Inner {
            name: name.to_owned(),
            route,
            standing: Mutex::default(),
            opening: Flight::default(),
        }))
    }

    /// A session to make a call in.
    pub(super) async fn session(&self) -> Result<Arc<Session>, String> {
        if let Some(session) = self.0.current() {
            if session.is_well().await {
                return Ok(session);
            }
            self.0.lose(&session, "it gives no sign of life");
        }
        self.0.may_open()?;
        let inner = Arc::clone(&self.0);
        self.0
            .opening
            .join(|| async move { inner.open().await }.boxed())
            .await
    }

    /// A call has failed: a session that is broken is given up.
    pub(super) fn suspect(&self, session: &Session, error: &ServiceError) {
        let is_broken = session.is_closed()
            || matches!(
                error,
                ServiceError::TransportClosed | ServiceError::TransportSend(_)
            );
        if is_broken {
            self.0.lose(session, &session.explain(error));
        }
    }

    /// Ends the session for good.
    pub(super) async fn close(&self) {
        let session = {
            let mut standing = self.0.standing();
            standing.is_closed = true;
            standing.session.take()
        };
        if let Some(session) = session
            && let Some(session) = Arc::into_inner(session)
        {
            session.end().await;
        }
    }
}

impl Inner {
    fn standing(&self) -> std::sync::MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn current(&self) -> Option<Arc<Session>> {
        self.standing().session.clone()
    }

    fn may_open(&self) -> Result<(), String> {
        let standing = self.standing();
        if standing.is_closed {
            return Err("it is being shut down".to_owned());
        }
        match &standing.failed {
            Some((cause, until)) if Instant::now() < *until => {
                let wait = until.duration_since(Instant::now());
                Err(format!(
                    "{cause} (failed {} times in a row; the next attempt is made in {:.1} s)",
                    standing.failures,
                    wait.as_secs_f32()
                ))
            }
            Some(_) | None => Ok(()),
        }
    }

    async fn open(&self) -> Result<Arc<Session>, String> {
        // Another caller may have opened one while this one was asking.
        if let Some(session) = self.current() {
            return Ok(session);
        }
        let opened = tokio::time::timeout(OPEN_LIMIT, self.connect()).await;
        let opened = opened.unwrap_or_else(|_| {
            Err(format!(
                "it did not start within {} s",
                OPEN_LIMIT.as_secs()
            ))
        });
        let mut standing = self.standing();
        match opened {
            Ok(_) if standing.is_closed => Err("it is being shut down".to_owned()),
            Ok(session) => {
                let session = Arc::new(session);
                standing.session = Some(Arc::clone(&session));
                Ok(session)
            }
            Err(cause) => {
                standing.fail(&self.name, cause.clone());
                Err(cause)
            }
        }
    }

    async fn connect(&self) -> Result<Session, String> {
        let client = Client::default();
        let (service, child) = match &self.route {
            Route::Stdio(process, shelter) => {
                let stdio::Streams {
                    input,
                    output,
                    child,
                } = stdio::start(&self.name, process, shelter).await?;
                match client.serve((output, input)).await {
                    Ok(service) => (service, Some(child)),
                    Err(error) => return Err(child.explain(&cause(&error)).await),
                }
            }
            Route::Http(reach) => {
                let transport = http::transport(reach)?;
                let opened = client.serve(transport).await;
                let service =
                    opened.map_err(|error| format!("{}: {}", reach.url, cause(&error)))?;
                (service, None)
            }
        };
        let server = service.peer_info();
        let version = server
            .as_ref()
            .map(|info| info.protocol_version.to_string());
        info!(
            server = self.name,
            protocol = version,
            "mcp server connected"
        );
        Ok(Session {
            service,
            tools: Mutex::default(),
            child,
            used: Mutex::new(Instant::now()),
            has_worked: AtomicBool::new(false),
        })
    }

    /// Gives up a session, once.
    fn lose(&self, session: &Session, cause: &str) {
        let mut standing = self.standing();
        let is_current = standing
            .session
            .as_ref()
            .is_some_and(|current| std::ptr::eq(&raw const **current, session));
        if !is_current {
            return;
        }
        standing.session = None;
        if session.has_worked.load(Ordering::Acquire) {
            warn!(server = self.name, cause, "mcp server lost");
            standing.failures = 0;
            standing.failed = None;
        } else {
            standing.fail(&self.name, cause.to_owned());
        }
    }
}

impl Standing {
    fn fail(&mut self, name: &str, cause: String) {
        let wait = FIRST_WAIT
            .saturating_mul(2_u32.saturating_pow(self.failures))
            .min(LONGEST_WAIT);
        self.failures = self.failures.saturating_add(1);
        warn!(
            server = name,
            cause,
            failures = self.failures,
            wait_ms = wait.as_millis(),
            "mcp server failed"
        );
        self.failed = Some((cause, Instant::now() + wait));
    }
}

impl Session {
    /// Calls a tool. Dropping the future tells the server that nobody waits any more.
    pub(super) async fn call(
        &self,
        params: CallToolRequestParams,
    ) -> Result<CallToolResult, ServiceError> {
        self.touch();
        self.service.call_tool(params).await
    }

    /// A call was answered: the session is one that works.
    pub(super) fn worked(&self) {
        self.has_worked.store(true, Ordering::Release);
        self.touch();
    }

    /// The server's tools.
    pub(super) async fn tools(&self, freshness: Freshness) -> Result<Arc<[Tool]>, ServiceError> {
        let changes = self.service.service().changes.load(Ordering::Acquire);
        if freshness == Freshness::Kept
            && let Some((at, tools)) = &*self.kept()
            && *at == changes
        {
            return Ok(Arc::clone(tools));
        }
        let mut tools = Vec::new();
        let mut cursor = None;
        for _ in 0..PAGES_MAX {
            let params = PaginatedRequestParams::default().with_cursor(cursor.take());
            let page = self.service.list_tools(Some(params)).await?;
            tools.extend(page.tools);
            cursor = page.next_cursor;
            if cursor.is_none() || tools.len() > TOOLS_MAX {
                break;
            }
        }
        tools.truncate(TOOLS_MAX);
        self.touch();
        let tools: Arc<[Tool]> = tools.into();
        *self.kept() = Some((changes, Arc::clone(&tools)));
        Ok(tools)
    }

    /// An error with what is known about the server besides.
    pub(super) fn explain(&self, error: &ServiceError) -> String {
        let said = match error {
            ServiceError::McpError(error) => {
                format!("it answered error {}: {}", error.code.0, error.message)
            }
            ServiceError::TransportClosed => "the connection was closed".to_owned(),
            error => cause(error),
        };
        match &self.child {
            Some(child) => child.epitaph(&said),
            None => said,
        }
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Option<(u64, Arc<[Tool]>)>> {
        self.tools.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_closed(&self) -> bool {
        self.service.is_closed() || self.service.is_transport_closed()
    }

    fn touch(&self) {
        *self.used.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    async fn is_well(&self) -> bool {
        if self.is_closed() || self.child.as_ref().is_some_and(Child::has_ended) {
            return false;
        }
        let used = *self.used.lock().unwrap_or_else(PoisonError::into_inner);
        if used.elapsed() < IDLE_BEFORE_CHECK {
            return true;
        }
        // From this revision on there is nothing to ask for a sign of life.
        let can_ping = self
            .service
            .peer_info()
            .is_some_and(|info| info.protocol_version.has_initialize());
        if !can_ping {
            return true;
        }
        let ping = ClientRequest::PingRequest(PingRequest::default());
        let answer = tokio::time::timeout(CHECK_LIMIT, self.service.send_request(ping)).await;
        // A server that answers with an error is there all the same.
        let is_there = matches!(answer, Ok(Ok(_) | Err(ServiceError::McpError(_))));
        if is_there {
            self.touch();
        }
        is_there
    }

    async fn end(self) {
        let Self {
            mut service, child, ..
        } = self;
        let _ = service.close_with_timeout(CLOSE_LIMIT).await;
        drop(child);
    }
}

/// An error with its causes: the SDK's own texts name only the outermost.
fn cause(error: &(dyn std::error::Error + 'static)) -> String {
    if let Some(ClientInitializeError::TransportError { error, .. }) = error.downcast_ref() {
        return chain(error.error.as_ref());
    }
    if let Some(ServiceError::TransportSend(error)) = error.downcast_ref() {
        return chain(error.error.as_ref());
    }
    chain(error)
}

fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        let said = error.to_string();
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        next = error.source();
    }
    text
}
