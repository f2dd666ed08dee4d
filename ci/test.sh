#!/usr/bin/env bash
# All tests: first as the README says, then with the real proxies required and
# the race detector on.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

unset PROXYAUTH_INTEROP
in_modules run go test ./...
in_modules run env PROXYAUTH_INTEROP=required go test -race -shuffle=on ./...
run go run ./examples/quickstart
