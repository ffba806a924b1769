"""The dashboard's endpoints, one file a place."""

from potstill.server.web.routes import door, keys, logs

ENDPOINTS = (*door.ENDPOINTS, *logs.ENDPOINTS, *keys.ENDPOINTS)
