# A prompt without variants.

variable "prompt_description" {
  type    = string
  default = null
}

variable "prompt_key" {
  type    = bool
  default = false
}

variable "prompt_tags" {
  type    = map(string)
  default = null
}

resource "aws_bedrockagent_prompt" "test" {
  name                        = var.name
  description                 = var.prompt_description
  customer_encryption_key_arn = var.prompt_key ? local.key : null
  tags                        = var.prompt_tags
}
