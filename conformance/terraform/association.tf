# The knowledge base given to the agent.

variable "association_description" {
  type    = string
  default = "articles about the shop"
}

variable "association_state" {
  type    = string
  default = "ENABLED"
}

resource "aws_bedrockagent_agent_knowledge_base_association" "test" {
  agent_id             = aws_bedrockagent_agent.test.id
  description          = var.association_description
  knowledge_base_id    = aws_bedrockagent_knowledge_base.test.id
  knowledge_base_state = var.association_state
}
