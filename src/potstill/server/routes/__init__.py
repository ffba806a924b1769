"""All endpoints, one file a resource; the ones that are used most stand first."""

from potstill.server.routes import files, health

ENDPOINTS = (*files.ENDPOINTS, *health.ENDPOINTS)
