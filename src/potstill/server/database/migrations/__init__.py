"""The steps in their order. A step that was released is never changed: what comes after it is another step."""

MIGRATIONS = (
    "m0001_access",
    "m0002_completions",
    "m0003_files",
    "m0004_models",
    "m0010_jobs",
    "m0011_evals",
    "m0012_batches",
    "m0020_sessions",
    "m0021_aliases",
    "m0022_client_secrets",
    "m0023_usage",
)
