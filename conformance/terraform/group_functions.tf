# An action group defined by function details.

resource "aws_bedrockagent_agent_action_group" "test" {
  action_group_name          = var.name
  agent_id                   = aws_bedrockagent_agent.test.agent_id
  agent_version              = "DRAFT"
  skip_resource_in_use_check = true

  action_group_executor {
    lambda = local.function
  }

  function_schema {
    member_functions {
      functions {
        name        = "findOrder"
        description = "Finds an order"

        parameters {
          map_block_key = "number"
          type          = "string"
          description   = "The order number"
          required      = true
        }

        parameters {
          map_block_key = "year"
          type          = "integer"
          required      = false
        }
      }
    }
  }
}
