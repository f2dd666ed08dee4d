package interop

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A Trust is how a domain trusts another realm, and is trusted by it.
type Trust string

// The trusts. They are the values of trustAttributes (MS-ADTS, Section 6.1.6.7.9).
const (
	// ExternalTrust is between two realms alone: the domain's KDC issues tickets for the other's
	// to those who ask, and refers nobody there.
	ExternalTrust Trust = "0"

	// ForestTrust covers all names below that of the other realm: the domain's KDC refers who
	// asks for a service there.
	ForestTrust Trust = "8"
)

// trustScript writes the object of a trust into the domain's database: of "samba-tool domain
// trust", the other side has to be a domain controller. Of the type for realms of MIT Kerberos
// Samba's KDC takes no notice, so that the type is that for domains, which have a SID.
const trustScript = `
import sys
from ldb import SCOPE_ONELEVEL
from samba import current_unix_time, unix2nttime
from samba.auth import system_session
from samba.dcerpc import drsblobs, lsa, security
from samba.ndr import ndr_pack
from samba.param import LoadParm
from samba.samdb import SamDB

def opened(config):
    params = LoadParm(config)
    return SamDB(params.private_path("sam.ldb"), session_info=system_session(), lp=params)

config, realm, other, attributes, secret = sys.argv[1:]
db = opened(config)
sid = opened(other).get_domain_sid() if other else "S-1-5-21-1-2-3"

text = secret.encode("utf-16-le")
clear = drsblobs.AuthInfoClear()
clear.size, clear.password = len(text), list(text)
info = drsblobs.AuthenticationInformation()
info.LastUpdateTime = unix2nttime(current_unix_time())
info.AuthType = lsa.TRUST_AUTH_TYPE_CLEAR
info.AuthInfo = clear
current = drsblobs.AuthenticationInformationArray()
current.count, current.array = 1, [info]
both = drsblobs.trustAuthInOutBlob()
both.count, both.current = 1, current

system = db.get_default_basedn()
system.add_child("CN=System")
for old in db.search(system, SCOPE_ONELEVEL, "(objectClass=trustedDomain)"):
    db.delete(old.dn, ["relax:0"])
db.add({
    "dn": "CN=%s,%s" % (realm.lower(), system),
    "objectClass": "trustedDomain",
    "trustPartner": realm.lower(),
    "flatName": realm.split(".")[0],
    "securityIdentifier": ndr_pack(security.dom_sid(sid)),
    "trustType": str(lsa.LSA_TRUST_TYPE_UPLEVEL),
    "trustDirection": str(lsa.LSA_TRUST_DIRECTION_INBOUND | lsa.LSA_TRUST_DIRECTION_OUTBOUND),
    "trustAttributes": attributes,
    "msDS-SupportedEncryptionTypes": str(security.KERB_ENCTYPE_AES128_CTS_HMAC_SHA1_96 | security.KERB_ENCTYPE_AES256_CTS_HMAC_SHA1_96),
    "trustAuthIncoming": ndr_pack(both),
    "trustAuthOutgoing": ndr_pack(both),
}, ["relax:0"])
`

// StartDomainTrust starts a domain, that of the accounts, and the KDC of a realm, that of the
// proxies, which trust each other. See [Domain.Trust] for what the domain's KDC knows of that.
func StartDomainTrust(t testing.TB, accounts ...Account) (users *Domain, services *KDC) {
	t.Helper()
	users, services = newDomain(t, DomainRealm, kdcService, accounts...), newKDC(t, KerberosRealm)
	services.addProxy(t)
	for _, way := range []string{services.realm + "@" + DomainRealm, DomainRealm + "@" + services.realm} {
		services.admin(t, "addprinc", "-pw", trustPassword, "krbtgt/"+way)
	}
	users.ConfigFile = users.clientConfig(krb5Conf, services.asOther())
	users.Trust(t, services, ForestTrust)
	users.start(t)
	services.Restart(t)
	return users, services
}

// StartForestTrust starts two domains, that of the accounts and that of the proxies, which trust
// each other.
func StartForestTrust(t testing.TB, accounts ...Account) (users, services *Domain) {
	t.Helper()
	users, services = newDomain(t, DomainRealm, kdcService, accounts...), newDomain(t, KerberosRealm, kdcService)
	services.addProxy(t)
	users.Trust(t, services, ForestTrust)
	services.Trust(t, users, ForestTrust)
	users.ConfigFile = users.clientConfig(krb5Conf, fmt.Sprintf(otherRealmText, services.realm, services.kdc))
	users.start(t)
	services.start(t)
	return users, services
}

// A Trustee is what a domain may trust: a [KDC] or another [Domain].
type Trustee interface {
	// database returns the realm, and the smb.conf of a domain, "" for another realm.
	database() (realm, config string)
}

func (k *KDC) database() (realm, config string)    { return k.realm, "" }
func (d *Domain) database() (realm, config string) { return d.realm, d.config }

// Trust makes the domain trust another realm in place of those that it trusted before. The
// domain's controller may run.
func (d *Domain) Trust(t testing.TB, other Trustee, trust Trust) {
	t.Helper()
	realm, config := other.database()
	cmd := exec.CommandContext(t.Context(), sambaPython(t), "-c", trustScript, d.config, realm, config, string(trust), trustPassword)
	output, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", output)
}

// sambaPython returns the Python that has Samba's packages, which need not be the first one.
func sambaPython(t testing.TB) string {
	t.Helper()
	tool, err := os.Open(Program(t, "samba-tool"))
	require.NoError(t, err)
	defer tool.Close()
	line, err := bufio.NewReader(tool).ReadString('\n')
	require.NoError(t, err)
	words := strings.Fields(strings.TrimPrefix(line, "#!"))
	return Program(t, words[len(words)-1])
}

// Mapped returns the path of a krb5.conf of d's clients that names the realm of the proxies.
func (d *Domain) Mapped(t testing.TB, services *KDC) string {
	t.Helper()
	return d.clientConfig("mapped.krb5.conf", services.asOther()+services.domainRealm())
}

// clientConfig writes a krb5.conf that leads to the domain's KDC, with more sections.
func (d *Domain) clientConfig(name, more string) string {
	return d.dir.clientConfig(name, d.realm, d.kdc, more)
}
