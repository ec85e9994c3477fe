"""Tools that agents call: what a request may hold, what is answered, and the protocol (MCP) over pipes."""
