"""The dashboard's endpoints, one file a place."""

from potstill.server.web.routes import door, keys

ENDPOINTS = (*door.ENDPOINTS, *keys.ENDPOINTS)
