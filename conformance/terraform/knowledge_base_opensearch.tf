# A knowledge base over an OpenSearch Serverless collection.

variable "kb_name" {
  type    = string
  default = null
}

variable "kb_description" {
  type    = string
  default = null
}

variable "kb_images" {
  description = "Sets the embedding's form, and a bucket for what is not text."
  type        = bool
  default     = false
}

resource "aws_bedrockagent_knowledge_base" "test" {
  name        = coalesce(var.kb_name, var.name)
  description = var.kb_description
  role_arn    = local.role

  knowledge_base_configuration {
    type = "VECTOR"

    vector_knowledge_base_configuration {
      embedding_model_arn = local.embedding_model

      dynamic "embedding_model_configuration" {
        for_each = var.kb_images ? [1024] : []

        content {
          bedrock_embedding_model_configuration {
            dimensions          = embedding_model_configuration.value
            embedding_data_type = "FLOAT32"
          }
        }
      }

      dynamic "supplemental_data_storage_configuration" {
        for_each = var.kb_images ? ["s3://shop-images"] : []

        content {
          storage_location {
            type = "S3"

            s3_location {
              uri = supplemental_data_storage_configuration.value
            }
          }
        }
      }
    }
  }

  storage_configuration {
    type = "OPENSEARCH_SERVERLESS"

    opensearch_serverless_configuration {
      collection_arn    = "arn:aws:aoss:us-west-2:111111111111:collection/1a2b3c4d5e6f7g8h9i0j"
      vector_index_name = "shop-articles"

      field_mapping {
        metadata_field = "about"
        text_field     = "body"
        vector_field   = "embedding"
      }
    }
  }
}
