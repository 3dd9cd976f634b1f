"""A handler that breaks the contract on request: the turn's input names the case.

It needs nothing but the standard library and this file, for it is copied into the folders of functions; a
test that stands for a container calls it in its own process. What begins with `!` is not told by a reply.
"""

import json
import os
import time

STRICT_BYTES_MAX = 25 * 1024
RELAXED_BYTES_MAX = 6 * 1024 * 1024


def correct(event):
    """The reply that keeps the contract."""
    response = {"actionGroup": event["actionGroup"]}
    if "function" in event:
        response["function"] = event["function"]
        response["functionResponse"] = {"responseBody": {"TEXT": {"body": "all is well"}}}
    else:
        response |= {"apiPath": event["apiPath"], "httpMethod": event["httpMethod"], "httpStatusCode": 200}
        response["responseBody"] = {"application/json": {"body": "all is well"}}
    return {"messageVersion": "1.0", "response": response}


def bodies(reply):
    """The `responseBody` of a reply."""
    response = reply["response"]
    return response.get("functionResponse", response)["responseBody"]


def replaced(event, value):
    """A reply with its one body keyed or worded otherwise."""
    reply = correct(event)
    response = reply["response"]
    response.get("functionResponse", response)["responseBody"] = value
    return reply


def sized(event, size):
    """A correct reply of exactly this many bytes as JSON without spaces."""
    reply = correct(event)
    entry = next(iter(bodies(reply).values()))
    entry["body"] = ""
    entry["body"] = "x" * (size - len(written(reply)))
    return reply


def written(reply):
    """A reply as `awslambdaric` writes it."""
    return json.dumps(reply, ensure_ascii=False)


def within(event, **members):
    reply = correct(event)
    reply["response"] |= members
    return reply


def without(event, member):
    reply = correct(event)
    reply["response"].pop(member)
    return reply


def beside(event, **members):
    return correct(event) | members


def stated(event, state):
    reply = correct(event)
    response = reply["response"]
    response.get("functionResponse", response)["responseState"] = state
    return reply


def as_function(event):
    """A reply in the other form."""
    return correct({"actionGroup": event["actionGroup"], "function": "getStatus"})


def raises(_event):
    print("the order book is locked")
    raise RuntimeError("no order book")


def sleeps(_event):
    time.sleep(60)


def exits(_event):
    print("leaving for good")
    os._exit(3)


CASES = {
    "well": correct,
    "raises": raises,
    "sleeps": sleeps,
    "exits": exits,
    "a string": lambda event: "just text",
    "a list": lambda event: [correct(event)],
    "null": lambda event: None,
    "version": lambda event: beside(event, messageVersion="2.0"),
    "a number as version": lambda event: beside(event, messageVersion=1.0),
    "no response": lambda event: {"messageVersion": "1.0"},
    "a string as response": lambda event: {"messageVersion": "1.0", "response": "well"},
    "nested attribute": lambda event: beside(event, sessionAttributes={"cart": {"items": 2}}),
    "a list of attributes": lambda event: beside(event, sessionAttributes=["cart"]),
    "nested prompt attribute": lambda event: beside(event, promptSessionAttributes={"day": 1}),
    "group": lambda event: within(event, actionGroup="Others"),
    "no group": lambda event: without(event, "actionGroup"),
    "function": lambda event: within(event, function="other"),
    "path": lambda event: within(event, apiPath="/orders/A-1/status"),
    "as a function": as_function,
    "method": lambda event: within(event, httpMethod="PUT"),
    "method in lower case": lambda event: within(event, httpMethod=event["httpMethod"].lower()),
    "no body": lambda event: replaced(event, {}),
    "html": lambda event: replaced(event, {"text/html": {"body": "well"}}),
    "json": lambda event: replaced(event, {"application/json": {"body": "all is well"}}),
    "charset": lambda event: replaced(event, {"application/json; charset=utf-8": {"body": "well"}}),
    "an object as body": lambda event: replaced(event, {next(iter(bodies(correct(event)))): {"body": {"well": True}}}),
    "no text": lambda event: replaced(event, {next(iter(bodies(correct(event)))): {}}),
    "failure": lambda event: stated(event, "FAILURE"),
    "reprompt": lambda event: stated(event, "REPROMPT"),
    "an unknown state": lambda event: stated(event, "SUCCESS"),
    "500": lambda event: within(event, httpStatusCode=500),
    "503": lambda event: within(event, httpStatusCode=503),
    "404": lambda event: within(event, httpStatusCode=404),
    "200 as text": lambda event: within(event, httpStatusCode="200"),
    "words as status": lambda event: within(event, httpStatusCode="fine"),
    "25 KB": lambda event: sized(event, STRICT_BYTES_MAX),
    "over 25 KB": lambda event: sized(event, STRICT_BYTES_MAX + 1),
    "over 6 MB": lambda event: sized(event, RELAXED_BYTES_MAX + 1),
}


def handler(event, _context):
    return CASES[event["inputText"]](event)
