"""Functions that plan for an agent, each in the manner of one of AWS's samples.

None of them keeps anything between two calls: whatever it has to know is read from the event.
"""

import json


def react(event, context):
    """Thinks and acts by turns; what the model says without a tool is the answer."""
    if event["state"] == "MODEL_INVOKED":
        given = json.loads(event["input"]["text"])
        blocks = given["output"]["content"]
        if given["stopReason"] == "tool_use":
            wanted = next(block for block in blocks if "toolUse" in block)
            return _decision(event, "INVOKE_TOOL", json.dumps(wanted), "it wants a tool")
        return _decision(event, "FINISH", blocks[-1]["text"], "it has the answer")
    return _decision(event, "INVOKE_MODEL", json.dumps(_request(event)), "asking the model")


def plan_first(event, context):
    """Has the model name all orders at once, looks each up, then sums up."""
    attributes = dict(event["context"]["sessionAttributes"])
    state, given = event["state"], json.loads(event["input"]["text"])
    if state == "START":
        return _decision(event, "INVOKE_MODEL", json.dumps(_request(event)), "planning")
    if state == "MODEL_INVOKED" and attributes.get("phase") == "summing up":
        attributes.pop("phase")
        return _decision(event, "FINISH", given["output"]["content"][0]["text"], "done", attributes)
    if state == "MODEL_INVOKED":
        orders = given["output"]["content"][0]["text"].split()
    else:
        orders = json.loads(attributes["orders"])
    if orders:
        attributes["orders"] = json.dumps(orders[1:])
        tool = next(
            tool["toolSpec"]["name"]
            for tool in event["context"]["agentConfiguration"]["tools"]
            if tool["toolSpec"]["name"].endswith("get_order_status")
        )
        wanted = {"toolUse": {"toolUseId": f"plan-{orders[0]}", "name": tool, "input": {"order_id": orders[0]}}}
        return _decision(event, "INVOKE_TOOL", json.dumps(wanted), f"looking up {orders[0]}", attributes)
    attributes["phase"] = "summing up"
    return _decision(event, "INVOKE_MODEL", json.dumps(_request(event)), "summing up", attributes)


def stream(event, context):
    """Sends its answer piece by piece, without a model, and returns its reply as JSON text."""
    pieces = ["I ", "am ", "here."]
    replies = [
        _decision(
            event,
            "INVOKE_TOOL",
            json.dumps(
                {
                    "toolUse": {
                        "toolUseId": f"piece-{number}",
                        "name": "bedrock_stream_answer_tool",
                        "input": {"text": piece},
                    }
                }
            ),
        )
        for number, piece in enumerate(pieces)
    ]
    return [json.dumps(reply) for reply in replies]


def broken(event, context):
    """Forgets what an event is called."""
    return {"version": "1.0", "actionEvents": "FINISH"}


def client_tool(event, context):
    """Asks the client for its calendar, then says what it was told."""
    if event["state"] == "START":
        wanted = {
            "toolUse": {
                "toolUseId": "calendar-1",
                "name": "ClientSideTools__open_calendar",
                "input": {"date": "2025-06-02"},
            }
        }
        return _decision(event, "INVOKE_TOOL", json.dumps(wanted), "asking the client")
    result = json.loads(event["input"]["text"])["toolResult"]
    return _decision(event, "FINISH", f"It says: {result['content'][0]['text']}")


def _decision(event, action, text, trace=None, attributes=None):
    context = event["context"]
    output = {"text": text}
    if trace is not None:
        output["trace"] = {"event": {"text": trace}}
    return {
        "version": "1.0",
        "actionEvent": action,
        "output": output,
        "context": {
            "sessionAttributes": context["sessionAttributes"] if attributes is None else attributes,
            "promptSessionAttributes": context["promptSessionAttributes"],
        },
    }


def _request(event):
    agent = event["context"]["agentConfiguration"]
    return {
        "modelId": agent["defaultModelId"],
        "system": [{"text": agent["instruction"]}],
        "messages": _messages(event),
        "inferenceConfig": {"maxTokens": 500, "temperature": 0, "topP": 0.9},
        "toolConfig": {"tools": agent["tools"]},
    }


def _messages(event):
    """The conversation, put together from the steps of all turns."""
    messages = []
    for turn in event["context"]["session"]:
        for step in turn["intermediarySteps"]:
            asked, answered = step["orchestrationInput"], step["orchestrationOutput"]
            if asked["state"] == "MODEL_INVOKED":
                messages.append(json.loads(asked["text"])["output"])
            else:
                messages.append({"role": "user", "content": [json.loads(asked["text"])]})
            if answered.get("event") == "INVOKE_TOOL":
                _say(messages, json.loads(answered["text"]))
    messages.append({"role": "user", "content": [json.loads(event["input"]["text"])]})
    return messages


def _say(messages, block):
    """Adds a tool use to what the assistant said last, unless it is there."""
    if messages[-1]["role"] != "assistant":
        messages.append({"role": "assistant", "content": []})
    if block not in messages[-1]["content"]:
        messages[-1]["content"].append(block)
