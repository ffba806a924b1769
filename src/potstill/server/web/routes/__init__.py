"""The dashboard's endpoints, one file a place."""

from potstill.server.web.routes import distil, door, evals, files, fleet, jobs, keys, logs, models

ENDPOINTS = (
    *door.ENDPOINTS,
    *logs.ENDPOINTS,
    *distil.ENDPOINTS,
    *jobs.ENDPOINTS,
    *evals.ENDPOINTS,
    *models.ENDPOINTS,
    *files.ENDPOINTS,
    *fleet.ENDPOINTS,
    *keys.ENDPOINTS,
)
