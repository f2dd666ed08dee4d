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
	# ... Windows' SSPI, and a DLL that Go needs there
	wine wine64 binutils-mingw-w64-x86-64
	# internal/testproxy/spnegoserver: other clients of SPNEGO
	curl python3-gssapi
	# credentials, credentials/keyring
	git
	dbus-daemon gnome-keyring libsecret-tools
)

# KCM daemons. They are unpacked, since their installation would start one of them, and edit
# nsswitch.conf and PAM. Their other libraries come with the packages above.
daemons=(
	sssd-kcm sssd-common libbasicobjects0 libcollection4 libdhash1 libini-config5 libpath-utils1 libref-array1
	libc-ares2 libnl-3-200 libnl-route-3-200 libsss-certmap0 libsss-idmap0 libsss-nss-idmap0
	heimdal-kcm libasn1-8-heimdal libhcrypto5-heimdal libheimbase1-heimdal libheimntlm0-heimdal
	libhx509-5-heimdal libkrb5-26-heimdal libroken19-heimdal libwind0-heimdal
)
unpacked=/usr/local/lib/proxyauth-kcm

# unpack_daemons needs the lists of packages that apt-get update fetches.
unpack_daemons() {
	local temporary=$unpacked.new
	rm -rf "$temporary"
	mkdir -p "$temporary/packages"
	# apt-get gives up its privileges for the download.
	chown _apt "$temporary/packages"
	(cd "$temporary/packages" && run apt-get -q -o Acquire::Retries=3 download "${daemons[@]}")
	for package in "$temporary"/packages/*.deb; do
		dpkg -x "$package" "$temporary"
	done
	rm -r "$temporary/packages"
	mv "$temporary" "$unpacked"
}

is_installed() {
	[[ $(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null) == installed ]]
}

missing=()
for package in "${packages[@]}"; do
	is_installed "$package" || missing+=("$package")
done
if ((${#missing[@]} == 0)) && [[ -d $unpacked ]]; then
	echo "all of ${packages[*]} are installed, ${daemons[*]} are unpacked"
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
if ((${#missing[@]} != 0)); then
	run apt-get -q -o Acquire::Retries=3 -o Dpkg::Use-Pty=0 install -y --no-install-recommends "${missing[@]}"
fi
[[ -d $unpacked ]] || unpack_daemons
