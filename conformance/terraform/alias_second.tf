# A second alias, made after the first, so that the agent has two versions.

resource "aws_bedrockagent_agent_alias" "second" {
  agent_alias_name = "${var.name}-2"
  agent_id         = aws_bedrockagent_agent.test.agent_id
  description      = "a second alias"

  depends_on = [aws_bedrockagent_agent_alias.test]
}
