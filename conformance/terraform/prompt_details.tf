# A prompt whose variant has everything but a model: it belongs to an agent's alias.

resource "aws_bedrockagent_prompt" "test" {
  name            = var.name
  default_variant = "only"

  variant {
    name                            = "only"
    additional_model_request_fields = jsonencode({ seed = "7" })
    template_type                   = "TEXT"

    inference_configuration {
      text {
        max_tokens     = 2048
        stop_sequences = ["User:"]
        temperature    = 0
        top_p          = 0.8999999761581421
      }
    }

    metadata {
      key   = "team"
      value = "shop"
    }

    metadata {
      key   = "stage"
      value = "trial"
    }

    gen_ai_resource {
      agent {
        agent_identifier = aws_bedrockagent_agent_alias.test.agent_alias_arn
      }
    }

    template_configuration {
      text {
        text = "Say hello."
      }
    }
  }
}
