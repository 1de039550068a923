"""What the product can do to a cluster: open, plan, execute, bootstrap, hand over, check drift, promote.

Joins renders and adapters, which do not know each other, and decides in pure functions of what was seen.
"""
