# One agent. An attribute whose variable is null is left out of the request.

variable "agent_name" {
  type    = string
  default = null
}

variable "agent_model" {
  type    = string
  default = "anthropic.claude-v2"
}

variable "agent_description" {
  type    = string
  default = "an agent of the shop"
}

variable "agent_ttl" {
  type    = number
  default = 500
}

variable "agent_prompts" {
  description = "Names of the overrides in local.overrides; null for none."
  type        = list(string)
  default     = null
}

variable "agent_guardrail_version" {
  type    = string
  default = null
}

variable "agent_key" {
  type    = bool
  default = false
}

variable "agent_collaboration" {
  type    = string
  default = null
}

variable "agent_memory_days" {
  type    = number
  default = null
}

variable "agent_prepare" {
  type    = bool
  default = null
}

variable "agent_skip_in_use_check" {
  type    = bool
  default = null
}

variable "agent_tags" {
  type    = map(string)
  default = null
}

locals {
  inference = {
    max_length     = 2048
    stop_sequences = ["Human:"]
    temperature    = 0
    top_k          = 250
    top_p          = 1
  }

  overrides = {
    pre = {
      base_prompt_template    = "\n\nHuman: Sort this question: $question$\nThe tools are: $functions$\n\nAssistant:"
      inference_configuration = [local.inference]
      parser_mode             = "DEFAULT"
      prompt_creation_mode    = "OVERRIDDEN"
      prompt_state            = "ENABLED"
      prompt_type             = "PRE_PROCESSING"
    }
    knowledge = {
      base_prompt_template    = "\n\nHuman: Answer $query$ from these results only:\n$search_results$\n\nAssistant:"
      inference_configuration = [local.inference]
      parser_mode             = "DEFAULT"
      prompt_creation_mode    = "OVERRIDDEN"
      prompt_state            = "ENABLED"
      prompt_type             = "KNOWLEDGE_BASE_RESPONSE_GENERATION"
    }
    orchestration = {
      base_prompt_template = <<-TEXT


        Human: $instruction$
        The tools are: $functions$
        So far: $conversation_history$
        The question is: $question$

        Assistant: $agent_scratchpad$
      TEXT
      inference_configuration = [
        merge(local.inference, { stop_sequences = ["</invoke>", "</answer>", "</error>"] }),
      ]
      parser_mode          = "DEFAULT"
      prompt_creation_mode = "OVERRIDDEN"
      prompt_state         = "ENABLED"
      prompt_type          = "ORCHESTRATION"
    }
    post = {
      base_prompt_template    = "\n\nHuman: Say this more kindly: $latest_response$\nIt answers: $question$\n\nAssistant:"
      inference_configuration = [local.inference]
      parser_mode             = "DEFAULT"
      prompt_creation_mode    = "OVERRIDDEN"
      prompt_state            = "DISABLED"
      prompt_type             = "POST_PROCESSING"
    }
  }
}

resource "aws_bedrockagent_agent" "test" {
  agent_name                  = coalesce(var.agent_name, var.name)
  agent_resource_role_arn     = local.role
  agent_collaboration         = var.agent_collaboration
  customer_encryption_key_arn = var.agent_key ? local.key : null
  description                 = var.agent_description
  foundation_model            = var.agent_model
  idle_session_ttl_in_seconds = var.agent_ttl
  instruction                 = local.instruction
  prepare_agent               = var.agent_prepare
  skip_resource_in_use_check  = var.agent_skip_in_use_check
  tags                        = var.agent_tags

  guardrail_configuration = var.agent_guardrail_version == null ? null : [
    {
      guardrail_identifier = "gr0a1b2c3d4e"
      guardrail_version    = var.agent_guardrail_version
    },
  ]

  memory_configuration = var.agent_memory_days == null ? null : [
    {
      enabled_memory_types = ["SESSION_SUMMARY"]
      storage_days         = var.agent_memory_days
    },
  ]

  prompt_override_configuration = var.agent_prompts == null ? null : [
    {
      override_lambda       = null
      prompt_configurations = [for name in var.agent_prompts : local.overrides[name]]
    },
  ]
}
