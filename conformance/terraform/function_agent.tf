# The guide's agent, whose tools are a function of the same configuration.

resource "aws_bedrockagent_agent" "support" {
  agent_name              = var.name
  foundation_model        = "anthropic.claude-opus-4-7"
  instruction             = "You are a helpful customer support assistant."
  agent_resource_role_arn = local.role
}

resource "aws_bedrockagent_agent_action_group" "order_tools" {
  agent_id                   = aws_bedrockagent_agent.support.id
  agent_version              = "DRAFT"
  action_group_name          = "OrderTools"
  skip_resource_in_use_check = true

  action_group_executor {
    lambda = aws_lambda_function.test.arn
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
