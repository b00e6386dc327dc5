"""Faults on purpose: are they survived on this machine, by the very parts a sweep is run with?

It proves the kill and the store, not models: no model library is ever loaded here.
"""
