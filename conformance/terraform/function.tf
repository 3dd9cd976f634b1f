# A function from a local archive.

variable "function_archive" {
  type    = string
  default = "first"
}

variable "function_description" {
  type    = string
  default = null
}

variable "function_publish" {
  type    = bool
  default = null
}

variable "function_timeout" {
  type    = number
  default = null
}

variable "function_memory" {
  type    = number
  default = null
}

variable "function_concurrency" {
  type    = number
  default = null
}

variable "function_variables" {
  type    = map(string)
  default = null
}

variable "function_tags" {
  type    = map(string)
  default = null
}

resource "aws_lambda_function" "test" {
  function_name                  = var.name
  role                           = local.role
  runtime                        = "python3.12"
  handler                        = "app.lambda_handler"
  filename                       = "${var.archives}/${var.function_archive}.zip"
  source_code_hash               = filebase64sha256("${var.archives}/${var.function_archive}.zip")
  description                    = var.function_description
  publish                        = var.function_publish
  timeout                        = var.function_timeout
  memory_size                    = var.function_memory
  reserved_concurrent_executions = var.function_concurrency
  tags                           = var.function_tags

  dynamic "environment" {
    for_each = var.function_variables == null ? [] : [var.function_variables]

    content {
      variables = environment.value
    }
  }
}
