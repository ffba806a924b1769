"""The device's half: verify, install beside what runs, test, switch, watch, keep or go back, report."""
