"""Reads the demonstration's result line and fails when the student is worse than promised."""

import json
import sys

result = json.load(sys.stdin)
student, control = result["student"]["accuracy"], result["control"]["accuracy"]
print(f"demo: student {student:.4f}, control {control:.4f}, verdict {result['verdict']}")
assert student >= 0.948, f"the student reached {student:.4f}; 0.948 is promised"
assert result["verdict"] == "gain", f"the verdict is {result['verdict']}"
