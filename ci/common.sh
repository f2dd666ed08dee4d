# Sourced by the other scripts: strict mode, the repository's root as working
# directory, and what they share.
set -euo pipefail
shopt -s inherit_errexit
cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD

# Git refuses to stamp a checkout that belongs to another user, as in many
# containers, and no stamp is wanted here.
export GOFLAGS="${GOFLAGS:-} -buildvcs=false"

# run prints a command before it runs it.
run() {
	echo "+ $*"
	"$@"
}

# modules lists the directories of all modules, the root's first.
modules() {
	find . -name go.mod -not -path '*/testdata/*' -not -path '*/.*/*' -exec dirname {} + | sort
}

# in_modules calls a function, with arguments, in the directory of each module.
in_modules() {
	local dir dirs
	dirs=$(modules)
	for dir in $dirs; do
		echo "-- module $dir"
		cd "$root/$dir"
		"$@"
		cd "$root"
	done
}
