# A prompt with a text variant and a chat variant that has a tool.

resource "aws_bedrockagent_prompt" "test" {
  name            = var.name
  default_variant = "plain"

  variant {
    name          = "plain"
    model_id      = "amazon.titan-text-express-v1"
    template_type = "TEXT"

    template_configuration {
      text {
        text = "{{question}}"

        input_variable {
          name = "question"
        }
      }
    }
  }

  variant {
    name          = "talk"
    model_id      = "amazon.titan-text-express-v1"
    template_type = "CHAT"

    template_configuration {
      chat {
        system {
          text = "Be brief."
        }

        message {
          role = "user"

          content {
            text = "Where is it?"
          }
        }

        message {
          role = "assistant"

          content {
            text = "On its way."
          }
        }

        tool_configuration {
          tool_choice {
            auto {}
          }

          tool {
            tool_spec {
              name        = "find"
              description = "Finds an order"

              input_schema {
                json = jsonencode({ type = "object" })
              }
            }
          }
        }
      }
    }
  }
}
