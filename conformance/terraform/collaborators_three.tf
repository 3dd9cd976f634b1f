# Three agents, each with an alias, that join one supervisor at the same time.

locals {
  members = toset(["one", "two", "three"])
}

resource "aws_bedrockagent_agent" "member" {
  for_each = local.members

  agent_name                  = "${var.name}-${each.key}"
  agent_resource_role_arn     = local.role
  foundation_model            = var.agent_model
  idle_session_ttl_in_seconds = 500
  instruction                 = local.instruction
}

resource "aws_bedrockagent_agent_alias" "member" {
  for_each = local.members

  agent_alias_name = each.key
  agent_id         = aws_bedrockagent_agent.member[each.key].agent_id
}

resource "aws_bedrockagent_agent_collaborator" "member" {
  for_each = local.members

  agent_id                   = aws_bedrockagent_agent.supervisor.agent_id
  collaboration_instruction  = "do what the lead says, and think"
  collaborator_name          = each.key
  relay_conversation_history = "TO_COLLABORATOR"

  agent_descriptor {
    alias_arn = aws_bedrockagent_agent_alias.member[each.key].agent_alias_arn
  }
}
