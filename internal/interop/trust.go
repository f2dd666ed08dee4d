package interop

import (
	"fmt"
	"testing"
)

const (
	// ServiceRealm is the realm of the proxies behind [StartTrust].
	ServiceRealm = "SERVICES.EXAMPLE.NET"

	// betweenRealm is the realm in the middle of a [StartTrustChain].
	betweenRealm = "BETWEEN.EXAMPLE.ORG"
)

// trustPassword makes the keys that two realms share.
const trustPassword = "shared by two realms"

// What leads from one realm to another, in addition to krb5ConfText.
const otherRealmText = `[realms]
	%[1]s = {
		kdc = %[2]s
	}
`

const domainRealmText = `[domain_realm]
	%[1]s = %[2]s
`

// StartTrust starts the KDCs of two realms, of which users, that of the accounts, is trusted by
// services, that of the proxies. The users' KDC knows in which realm the proxies are, and refers
// clients there.
func StartTrust(t testing.TB, accounts ...Account) (users, services *KDC) {
	t.Helper()
	users, services = newKDC(t, KerberosRealm, accounts...), newKDC(t, ServiceRealm)
	services.addProxy(t)
	for _, k := range []*KDC{users, services} {
		k.admin(t, "addprinc", "-pw", trustPassword, "krbtgt/"+services.realm+"@"+users.realm)
	}
	users.ConfigFile = users.clientConfig("kdc.krb5.conf", services.asOther()+services.domainRealm())
	users.Restart(t)
	services.Restart(t)
	users.ConfigFile = users.clientConfig("referred.krb5.conf", services.asOther())
	return users, services
}

const capathsText = `[capaths]
	` + KerberosRealm + ` = {
		` + ServiceRealm + ` = ` + betweenRealm + `
	}
`

// StartTrustChain starts the KDCs of three realms: services, that of the proxies, trusts another
// one, which trusts users, that of the accounts. The users' KDC knows nothing of the services'
// realm; the path there is in the krb5.conf of its clients.
func StartTrustChain(t testing.TB, accounts ...Account) (users, services *KDC) {
	t.Helper()
	users, services = newKDC(t, KerberosRealm, accounts...), newKDC(t, ServiceRealm)
	between := newKDC(t, betweenRealm)
	services.addProxy(t)
	for _, trust := range [][2]*KDC{{users, between}, {between, services}} {
		for _, k := range trust {
			k.admin(t, "addprinc", "-pw", trustPassword, "krbtgt/"+trust[1].realm+"@"+trust[0].realm)
		}
	}
	services.ConfigFile = services.clientConfig("transit.krb5.conf", capathsText)
	for _, k := range []*KDC{users, between, services} {
		k.Restart(t)
	}
	users.ConfigFile = users.clientConfig("path.krb5.conf", between.asOther()+services.asOther()+services.domainRealm()+capathsText)
	return users, services
}

// Mapped returns the path of a krb5.conf of k's clients that names the realm of the proxies.
func (k *KDC) Mapped(t testing.TB, services *KDC) string {
	t.Helper()
	return k.clientConfig("mapped.krb5.conf", services.asOther()+services.domainRealm())
}

// asOther returns the lines of a krb5.conf that lead to k from another realm.
func (k *KDC) asOther() string { return fmt.Sprintf(otherRealmText, k.realm, k.addr) }

// domainRealm returns the lines of a krb5.conf that say that the proxies are in k's realm.
func (k *KDC) domainRealm() string { return fmt.Sprintf(domainRealmText, ProxyHost, k.realm) }

// clientConfig writes a krb5.conf that leads to k, with more sections.
func (k *KDC) clientConfig(name, more string) string {
	return k.dir.clientConfig(name, k.realm, k.addr, more)
}

// clientConfig writes a krb5.conf that leads to the KDC of a realm, with more sections.
func (d *Dir) clientConfig(name, realm, addr, more string) string {
	d.t.Helper()
	return d.Write(name, fmt.Sprintf(krb5ConfText, realm, addr, d.path)+more)
}
