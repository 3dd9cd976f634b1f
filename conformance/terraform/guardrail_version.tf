# A version of the guardrail.

variable "guardrail_version_description" {
  type    = string
  default = "first"
}

resource "aws_bedrock_guardrail_version" "test" {
  description   = var.guardrail_version_description
  guardrail_arn = aws_bedrock_guardrail.test.guardrail_arn
}
