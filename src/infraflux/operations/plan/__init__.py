"""The one plan of a run: a pure function of what is wanted and what was seen. Nothing here asks or acts."""
