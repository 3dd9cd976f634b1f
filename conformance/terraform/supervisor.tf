# An agent that leads others; prepared by its collaborators, since alone it cannot be.

resource "aws_bedrockagent_agent" "supervisor" {
  agent_name                  = "${var.name}-lead"
  agent_collaboration         = "SUPERVISOR"
  agent_resource_role_arn     = local.role
  description                 = "leads the others"
  foundation_model            = var.agent_model
  idle_session_ttl_in_seconds = 500
  instruction                 = local.instruction
  prepare_agent               = false
}
