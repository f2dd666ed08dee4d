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

# Until Go 1.27, a run may fail for no other reason than that its time is over
# (https://go.dev/issue/75804). It is then run again, twice at most.
fuzz_target() {
	local package=$1 name=$2 log status attempt
	log=$(mktemp)
	for attempt in 1 2 3; do
		status=0
		run go test -run '^$' -fuzz "^$name\$" -fuzztime "${FUZZTIME:-5s}" "$package" 2>&1 | tee "$log" || status=$?
		((status != 0)) && ran_out_of_time "$log" || break
	done
	rm -f "$log"
	return "$status"
}

# ran_out_of_time reports whether the one thing that a log has against a target is
# the end of its time.
ran_out_of_time() {
	[[ $(grep -A 2 '^--- FAIL: ' "$1") =~ ^'--- FAIL: '[^$'\n']*$'\n    context deadline exceeded\nFAIL'$ ]]
}

fuzz() {
	local list target package name found
	list=$(targets)
	mapfile -t found <<<"$list"
	for target in "${found[@]}"; do
		read -r package name <<<"$target"
		# Without a target there is still one empty line.
		[[ -n $name ]] || continue
		fuzz_target "$package" "$name"
	done
}

in_modules fuzz
