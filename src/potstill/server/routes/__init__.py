"""All endpoints, one file a resource; the ones that are used most stand first."""

from potstill.server.routes import files, fine_tuning, health

ENDPOINTS = (*files.ENDPOINTS, *fine_tuning.ENDPOINTS, *health.ENDPOINTS)
