"""The Pythons that workers run in: our own, one a model names, or one made for it and kept.

Facts of an environment that ran (versions, machine) are `runner.system.environment`'s business.
"""
