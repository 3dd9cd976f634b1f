# The versions of the agent, read through the data source.

data "aws_bedrockagent_agent_versions" "test" {
  agent_id = aws_bedrockagent_agent.test.agent_id
}
