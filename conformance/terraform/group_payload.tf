# An action group with its OpenAPI schema inline, behind a Lambda function or the caller itself.

variable "group_caller" {
  description = "Control goes back to the caller instead of to the function."
  type        = bool
  default     = false
}

variable "group_description" {
  type    = string
  default = "what the shop can do"
}

resource "aws_bedrockagent_agent_action_group" "test" {
  action_group_name          = var.name
  agent_id                   = aws_bedrockagent_agent.test.agent_id
  agent_version              = "DRAFT"
  description                = var.group_description
  skip_resource_in_use_check = true

  action_group_executor {
    custom_control = var.group_caller ? "RETURN_CONTROL" : null
    lambda         = var.group_caller ? null : local.function
  }

  api_schema {
    payload = yamlencode({
      openapi = "3.0.0"
      info    = { title = "Shop", version = "1" }
      paths = {
        "/orders/{order_id}" = {
          get = {
            operationId = "getOrder"
            description = "Where an order is."
            parameters = [
              {
                name        = "order_id"
                in          = "path"
                description = "The number on the receipt."
                required    = true
                schema      = { type = "string" }
              },
            ]
            responses = {
              "200" = {
                description = "The order."
                content     = { "application/json" = { schema = { type = "object", properties = { status = { type = "string" } } } } }
              }
            }
          }
        }
      }
    })
  }
}
