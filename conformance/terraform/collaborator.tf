# One collaborator of the supervisor; "moved" makes a second alias and points it there.

variable "collaboration_instruction" {
  type    = string
  default = "ask it where an order is"
}

variable "relay_history" {
  type    = string
  default = "TO_COLLABORATOR"
}

variable "moved" {
  type    = bool
  default = false
}

resource "aws_bedrockagent_agent_alias" "moved" {
  count = var.moved ? 1 : 0

  agent_alias_name = "${var.name}-moved"
  agent_id         = aws_bedrockagent_agent.test.agent_id
  description      = "where the collaborator moves to"
}

resource "aws_bedrockagent_agent_collaborator" "test" {
  agent_id                   = aws_bedrockagent_agent.supervisor.agent_id
  collaboration_instruction  = var.collaboration_instruction
  collaborator_name          = var.name
  relay_conversation_history = var.relay_history

  agent_descriptor {
    alias_arn = var.moved ? aws_bedrockagent_agent_alias.moved[0].agent_alias_arn : aws_bedrockagent_agent_alias.test.agent_alias_arn
  }
}
