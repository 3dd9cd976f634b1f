# A web site as data source.

resource "aws_bedrockagent_data_source" "test" {
  name              = var.name
  knowledge_base_id = aws_bedrockagent_knowledge_base.test.id

  data_source_configuration {
    type = "WEB"

    web_configuration {
      source_configuration {
        url_configuration {
          seed_urls {
            url = "https://www.example.com/orders/"
          }

          seed_urls {
            url = "https://www.example.com/returns/"
          }
        }
      }

      crawler_configuration {
        exclusion_filters = [
          ".*\\.(zip|tar|gz).*",
          ".*/(login|logout|basket)/.*",
          ".*/(imprint|privacy\\-policy)$",
          ".*\\.(example|test)\\.org.*",
          ".*\\?session=.*",
        ]
        inclusion_filters = [".*/(orders|returns|how\\-to)/.*"]
        user_agent        = "bedrockbot_UUID shop"

        crawler_limits {
          max_pages  = 25000
          rate_limit = 300
        }
      }
    }
  }
}
