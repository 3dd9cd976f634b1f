"""Requests as bytes, for what no SDK would send: an input is put on the wire as the model says, unchecked."""

import http.client
import json
import re
import urllib.parse


class Raw:
    """One connection that is kept open."""

    def __init__(self, server):
        self.connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)

    def close(self):
        self.connection.close()

    def send(self, model, operation, value):
        """Sends an input; (status, exception's name or None, body as JSON, None if it is an event stream)."""
        method, target, headers, body = written(model, operation, value)
        self.connection.request(method, target, body=body, headers=headers)
        answer = self.connection.getresponse()
        data = answer.read()
        name = (answer.getheader("x-amzn-errortype") or "").partition(":")[0] or None
        streams = answer.getheader("content-type") == "application/vnd.amazon.eventstream"
        return answer.status, name, json.loads(data) if data and not streams else None


def written(model, operation, value):
    """Method, target, headers and body of an input."""
    labels, query, headers, body = {}, [], {}, {}
    members = model.shapes[operation.input].members if operation.input else {}
    for name, given in value.items():
        row = members.get(name, {})
        place, wire_name = row.get("location"), row.get("locationName", name)
        if place == "uri":
            labels[wire_name] = urllib.parse.quote(text(given), safe="")
        elif place == "querystring":
            query += [(wire_name, text(one)) for one in (given if isinstance(given, list) else [given])]
        elif place == "header":
            headers[wire_name] = text(given)
        else:
            body[wire_name] = given
    target = re.sub(r"\{(\w+)\+?\}", lambda found: labels[found.group(1)], operation.uri)
    if query:
        target += "?" + urllib.parse.urlencode(query, quote_via=urllib.parse.quote)
    if operation.method in ("GET", "DELETE") and not body:
        return operation.method, target, headers, None
    headers["content-type"] = "application/json"
    return operation.method, target, headers, json.dumps(body).encode()


def text(value):
    """A scalar outside the body."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
