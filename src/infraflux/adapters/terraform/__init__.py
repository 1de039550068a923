"""Terraform: plans that can be read and bound, applies that keep the state safe."""
