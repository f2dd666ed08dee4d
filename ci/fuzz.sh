#!/usr/bin/env bash
# Runs each fuzz target for FUZZTIME, by default 5s.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

# targets prints package and name of each fuzz target of the module in the
# working directory. go test lists the names of a package before its "ok" line.
targets() {
	local list
	list=$(go test -list '^Fuzz' ./...)
	awk '
		/^Fuzz/ { names[n++] = $1 }
		/^ok/ { for (i = 0; i < n; i++) print $2, names[i]; n = 0 }
	' <<<"$list"
}

fuzz() {
	local list target package name found
	list=$(targets)
	mapfile -t found <<<"$list"
	for target in "${found[@]}"; do
		read -r package name <<<"$target"
		# Without a target there is still one empty line.
		[[ -n $name ]] || continue
		run go test -run '^$' -fuzz "^$name\$" -fuzztime "${FUZZTIME:-5s}" "$package"
	done
}

in_modules fuzz
