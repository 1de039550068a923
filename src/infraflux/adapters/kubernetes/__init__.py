"""The Kubernetes API of one cluster."""
