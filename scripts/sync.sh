#!/bin/sh
# Installs requirements/lock.txt into .venv with uv, as pip would: uv does not read pip's configuration, so an index mirror and a
# certificate configured for pip are handed on, and certificates that this machine trusts are trusted.
set -e
setting() { .venv/bin/pip --disable-pip-version-check config get "global.$1" 2> /dev/null || true; }

index=${UV_DEFAULT_INDEX:-${UV_INDEX_URL:-${PIP_INDEX_URL:-$(setting index-url)}}}
[ -z "$index" ] || export UV_DEFAULT_INDEX="$index"
certificate=${SSL_CERT_FILE:-${PIP_CERT:-$(setting cert)}}
[ -z "$certificate" ] || export SSL_CERT_FILE="$certificate"
if [ -e /etc/ssl/certs/ca-certificates.crt ] || [ -e /etc/pki/tls/certs/ca-bundle.crt ]; then
    export UV_SYSTEM_CERTS="${UV_SYSTEM_CERTS:-1}"
fi

echo 'installing requirements/lock.txt; the first time this downloads some GB (torch)'
# empy is the one dependency without a wheel; the pinned tools of bootstrap.txt build it.
# Bytecode is made once, here: where Python may not write it later (PYTHONDONTWRITEBYTECODE), every process compiles all it imports (torch) anew.
exec .venv/bin/uv pip sync --python .venv --compile-bytecode --require-hashes --only-binary :all: --no-binary empy --no-build-isolation requirements/lock.txt
