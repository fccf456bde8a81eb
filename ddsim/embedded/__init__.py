"""A DeepDetect-compatible server in Python, for machines without Docker, tests and demonstrations."""
