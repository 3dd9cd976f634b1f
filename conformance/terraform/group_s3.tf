# An action group whose OpenAPI schema is an object in a bucket.

resource "aws_bedrockagent_agent_action_group" "test" {
  action_group_name          = var.name
  agent_id                   = aws_bedrockagent_agent.test.agent_id
  agent_version              = "DRAFT"
  skip_resource_in_use_check = true

  action_group_executor {
    lambda = local.function
  }

  api_schema {
    s3 {
      s3_bucket_name = "my-agent-schemas"
      s3_object_key  = "order-tools/openapi.yaml"
    }
  }
}
