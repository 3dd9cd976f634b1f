"""A group of functions by `BedrockAgentFunctionResolver`."""

from aws_lambda_powertools.event_handler import BedrockAgentFunctionResolver
from aws_lambda_powertools.event_handler.bedrock_agent_function import BedrockFunctionResponse

app = BedrockAgentFunctionResolver()


@app.tool(name="add", description="Adds two numbers.")
def add(left: float, right: int, loud: bool = False):
    event = app.current_event
    return {
        "sum": left + right, "loud": loud, "types": [type(left).__name__, type(right).__name__, type(loud).__name__],
        "agent": event.agent.id, "version": event.agent.version, "asked": event.input_text,
    }


@app.tool(description="Remembers something.")
def remember(what: str):
    kept = {**app.current_event.session_attributes, "kept": what}
    return BedrockFunctionResponse(body="kept", session_attributes=kept, prompt_session_attributes={"last": "remember"})


@app.tool(description="Recalls what was remembered.")
def recall():
    return app.current_event.session_attributes.get("kept", "nothing")


@app.tool(description="Sends the model back.")
def reject():
    return BedrockFunctionResponse(body="ask for the order", response_state="REPROMPT")


@app.tool(description="Fails.")
def fail():
    return BedrockFunctionResponse(body="no way", response_state="FAILURE")


@app.tool(description="Raises.")
def stumble():
    raise RuntimeError("the ledger is lost")


def handler(event, context):
    return app.resolve(event, context)
