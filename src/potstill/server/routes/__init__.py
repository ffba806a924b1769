"""All endpoints, one file a resource; the ones that are used most stand first."""

from potstill.server.routes import (
    batches,
    chat_completions,
    datasets,
    eval_runs,
    evals,
    files,
    fine_tuning,
    graders,
    health,
    keys,
    models,
    responses,
    stored_completions,
    text_completions,
    uploads,
)
from potstill.server.web import routes as web

ENDPOINTS = (
    *chat_completions.ENDPOINTS,
    *stored_completions.ENDPOINTS,
    *text_completions.ENDPOINTS,
    *responses.ENDPOINTS,
    *files.ENDPOINTS,
    *uploads.ENDPOINTS,
    *fine_tuning.ENDPOINTS,
    *graders.ENDPOINTS,
    *batches.ENDPOINTS,
    *evals.ENDPOINTS,
    *eval_runs.ENDPOINTS,
    *models.ENDPOINTS,
    *datasets.ENDPOINTS,
    *keys.ENDPOINTS,
    *health.ENDPOINTS,
    *web.ENDPOINTS,
)
