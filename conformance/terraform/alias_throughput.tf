# A second alias over the first one's version, with a provisioned throughput.

resource "aws_bedrockagent_agent_alias" "second" {
  agent_alias_name = "${var.name}-2"
  agent_id         = aws_bedrockagent_agent.test.agent_id
  description      = "an alias with capacity of its own"

  routing_configuration = [
    {
      agent_version          = one(aws_bedrockagent_agent_alias.test.routing_configuration).agent_version
      provisioned_throughput = "arn:aws:bedrock:us-west-2:111111111111:provisioned-model/a1b2c3d4e5f6"
    },
  ]
}
