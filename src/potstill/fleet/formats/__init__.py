"""What publisher and device agree on: names of targets, releases, assignments, deltas and reports."""
