"""All endpoints, one file a resource; the ones that are used most stand first."""

from potstill.server.routes import files, health
from potstill.server.web import routes as web

ENDPOINTS = (*files.ENDPOINTS, *health.ENDPOINTS, *web.ENDPOINTS)
