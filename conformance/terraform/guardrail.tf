# A guardrail with policies of each kind.

# Always there: without one the provider of 5.100.0 leaves it unknown after the apply.
variable "guardrail_description" {
  type    = string
  default = "guards"
}

variable "guardrail_word" {
  type    = string
  default = "forbidden"
}

variable "guardrail_tags" {
  type    = map(string)
  default = null
}

resource "aws_bedrock_guardrail" "test" {
  name                      = var.name
  description               = var.guardrail_description
  blocked_input_messaging   = "You cannot ask that."
  blocked_outputs_messaging = "I cannot say that."
  tags                      = var.guardrail_tags

  content_policy_config {
    filters_config {
      type            = "HATE"
      input_strength  = "MEDIUM"
      output_strength = "HIGH"
    }
    filters_config {
      type            = "PROMPT_ATTACK"
      input_strength  = "HIGH"
      output_strength = "NONE"
    }
  }

  contextual_grounding_policy_config {
    filters_config {
      type      = "GROUNDING"
      threshold = 0.4
    }
  }

  sensitive_information_policy_config {
    pii_entities_config {
      type   = "EMAIL"
      action = "ANONYMIZE"
    }
    pii_entities_config {
      type   = "US_SOCIAL_SECURITY_NUMBER"
      action = "BLOCK"
    }
    regexes_config {
      name        = "case"
      description = "numbers of cases"
      pattern     = "CASE-[0-9]{6}"
      action      = "BLOCK"
    }
  }

  topic_policy_config {
    topics_config {
      name       = "stocks"
      examples   = ["Which shares should I buy?"]
      type       = "DENY"
      definition = "Advice on what to buy."
    }
  }

  word_policy_config {
    managed_word_lists_config {
      type = "PROFANITY"
    }
    words_config {
      text = var.guardrail_word
    }
  }
}
