# Where the Terraform states of environment prod are kept. This block goes into the working copy of each stack as it is;
# the place inside the backend (path, schema_name, key) is added per stack. `pg {}` and `s3 { bucket = ... }` are the
# usual choices for a team; their credentials come from the environment (PG_CONN_STR, AWS_*).
backend "local" {}
