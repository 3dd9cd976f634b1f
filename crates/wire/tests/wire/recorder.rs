//! A service that records what reached it and gives fixed answers.

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, LazyLock, Mutex};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::{Request, Response};
use outcrop_model::bedrock::ops as bedrock_ops;
use outcrop_model::control::{self, ops as control_ops};
use outcrop_model::converse::ops as converse_ops;
use outcrop_model::exception::{Exception, ExceptionKind};
use outcrop_model::handle::{CallContext, EventSource, Handle, HandleStream};
use outcrop_model::lambda::{self, ops as lambda_ops};
use outcrop_model::operation::{Operation, StreamingOperation};
use outcrop_model::runtime::{self, ops as runtime_ops};
use outcrop_model::timestamp::Timestamp;
use outcrop_wire::event_stream::{Frame, FrameReader};
use outcrop_wire::{Body, Router};
use serde_json::Value;

/// The service.
#[derive(Default)]
pub(crate) struct Recorder {
    seen: Mutex<Vec<String>>,
}

impl Recorder {
    /// One line per call.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }

    fn saw(&self, line: String) {
        self.seen.lock().unwrap().push(line);
    }
}

type Answer<T> = Result<T, Exception>;

impl Handle<control_ops::CreateAgent> for Recorder {
    async fn handle(
        &self,
        _: &CallContext,
        input: control::CreateAgentRequest,
    ) -> Answer<control::CreateAgentResponse> {
        self.saw(format!("CreateAgent {}", input.agent_name));
        Ok(control::CreateAgentResponse {
            agent: agent(&input.agent_name),
        })
    }
}

impl Handle<control_ops::UpdateAgent> for Recorder {
    async fn handle(
        &self,
        _: &CallContext,
        input: control::UpdateAgentRequest,
    ) -> Answer<control::UpdateAgentResponse> {
        self.saw(format!("UpdateAgent {}", input.agent_id));
        Ok(control::UpdateAgentResponse {
            agent: agent(&input.agent_name),
        })
    }
}

impl Handle<control_ops::GetAgent> for Recorder {
    async fn handle(
        &self,
        _: &CallContext,
        _: control::GetAgentRequest,
    ) -> Answer<control::GetAgentResponse> {
        Err(Exception::not_found(
            "Failed to retrieve resource because it doesn't exist.",
        ))
    }
}

impl Handle<control_ops::DeleteAgentActionGroup> for Recorder {
    async fn handle(
        &self,
        _: &CallContext,
        input: control::DeleteAgentActionGroupRequest,
    ) -> Answer<control::DeleteAgentActionGroupResponse> {
        self.saw(format!(
            "DeleteAgentActionGroup {:?}",
            input.skip_resource_in_use_check
        ));
        Ok(control::DeleteAgentActionGroupResponse {})
    }
}

impl HandleStream<runtime_ops::InvokeAgent> for Recorder {
    async fn handle_stream(
        &self,
        _: &CallContext,
        input: runtime::InvokeAgentRequest,
    ) -> Answer<(
        runtime::InvokeAgentResponse,
        EventSource<runtime::ResponseStream>,
    )> {
        self.saw(format!(
            "InvokeAgent {} {}",
            input.agent_id, input.agent_alias_id
        ));
        let trace = runtime::TracePart {
            agent_id: Some(input.agent_id),
            event_time: Some(Timestamp::from_nanos(1_748_626_089_251_741_423)),
            session_id: Some("größe".to_owned()),
            ..runtime::TracePart::default()
        };
        let chunk = runtime::PayloadPart {
            attribution: None,
            bytes: Some(input.input_text.unwrap_or_default().into()),
        };
        let events = stream::iter([
            Ok(runtime::ResponseStream::Trace(trace)),
            Ok(runtime::ResponseStream::Chunk(chunk.clone())),
            Err(Exception::new(ExceptionKind::Throttling, "slow down")),
            Ok(runtime::ResponseStream::Chunk(chunk)),
        ]);
        let output = runtime::InvokeAgentResponse {
            content_type: "application/json".to_owned(),
            memory_id: input.memory_id,
            session_id: input.session_id,
        };
        Ok((output, events.boxed()))
    }
}

macro_rules! unused {
    ($service:ident: $($operation:ident),* $(,)?) => {
        $(impl Handle<$service::$operation> for Recorder {
            async fn handle(
                &self,
                _: &CallContext,
                _: <$service::$operation as Operation>::Input,
            ) -> Answer<<$service::$operation as Operation>::Output> {
                self.saw(stringify!($operation).to_owned());
                Err(Exception::conflict("the recorder has no answer"))
            }
        })*
    };
}

unused!(
    control_ops:
    AssociateAgentCollaborator,
    AssociateAgentKnowledgeBase,
    CreateAgentActionGroup,
    CreateAgentAlias,
    CreateDataSource,
    CreateKnowledgeBase,
    CreatePrompt,
    CreatePromptVersion,
    DeleteAgent,
    DeleteAgentAlias,
    DeleteAgentVersion,
    DeleteDataSource,
    DeleteKnowledgeBase,
    DeleteKnowledgeBaseDocuments,
    DeletePrompt,
    DisassociateAgentCollaborator,
    DisassociateAgentKnowledgeBase,
    GetAgentActionGroup,
    GetAgentAlias,
    GetAgentCollaborator,
    GetAgentKnowledgeBase,
    GetAgentVersion,
    GetDataSource,
    GetIngestionJob,
    GetKnowledgeBase,
    GetKnowledgeBaseDocuments,
    GetPrompt,
    IngestKnowledgeBaseDocuments,
    ListAgentActionGroups,
    ListAgentAliases,
    ListAgentCollaborators,
    ListAgentKnowledgeBases,
    ListAgentVersions,
    ListAgents,
    ListDataSources,
    ListIngestionJobs,
    ListKnowledgeBaseDocuments,
    ListKnowledgeBases,
    ListPrompts,
    ListTagsForResource,
    PrepareAgent,
    StartIngestionJob,
    StopIngestionJob,
    TagResource,
    UntagResource,
    UpdateAgentActionGroup,
    UpdateAgentAlias,
    UpdateAgentCollaborator,
    UpdateAgentKnowledgeBase,
    UpdateDataSource,
    UpdateKnowledgeBase,
    UpdatePrompt,
);

unused!(
    bedrock_ops:
    CreateGuardrail,
    CreateGuardrailVersion,
    DeleteGuardrail,
    GetGuardrail,
    ListGuardrails,
    ListTagsForResource,
    TagResource,
    UntagResource,
    UpdateGuardrail,
);

unused!(converse_ops: ApplyGuardrail, Converse);

unused!(
    runtime_ops:
    DeleteAgentMemory,
    GetAgentMemory,
    Rerank,
    Retrieve,
    RetrieveAndGenerate,
);

macro_rules! unused_stream {
    ($service:ident: $operation:ident) => {
        impl HandleStream<$service::$operation> for Recorder {
            async fn handle_stream(
                &self,
                _: &CallContext,
                _: <$service::$operation as Operation>::Input,
            ) -> Answer<(
                <$service::$operation as Operation>::Output,
                EventSource<<$service::$operation as StreamingOperation>::Event>,
            )> {
                self.saw(stringify!($operation).to_owned());
                Err(Exception::conflict("the recorder has no answer"))
            }
        }
    };
}

unused_stream!(converse_ops: ConverseStream);
unused_stream!(runtime_ops: InvokeInlineAgent);
unused_stream!(runtime_ops: RetrieveAndGenerateStream);

unused!(
    lambda_ops:
    AddPermission,
    CreateAlias,
    CreateFunction,
    DeleteAlias,
    DeleteFunction,
    DeleteFunctionConcurrency,
    GetAlias,
    GetFunctionCodeSigningConfig,
    GetFunctionConcurrency,
    GetFunctionConfiguration,
    GetPolicy,
    ListAliases,
    ListFunctions,
    ListTags,
    ListVersionsByFunction,
    PublishVersion,
    PutFunctionConcurrency,
    RemovePermission,
    TagResource,
    UntagResource,
    UpdateAlias,
    UpdateFunctionCode,
    UpdateFunctionConfiguration,
);

impl Handle<lambda_ops::GetFunction> for Recorder {
    async fn handle(
        &self,
        _: &CallContext,
        input: lambda::GetFunctionRequest,
    ) -> Answer<lambda::GetFunctionResponse> {
        let name = input.function_name;
        Err(Exception::not_found(format!("Function not found: {name}")))
    }
}

/// Answers what it is sent, as a function that fails would.
impl Handle<lambda_ops::Invoke> for Recorder {
    async fn handle(
        &self,
        _: &CallContext,
        input: lambda::InvocationRequest,
    ) -> Answer<lambda::InvocationResponse> {
        self.saw(format!(
            "Invoke {} {:?} {:?}",
            input.function_name, input.qualifier, input.log_type
        ));
        Ok(lambda::InvocationResponse {
            status_code: Some(200),
            function_error: Some("Unhandled".to_owned()),
            log_result: Some("bG9n".to_owned()),
            payload: input.payload,
            executed_version: Some("$LATEST".to_owned()),
            ..lambda::InvocationResponse::default()
        })
    }
}

/// An agent of this name with every required member.
pub(crate) fn agent(name: &str) -> control::Agent {
    let time = Timestamp::parse_iso("2025-03-14T09:26:53.589793Z").unwrap();
    serde_json::from_value(serde_json::json!({
        "agentArn": "arn:aws:bedrock:us-west-2:111111111111:agent/ABCDEFGHIJ",
        "agentId": "ABCDEFGHIJ",
        "agentName": name,
        "agentResourceRoleArn": "arn:aws:iam::111111111111:role/r",
        "agentStatus": "CREATING",
        "agentVersion": "DRAFT",
        "createdAt": time,
        "idleSessionTTLInSeconds": 600,
        "updatedAt": time,
    }))
    .unwrap()
}

/// The request id of every call.
pub(crate) const REQUEST_ID: &str = "8f2c9a4e-0000-4000-8000-000000000000";

/// Sends a request to a new recorder.
pub(crate) fn call(method: &str, uri: &str, body: &str) -> (Arc<Recorder>, Response<Body>) {
    let request = Request::builder().method(method).uri(uri);
    let request = request
        .body(Bytes::copy_from_slice(body.as_bytes()))
        .unwrap();
    send(request)
}

/// Sends a request to a new recorder.
pub(crate) fn send(request: Request<Bytes>) -> (Arc<Recorder>, Response<Body>) {
    static ROUTER: LazyLock<Router<Recorder>> = LazyLock::new(Router::new);
    let service = Arc::new(Recorder::default());
    let cx = CallContext {
        request_id: REQUEST_ID.to_owned(),
        account_id: "111111111111".to_owned(),
        region: "us-west-2".to_owned(),
        host: None,
    };
    let response = now(ROUTER.dispatch(Arc::clone(&service), cx, request));
    (service, response)
}

/// The JSON of a whole body.
pub(crate) fn json_body(response: Response<Body>) -> Value {
    let bytes = response.into_body().as_full().unwrap().clone();
    serde_json::from_slice(&bytes).unwrap()
}

/// The frames of a streamed body.
pub(crate) fn stream_frames(response: Response<Body>) -> Vec<Frame> {
    let Body::Stream(stream) = response.into_body() else {
        panic!("not a stream");
    };
    let mut reader = FrameReader::default();
    let mut frames = Vec::new();
    for bytes in now(stream.collect::<Vec<_>>()) {
        reader.push(&bytes);
        while let Some(frame) = reader.next_frame().unwrap() {
            frames.push(frame);
        }
    }
    reader.finish().unwrap();
    frames
}

/// The result of a future that never waits.
pub(crate) fn now<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    match future
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
    {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("the future waits"),
    }
}
