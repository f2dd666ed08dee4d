#!/usr/bin/env bash
# Installs, on Debian and as root, what the tests with real proxies and other real
# programs need, and the race detector. Nothing is left running as a service.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

packages=(
	# The race detector needs cgo.
	gcc libc6-dev
	# internal/interop
	apache2 libapache2-mod-auth-gssapi squid tinyproxy
	krb5-kdc krb5-admin-server krb5-user
	# ... ntlm_auth, and a domain controller that it can ask
	winbind samba-ad-dc samba-ad-provision libnss-wrapper
	# internal/testproxy/spnegoserver: other clients of SPNEGO
	curl python3-gssapi
	# credentials, credentials/keyring
	git
	dbus-daemon gnome-keyring libsecret-tools
)

is_installed() {
	[[ $(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null) == installed ]]
}

missing=()
for package in "${packages[@]}"; do
	is_installed "$package" || missing+=("$package")
done
if ((${#missing[@]} == 0)); then
	echo "all of ${packages[*]} are installed"
	exit 0
fi

# Debian's packages start their services unless this file says no. Where there
# is one already, as in containers, it stays as it is.
policy=/usr/sbin/policy-rc.d
if [[ ! -e $policy ]]; then
	trap 'rm -f "$policy"' EXIT
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod 755 "$policy"
fi

export DEBIAN_FRONTEND=noninteractive
run apt-get -q -o Acquire::Retries=3 update
run apt-get -q -o Acquire::Retries=3 -o Dpkg::Use-Pty=0 install -y --no-install-recommends "${missing[@]}"
