"""A Model Context Protocol server over stdio with one tool, by hand: what a user's own might be.

It needs only the standard library, for it is started by the server under test.
"""

import json
import sys

TOOL = {
    "name": "translate",
    "description": "Translates a word.",
    "inputSchema": {
        "type": "object",
        "properties": {"word": {"type": "string", "description": "The word."}},
        "required": ["word"],
    },
}


def answer(method, parameters):
    """The result of one request."""
    if method == "initialize":
        return {
            "protocolVersion": parameters["protocolVersion"],
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "words", "version": "1"},
        }
    if method == "tools/list":
        return {"tools": [TOOL]}
    if method == "tools/call":
        word = parameters["arguments"]["word"]
        return {"content": [{"type": "text", "text": f"{word} means {word[::-1]}"}], "isError": False}
    return {}


def main():
    for line in sys.stdin:
        message = json.loads(line)
        if "id" in message and "method" in message:
            result = answer(message["method"], message.get("params") or {})
            print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}), flush=True)


if __name__ == "__main__":
    main()
