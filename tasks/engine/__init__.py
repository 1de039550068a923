"""How every flow runs: stages, locks, approval, events, artifacts. No task of a recipe is defined here."""
