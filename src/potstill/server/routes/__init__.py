"""All endpoints, one file a resource; the ones that are used most stand first."""

from potstill.server.routes import chat_completions, files, fine_tuning, health, models, stored_completions
from potstill.server.web import routes as web

ENDPOINTS = (
    *chat_completions.ENDPOINTS,
    *stored_completions.ENDPOINTS,
    *files.ENDPOINTS,
    *fine_tuning.ENDPOINTS,
    *models.ENDPOINTS,
    *health.ENDPOINTS,
    *web.ENDPOINTS,
)
