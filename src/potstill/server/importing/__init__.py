"""What was made elsewhere comes here: completions, evals with their runs, fine-tuning jobs, and other tools' tests."""
