# What every case has: a name of its own, and the outside world as literals, so that nothing but
# bedrock, bedrock-agent and lambda are called.

variable "name" {
  type = string
}

variable "archives" {
  description = "The folder of function archives."
  type        = string
}

locals {
  role            = "arn:aws:iam::111111111111:role/AgentRole"
  other_role      = "arn:aws:iam::111111111111:role/OtherRole"
  function        = "arn:aws:lambda:us-west-2:111111111111:function:order-tools"
  key             = "arn:aws:kms:us-west-2:111111111111:key/0d3fb6a1-57a5-4f0e-9d3c-2f4f1f1c8a10"
  secret          = "arn:aws:secretsmanager:us-west-2:111111111111:secret:vector-store-Ab12Cd"
  embedding_model = "arn:aws:bedrock:us-west-2::foundation-model/amazon.titan-embed-text-v2:0"
  parsing_model   = "arn:aws:bedrock:us-west-2::foundation-model/anthropic.claude-3-sonnet-20240229-v1:0"
  instruction     = "You look after the orders of a small shop: say where they are, and cancel what has not left."
}
