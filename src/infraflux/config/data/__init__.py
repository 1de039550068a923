"""Data files of the configuration."""
