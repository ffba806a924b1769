"""Fine-tuning jobs: a queue in the database, a supervisor, and a child process for each job."""
