terraform {
  # No provider: the module only computes, so a plan shows its outputs and a test needs nothing outside.
  required_version = ">= 1.9"
}
