//! What each resource type of CloudFormation is made of.
//!
//! Names of shapes and properties only; the walk over them is in the module above.

use super::{Extra, ExtraKind, Form};

/// `AWS::Bedrock::Agent`.
pub const AGENT: Form = Form {
    shape: "CreateAgentRequest",
    hidden: &["clientToken"],
    extra: &[
        Extra {
            property: "ActionGroups",
            kind: ExtraKind::List(&ACTION_GROUP),
        },
        Extra {
            property: "KnowledgeBases",
            kind: ExtraKind::List(&KNOWLEDGE_BASE_ASSOCIATION),
        },
        Extra {
            property: "AgentCollaborators",
            kind: ExtraKind::List(&COLLABORATOR),
        },
        Extra {
            property: "AutoPrepare",
            kind: ExtraKind::Flag,
        },
        Extra {
            property: "SkipResourceInUseCheckOnDelete",
            kind: ExtraKind::Flag,
        },
        Extra {
            property: "TestAliasTags",
            kind: ExtraKind::Shape("TagsMap"),
        },
    ],
};

/// An element of `ActionGroups`.
pub const ACTION_GROUP: Form = Form {
    shape: "CreateAgentActionGroupRequest",
    hidden: &["agentId", "agentVersion", "clientToken"],
    extra: &[Extra {
        property: "SkipResourceInUseCheckOnDelete",
        kind: ExtraKind::Flag,
    }],
};

/// An element of `KnowledgeBases`.
pub const KNOWLEDGE_BASE_ASSOCIATION: Form = Form {
    shape: "AssociateAgentKnowledgeBaseRequest",
    hidden: &["agentId", "agentVersion"],
    extra: &[],
};

/// An element of `AgentCollaborators`.
pub const COLLABORATOR: Form = Form {
    shape: "AssociateAgentCollaboratorRequest",
    hidden: &["agentId", "agentVersion", "clientToken"],
    extra: &[],
};

/// `AWS::Bedrock::AgentAlias`.
pub const AGENT_ALIAS: Form = Form {
    shape: "CreateAgentAliasRequest",
    hidden: &["clientToken"],
    extra: &[Extra {
        property: "AliasInvocationState",
        kind: ExtraKind::Shape("AliasInvocationState"),
    }],
};

/// `AWS::Bedrock::KnowledgeBase`.
pub const KNOWLEDGE_BASE: Form = Form {
    shape: "CreateKnowledgeBaseRequest",
    hidden: &["clientToken"],
    extra: &[],
};

/// `AWS::Bedrock::DataSource`.
pub const DATA_SOURCE: Form = Form {
    shape: "CreateDataSourceRequest",
    hidden: &["clientToken"],
    extra: &[],
};

/// `AWS::Bedrock::Prompt`.
pub const PROMPT: Form = Form {
    shape: "CreatePromptRequest",
    hidden: &["clientToken"],
    extra: &[],
};

/// `AWS::Bedrock::PromptVersion`. The prompt is named by `PromptArn`, which the API calls
/// `promptIdentifier`.
pub const PROMPT_VERSION: Form = Form {
    shape: "CreatePromptVersionRequest",
    hidden: &["clientToken", "promptIdentifier"],
    extra: &[Extra {
        property: "PromptArn",
        kind: ExtraKind::Shape("PromptArn"),
    }],
};

/// `AWS::Bedrock::Guardrail`.
pub const GUARDRAIL: Form = Form {
    shape: "CreateGuardrailRequest",
    hidden: &["clientRequestToken"],
    extra: &[],
};

/// `AWS::Bedrock::GuardrailVersion`.
pub const GUARDRAIL_VERSION: Form = Form {
    shape: "CreateGuardrailVersionRequest",
    hidden: &["clientRequestToken"],
    extra: &[],
};

/// Outcrop's own resource type: a numbered version of an agent, kept as it was where it came from.
pub const AGENT_VERSION_TYPE: &str = "Outcrop::Bedrock::AgentVersion";

/// The properties of [`AGENT_VERSION_TYPE`]: the agent's, its id, and the number.
pub const AGENT_VERSION: Form = Form {
    shape: "CreateAgentRequest",
    hidden: &["clientToken", "tags"],
    extra: &[
        Extra {
            property: "AgentId",
            kind: ExtraKind::Shape("Id"),
        },
        Extra {
            property: "Version",
            kind: ExtraKind::Shape("NumericalVersion"),
        },
        Extra {
            property: "ActionGroups",
            kind: ExtraKind::List(&ACTION_GROUP),
        },
        Extra {
            property: "KnowledgeBases",
            kind: ExtraKind::List(&KNOWLEDGE_BASE_ASSOCIATION),
        },
        Extra {
            property: "AgentCollaborators",
            kind: ExtraKind::List(&COLLABORATOR),
        },
    ],
};
