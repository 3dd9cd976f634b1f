# An alias of the function, which must publish versions.

variable "alias_version" {
  type    = string
  default = "1"
}

variable "alias_weights" {
  type    = map(number)
  default = null
}

resource "aws_lambda_alias" "test" {
  name             = "PROD"
  description      = "what clients call"
  function_name    = aws_lambda_function.test.function_name
  function_version = var.alias_version

  dynamic "routing_config" {
    for_each = var.alias_weights == null ? [] : [var.alias_weights]

    content {
      additional_version_weights = routing_config.value
    }
  }
}
