"""Checks what a server sent against the service model, more strictly than botocore does.

botocore ignores members it does not know; here they are errors, as are missing required members, wrong
types, enum values the model lacks, and exceptions or statuses an operation does not declare.
"""

import json
import re

ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$")

# Enum values that AWS sends though botocore's model lacks them.
KNOWN_BEYOND_MODEL = {("PromptType", "ROUTING_CLASSIFIER"), ("Type", "ACTION_GROUP_CODE_INTERPRETER")}

# Exceptions of the protocol itself, which no operation declares.
PROTOCOL_ERRORS = {
    "SerializationException": 400,
    "UnknownOperationException": 404,
    "UnrecognizedClientException": 403,
    "InvalidSignatureException": 403,
    "MissingAuthenticationTokenException": 403,
    "IncompleteSignatureException": 403,
    "AccessDeniedException": 403,
    "RequestEntityTooLargeException": 413,
}


def check_value(shape, value, path, errors):
    """Adds to `errors` whatever in `value` the shape does not allow."""
    kind = shape.type_name
    if value is None:
        errors.append(f"{path} is null")
    elif kind == "structure":
        if getattr(shape, "is_document_type", False):
            return
        if not isinstance(value, dict):
            errors.append(f"{path} is no object")
            return
        for name in sorted(set(value) - set(shape.members)):
            errors.append(f"{path}.{name} is not in the model")
        for name in shape.required_members:
            if name not in value:
                errors.append(f"{path}.{name} is required and missing")
        if getattr(shape, "is_tagged_union", False) and len(value) != 1:
            errors.append(f"{path} is a union with {len(value)} members")
        for name, member in value.items():
            if name in shape.members:
                check_value(shape.members[name], member, f"{path}.{name}", errors)
    elif kind == "list":
        if not isinstance(value, list):
            errors.append(f"{path} is no list")
            return
        for index, member in enumerate(value):
            check_value(shape.member, member, f"{path}[{index}]", errors)
    elif kind == "map":
        if not isinstance(value, dict):
            errors.append(f"{path} is no map")
            return
        for name, member in value.items():
            check_value(shape.key, name, f"{path} key", errors)
            check_value(shape.value, member, f"{path}.{name}", errors)
    else:
        check_scalar(shape, kind, value, path, errors)


def check_scalar(shape, kind, value, path, errors):
    """The same for a value without members."""
    if kind in ("string", "char", "blob"):
        if not isinstance(value, str):
            errors.append(f"{path} is no string")
        elif getattr(shape, "enum", None) and value not in shape.enum:
            if (shape.name, value) not in KNOWN_BEYOND_MODEL:
                errors.append(f"{path} has the value {value!r}, which {shape.name} lacks")
    elif kind in ("integer", "long"):
        if isinstance(value, bool) or not isinstance(value, int):
            errors.append(f"{path} is no integer")
    elif kind in ("float", "double"):
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            errors.append(f"{path} is no number")
    elif kind == "boolean":
        if not isinstance(value, bool):
            errors.append(f"{path} is no boolean")
    elif kind == "timestamp":
        if not isinstance(value, str) or not ISO.match(value):
            errors.append(f"{path} is no ISO 8601 time: {value!r}")
    else:
        errors.append(f"{path} has the type {kind}, which no check knows")


def check_output(operation, status, headers, body):
    """The errors of one successful response that is no event stream."""
    errors = []
    expected = operation.http.get("responseCode", 200)
    shape = operation.output_shape
    locations = {member.serialization.get("location") for member in shape.members.values()} if shape else set()
    if status != expected and "statusCode" not in locations:
        errors.append(f"status {status} instead of {expected}")
    if not headers.get("x-amzn-requestid"):
        errors.append("no x-amzn-requestid")
    if shape is not None and shape.serialization.get("payload"):
        return errors
    if status == 204 or shape is None:
        if body:
            errors.append("a 204 with a body")
        return errors
    bound = {name for name, member in shape.members.items() if member.serialization.get("location")}
    try:
        value = json.loads(body)
    except ValueError:
        return [*errors, f"the body is no JSON: {body[:200]!r}"]
    check_value(shape, {**{name: "" for name in bound}, **value}, operation.name, errors)
    return errors


def check_error(operation, status, headers, body):
    """The errors of one error response."""
    name = (headers.get("x-amzn-errortype") or "").partition(":")[0]
    if not name:
        return [f"status {status} without x-amzn-errortype"]
    errors = []
    try:
        value = json.loads(body)
    except ValueError:
        return [f"the error's body is no JSON: {body[:200]!r}"]
    shape = next((shape for shape in operation.error_shapes if shape.name == name), None)
    if shape is None:
        # Lambda checks constraints as every service does, and does not model what it answers then.
        constraint = name == "ValidationException" and status == 400 and operation.service_model.service_name == "lambda"
        if PROTOCOL_ERRORS.get(name) != status and not constraint:
            errors.append(f"{operation.name} does not declare {name} with {status}")
        if set(value) - {"message"}:
            errors.append(f"{name} has the members {sorted(value)}")
    else:
        declared = shape.metadata.get("error", {}).get("httpStatusCode")
        if declared != status:
            errors.append(f"{name} has the status {status} instead of {declared}")
        check_value(shape, value, name, errors)
    if not (value.get("message") or value.get("Message")):
        errors.append(f"{name} has no message")
    return errors


def check_event(operation, event_type, payload):
    """The errors of one event of an event stream."""
    stream = operation.get_event_stream_output()
    shape = stream.members.get(event_type)
    if shape is None:
        return [f"the event {event_type!r} is not in the model"]
    errors = []
    check_value(shape, json.loads(payload), event_type, errors)
    return errors
