"""Releases and their way from environment to environment: pure decisions over what was recorded and seen."""
