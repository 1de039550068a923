"""Argo CD of one cluster."""
