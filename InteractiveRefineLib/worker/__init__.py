"""The library in a process of its own: wire format, server, client, and what starts the process."""
