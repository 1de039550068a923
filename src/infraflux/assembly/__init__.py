"""Puts what the renders made into the adapters that act with it: what the CLI and the tasks both start from.

Renders and adapters do not know each other; this is the one place that knows both.
"""
