"""Requests from other terminals: how they reach the queue, and what each does to it.

A running supervisor listens on a socket that only its user may use, and is the only one who
writes. Where none runs, the asking command takes the database's lock and does the same itself.
"""
