"""HTTP/1.1 over sockets: what goes out, what comes in, and pools of connections."""
