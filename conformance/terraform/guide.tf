# The guide's sample: an agent, its order tools, and the alias that clients call. Its role and its
# function, resources of their own there, are plain ARNs here.

variable "group_skip_in_use_check" {
  description = "An enabled group is only deleted with this, which the sample does not set."
  type        = bool
  default     = null
}

resource "aws_bedrockagent_agent" "support" {
  agent_name                  = "support-bot"
  foundation_model            = "anthropic.claude-opus-4-7"
  instruction                 = "You are a helpful customer support assistant."
  agent_resource_role_arn     = local.role
  idle_session_ttl_in_seconds = 1800
}

resource "aws_bedrockagent_agent_action_group" "order_tools" {
  agent_id                   = aws_bedrockagent_agent.support.id
  agent_version              = "DRAFT"
  action_group_name          = "OrderTools"
  skip_resource_in_use_check = var.group_skip_in_use_check

  action_group_executor {
    lambda = local.function
  }

  function_schema {
    member_functions {
      functions {
        name        = "get_order_status"
        description = "Look up shipping status by order ID."

        parameters {
          map_block_key = "order_id"
          type          = "string"
          required      = true
        }
      }
    }
  }
}

resource "aws_bedrockagent_agent_alias" "prod" {
  agent_id         = aws_bedrockagent_agent.support.id
  agent_alias_name = "PROD"
}
