"""Talos through `talosctl`: configurations, bootstrap, health, teardown, and the read side for drift."""
