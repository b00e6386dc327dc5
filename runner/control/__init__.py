"""Queue requests from other terminals: transport, dispatch and handlers.

A running supervisor listens on a socket that only its user may open, and it is the only writer. If
no supervisor runs, the client takes the database lock and executes the request itself.
"""
