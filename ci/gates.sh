#!/usr/bin/env bash
# What is checked without running anything.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

# silent runs a command, and fails if this fails or prints anything.
silent() {
	local output status=0
	echo "+ $*"
	output=$("$@") || status=$?
	if [[ -n $output ]]; then
		echo "$output"
		return 1
	fi
	return "$status"
}

silent gofmt -l .
in_modules run go vet ./...
in_modules run env GOOS=windows go vet ./...
# SSPI's structures differ with the size of a pointer.
for arch in 386 arm64; do
	run env GOOS=windows GOARCH="$arch" go vet ./schemes/negotiate/sspi
	run env GOOS=windows GOARCH="$arch" go build ./...
done
in_modules run env GOOS=darwin go vet ./...
in_modules silent go fix -diff ./...
in_modules run go mod tidy -diff
in_modules run go tool -modfile="$root/tools.mod" staticcheck ./...
