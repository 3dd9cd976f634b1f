# The built-in action group by which an agent may ask its user.

resource "aws_bedrockagent_agent_action_group" "test" {
  action_group_name             = var.name
  agent_id                      = aws_bedrockagent_agent.test.agent_id
  agent_version                 = "DRAFT"
  parent_action_group_signature = "AMAZON.UserInput"
  skip_resource_in_use_check    = true
}
