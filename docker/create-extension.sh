#!/bin/sh
# Run once by the image's entrypoint, when it has made a database cluster: the
# extension, and with SKYVAULT_S3_ENDPOINT a server "vault" on that bucket, for
# which SKYVAULT_S3_BUCKET, _REGION, _ACCESS_KEY_ID and _SECRET_ACCESS_KEY have to
# be set as well.
set -eu

run_psql() {
	psql -v ON_ERROR_STOP=1 -X -q --username "$POSTGRES_USER" --dbname "$POSTGRES_DB"
}

run_psql <<'END'
CREATE EXTENSION skyvault;
END

if [ -n "${SKYVAULT_S3_ENDPOINT:-}" ]; then
	run_psql <<'END'
\getenv endpoint SKYVAULT_S3_ENDPOINT
\getenv bucket SKYVAULT_S3_BUCKET
\getenv region SKYVAULT_S3_REGION
\getenv id SKYVAULT_S3_ACCESS_KEY_ID
\getenv secret SKYVAULT_S3_SECRET_ACCESS_KEY
SELECT 's3://' || :'bucket' || '/' || current_database() AS url \gset
CREATE SERVER vault FOREIGN DATA WRAPPER skyvault
	OPTIONS (url :'url', endpoint :'endpoint', region :'region', path_style 'on');
CREATE USER MAPPING FOR CURRENT_USER SERVER vault
	OPTIONS (access_key_id :'id', secret_access_key :'secret');
END
fi
