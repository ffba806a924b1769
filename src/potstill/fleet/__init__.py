"""Students onto devices, and kept up to date.

`formats` is what both sides agree on, `publisher` signs and rolls out, `device` verifies, switches and reports. The two
sides never import each other: a device carries no code that signs releases, a publisher none that trusts a server.
"""
