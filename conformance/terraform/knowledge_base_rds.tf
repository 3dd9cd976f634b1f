# A knowledge base over a table in Aurora.

variable "kb_name" {
  type    = string
  default = null
}

variable "kb_description" {
  type    = string
  default = null
}

variable "kb_other_role" {
  type    = bool
  default = false
}

variable "kb_tags" {
  type    = map(string)
  default = null
}

resource "aws_bedrockagent_knowledge_base" "test" {
  name        = coalesce(var.kb_name, var.name)
  description = var.kb_description
  role_arn    = var.kb_other_role ? local.other_role : local.role
  tags        = var.kb_tags

  knowledge_base_configuration {
    type = "VECTOR"

    vector_knowledge_base_configuration {
      embedding_model_arn = local.embedding_model
    }
  }

  storage_configuration {
    type = "RDS"

    rds_configuration {
      credentials_secret_arn = local.secret
      database_name          = "shop"
      resource_arn           = "arn:aws:rds:us-west-2:111111111111:cluster:shop"
      table_name             = "knowledge.articles"

      field_mapping {
        metadata_field    = "about"
        primary_key_field = "id"
        text_field        = "body"
        vector_field      = "embedding"
      }
    }
  }
}
