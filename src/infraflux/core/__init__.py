"""What everything stands on: errors, outcomes, files, processes, locks. Imports nothing of ours; the lab may use it."""
