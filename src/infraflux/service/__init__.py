"""The background service: Prefect server, worker, fork server and watchdog, kept running by supervisord on loopback."""
