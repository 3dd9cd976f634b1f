# A bucket as data source, with each way of cutting and reading its documents.

variable "chunking" {
  type    = string
  default = "FIXED_SIZE"
}

variable "parsed" {
  type    = bool
  default = false
}

variable "transformed" {
  type    = bool
  default = false
}

resource "aws_bedrockagent_data_source" "test" {
  name                 = var.name
  knowledge_base_id    = aws_bedrockagent_knowledge_base.test.id
  data_deletion_policy = "RETAIN"
  description          = "articles"

  data_source_configuration {
    type = "S3"

    s3_configuration {
      bucket_arn         = "arn:aws:s3:::shop-articles"
      inclusion_prefixes = ["europe/bordeaux"]
    }
  }

  vector_ingestion_configuration {
    chunking_configuration {
      chunking_strategy = var.chunking

      dynamic "fixed_size_chunking_configuration" {
        for_each = var.chunking == "FIXED_SIZE" ? [var.chunking] : []

        content {
          max_tokens         = 3
          overlap_percentage = 80
        }
      }

      dynamic "hierarchical_chunking_configuration" {
        for_each = var.chunking == "HIERARCHICAL" ? [var.chunking] : []

        content {
          overlap_tokens = 2

          level_configuration {
            max_tokens = 15
          }

          level_configuration {
            max_tokens = 10
          }
        }
      }

      dynamic "semantic_chunking_configuration" {
        for_each = var.chunking == "SEMANTIC" ? [var.chunking] : []

        content {
          breakpoint_percentile_threshold = 80
          buffer_size                     = 1
          max_token                       = 20
        }
      }
    }

    dynamic "custom_transformation_configuration" {
      for_each = var.transformed ? ["s3://shop-between/step"] : []

      content {
        intermediate_storage {
          s3_location {
            uri = custom_transformation_configuration.value
          }
        }

        transformation {
          step_to_apply = "POST_CHUNKING"

          transformation_function {
            transformation_lambda_configuration {
              lambda_arn = local.function
            }
          }
        }
      }
    }

    dynamic "parsing_configuration" {
      for_each = var.parsed ? [local.parsing_model] : []

      content {
        parsing_strategy = "BEDROCK_FOUNDATION_MODEL"

        bedrock_foundation_model_configuration {
          model_arn = parsing_configuration.value

          parsing_prompt {
            parsing_prompt_string = "Write down the text of the page as Markdown."
          }
        }
      }
    }
  }
}
