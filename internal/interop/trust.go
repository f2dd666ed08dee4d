package interop

import (
	"fmt"
	"testing"
)

// ServiceRealm is the realm of the proxies behind [StartTrust].
const ServiceRealm = "SERVICES.EXAMPLE.NET"

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
	users.ConfigFile = users.config("kdc.krb5.conf", services.asOther()+services.domainRealm())
	users.Restart(t)
	services.Restart(t)
	users.ConfigFile = users.config("referred.krb5.conf", services.asOther())
	return users, services
}

// Mapped returns the path of a krb5.conf of k's clients that names the realm of the proxies.
func (k *KDC) Mapped(t testing.TB, services *KDC) string {
	t.Helper()
	return k.config("mapped.krb5.conf", services.asOther()+services.domainRealm())
}

// asOther returns the lines of a krb5.conf that lead to k from another realm.
func (k *KDC) asOther() string { return fmt.Sprintf(otherRealmText, k.realm, k.addr) }

// domainRealm returns the lines of a krb5.conf that say that the proxies are in k's realm.
func (k *KDC) domainRealm() string { return fmt.Sprintf(domainRealmText, ProxyHost, k.realm) }

// config writes a krb5.conf with more sections.
func (k *KDC) config(name, more string) string {
	text := fmt.Sprintf(krb5ConfText, k.realm, k.addr, k.dir.path) + more
	return k.dir.Write(name, text)
}
