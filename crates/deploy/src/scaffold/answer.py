

def answer(event: dict[str, Any], operations: dict[tuple[str, str], tuple[Any, Callable]]) -> dict[str, Any]:
    """Does what a call asks for and gives the reply in the form that agents take."""
    arguments_type, work = operations[event["actionGroup"], key_of(event)]
    call = Call(
        event,
        dict(event.get("sessionAttributes") or {}),
        dict(event.get("promptSessionAttributes") or {}),
    )
    status, state = 200, None
    try:
        result = work(arguments_type.read(Given(event)), call)
    except (ArgumentError, Reprompt) as error:
        result, status, state = str(error), 400, "REPROMPT"
    except Failure as error:
        result, status, state = str(error), 500, "FAILURE"
    response = {"actionGroup": event["actionGroup"]}
    if "function" in event:
        body = result if isinstance(result, str) else json.dumps(result, default=str)
        reply = {"responseBody": {"TEXT": {"body": body}}}
        if state:
            reply["responseState"] = state
        response.update(function=event["function"], functionResponse=reply)
    else:
        body = json.dumps(result, default=str)
        response.update(
            apiPath=event["apiPath"],
            httpMethod=event["httpMethod"],
            httpStatusCode=status,
            responseBody={"application/json": {"body": body}},
        )
    return {
        "messageVersion": "1.0",
        "response": response,
        "sessionAttributes": call.session_attributes,
        "promptSessionAttributes": call.prompt_session_attributes,
    }
