"""The background service: Prefect server, worker, warm engine and watch, kept running by supervisord on loopback."""
