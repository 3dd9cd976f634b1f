# An alias of the agent: without routing it cuts a version, with routing it moves to that version.

variable "alias_description" {
  type    = string
  default = "an alias of the shop"
}

variable "alias_version" {
  type    = string
  default = null
}

variable "alias_throughput" {
  type    = string
  default = null
}

variable "alias_tags" {
  type    = map(string)
  default = null
}

resource "aws_bedrockagent_agent_alias" "test" {
  agent_alias_name = var.name
  agent_id         = aws_bedrockagent_agent.test.agent_id
  description      = var.alias_description
  tags             = var.alias_tags

  routing_configuration = var.alias_version == null ? null : [
    {
      agent_version          = var.alias_version
      provisioned_throughput = var.alias_throughput
    },
  ]
}
