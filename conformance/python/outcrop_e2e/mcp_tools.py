"""A real MCP server for the tests: `python mcp_tools.py stdio` or `python mcp_tools.py http PORT`.

Over HTTP, `/seen` tells which headers came with the requests and which calls were cancelled.
"""

import asyncio
import json
import os
import sys
from typing import Annotated, Literal

from mcp.server import MCPServer
from mcp.server.mcpserver import Context, Image
from mcp.server.mcpserver.exceptions import ToolError
from pydantic import BaseModel, Field

SEEN = {"authorization": [], "cancelled": []}
server = MCPServer("orders")


class Guest(BaseModel):
    """Who stays."""

    name: str
    nights: int


@server.tool(name="get_order_status")
def get_order_status(order_id: Annotated[str, Field(description="Such as A-482.")]) -> str:
    """Looks up the shipping status of an order."""
    return f"order {order_id} is shipped"


@server.tool()
def add(a: int, b: int = 1) -> int:
    """Adds two numbers."""
    return a + b


@server.tool()
def book(guest: Guest, board: Literal["half", "full"] = "half", tags: list[str] = []) -> str:  # noqa: B006
    """Books a stay."""
    return json.dumps({"guest": guest.model_dump(), "board": board, "tags": tags})


@server.tool(name="orders.refuse")
def refuse(reason: str) -> str:
    """Always refuses."""
    raise ToolError(f"no: {reason}")


@server.tool()
def picture() -> Image:
    """Draws."""
    return Image(data=b"\x89PNG1234", format="png")


@server.tool()
def die() -> str:
    """Ends the server."""
    print("dying now", file=sys.stderr, flush=True)
    os._exit(3)


@server.tool()
async def wait(file: str) -> str:
    """Waits until it is cancelled, and writes that down."""
    with open(file, "w") as out:
        out.write("waiting")
    try:
        await asyncio.sleep(60)
    finally:
        with open(file, "w") as out:
            out.write("cancelled")
    return "done"


@server.tool()
async def grow(context: Context) -> str:
    """Adds a tool and says so."""
    server.add_tool(lambda: "grown", name="grown", description="Came later.")
    await context.session.send_tool_list_changed()
    return "ok"


def main():
    print("mcp tools starting", file=sys.stderr, flush=True)
    if sys.argv[1] == "stdio":
        server.run("stdio")
        return
    import uvicorn
    from starlette.responses import JSONResponse

    app = server.streamable_http_app()

    async def guarded(scope, receive, send):
        if scope["type"] == "http":
            headers = {name.decode(): value.decode() for name, value in scope["headers"]}
            if scope["path"] == "/seen":
                return await JSONResponse(SEEN)(scope, receive, send)
            SEEN["authorization"].append(headers.get("authorization"))
            if os.environ.get("WANTS") and headers.get("authorization") != os.environ["WANTS"]:
                refusal = JSONResponse({}, status_code=401, headers={"www-authenticate": "Bearer"})
                return await refusal(scope, receive, send)
        return await app(scope, receive, send)

    uvicorn.run(guarded, host="127.0.0.1", port=int(sys.argv[2]), log_level="warning")


if __name__ == "__main__":
    main()
