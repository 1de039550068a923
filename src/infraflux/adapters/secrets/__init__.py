"""Talos secrets at rest: one age-encrypted bundle per cluster, made once, never over an existing one."""
