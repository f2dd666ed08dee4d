#!/usr/bin/env bash
# All tests: first as the README says, then with all variants of those that run a sample
# otherwise, then with the real proxies required and the race detector on.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

unset PROXYAUTH_INTEROP PROXYAUTH_THOROUGH
in_modules run go test ./...
run env PROXYAUTH_THOROUGH=1 go test ./cmd/proxyauth ./credentials ./internal/boundedfile ./internal/e2e ./internal/lockout \
	./internal/testproxy/ntlmserver ./schemes/negotiate/internal/krb
# The race detector on a busy machine takes a large part of the 10 minutes that a
# package has by default.
in_modules run env PROXYAUTH_INTEROP=required PROXYAUTH_THOROUGH=1 go test -race -shuffle=on -timeout 25m ./...
run go run ./examples/quickstart
