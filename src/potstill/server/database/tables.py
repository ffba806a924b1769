"""The tables as they are now; each is defined in the migration that makes it."""

from __future__ import annotations

from sqlalchemy import MetaData

from potstill.server.database.migrations import (
    m0001_access,
    m0002_completions,
    m0003_files,
    m0004_models,
    m0010_jobs,
    m0011_evals,
    m0012_batches,
    m0020_sessions,
    m0021_aliases,
    m0022_client_secrets,
    m0023_usage,
)

METADATA = MetaData()

projects = m0001_access.projects(METADATA)
keys = m0001_access.keys(METADATA)
completions = m0002_completions.completions(METADATA)
completion_metadata = m0002_completions.completion_metadata(METADATA)
files = m0003_files.files(METADATA)
uploads = m0003_files.uploads(METADATA)
upload_parts = m0003_files.upload_parts(METADATA)
models = m0004_models.models(METADATA)
jobs = m0010_jobs.jobs(METADATA)
job_events = m0010_jobs.job_events(METADATA)
job_checkpoints = m0010_jobs.job_checkpoints(METADATA)
evals = m0011_evals.evals(METADATA)
eval_runs = m0011_evals.eval_runs(METADATA)
eval_items = m0011_evals.eval_items(METADATA)
batches = m0012_batches.batches(METADATA)
batch_lines = m0012_batches.batch_lines(METADATA)
sessions = m0020_sessions.sessions(METADATA)
aliases = m0021_aliases.aliases(METADATA)
client_secrets = m0022_client_secrets.client_secrets(METADATA)
usage = m0023_usage.usage(METADATA)
