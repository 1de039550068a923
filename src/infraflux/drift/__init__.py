"""Drift: what was seen against what is wanted, over all layers, as findings with a class and an owner.

Pure functions over what the adapters read. Nothing in this package asks or changes anything.
"""
