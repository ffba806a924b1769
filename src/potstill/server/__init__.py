"""The server: OpenAI's distillation flow, self-hosted."""
