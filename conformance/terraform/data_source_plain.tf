# A bucket as data source; "detailed" adds a description, a prefix, and keeps the data on deletion.

variable "detailed" {
  type    = bool
  default = false
}

resource "aws_bedrockagent_data_source" "test" {
  name                 = var.name
  knowledge_base_id    = aws_bedrockagent_knowledge_base.test.id
  data_deletion_policy = var.detailed ? "RETAIN" : null
  description          = var.detailed ? "articles" : null

  data_source_configuration {
    type = "S3"

    s3_configuration {
      bucket_arn         = "arn:aws:s3:::shop-articles"
      inclusion_prefixes = var.detailed ? ["europe/bordeaux"] : null
    }
  }
}
