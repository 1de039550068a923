"""The outside programs InfraFlux runs: pinned, found on PATH or in the cache, else built from their Go modules."""
