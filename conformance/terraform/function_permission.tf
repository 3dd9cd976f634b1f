# What lets agents call the function.

resource "aws_lambda_permission" "test" {
  statement_id   = "AllowAgents"
  action         = "lambda:InvokeFunction"
  function_name  = aws_lambda_function.test.function_name
  principal      = "bedrock.amazonaws.com"
  source_account = "111111111111"
  source_arn     = "arn:aws:bedrock:us-west-2:111111111111:agent/*"
}
