"""What the end-to-end tests share: processes, clients, and checks on the bytes they receive."""

from pathlib import Path


def mcp_tools_path():
    """The program of the tests' MCP server."""
    return str(Path(__file__).with_name("mcp_tools.py"))
