package interop

import "testing"

// A TicketIssuer is what issues tickets for the proxies: a [KDC] or a [Domain].
type TicketIssuer interface {
	// Env is the environment of the proxies.
	Env() []string

	// configFile is the path of the krb5.conf that leads to it.
	configFile() string

	proxyKeytab() string
}

func (k *KDC) configFile() string    { return k.ConfigFile }
func (d *Domain) configFile() string { return d.ConfigFile }

func (k *KDC) proxyKeytab() string { return k.dir.Path(proxyKeys) }

// SquidNegotiate offers Negotiate with tickets of a KDC. squid's environment has
// to be the KDC's.
func SquidNegotiate(kdc TicketIssuer) SquidAuth {
	return func(t testing.TB, _ *Dir) []string {
		return squidNegotiate(squidKerberosHelper(t, kdc))
	}
}

// SquidNegotiateWrapper is SquidNegotiate with a helper in front that knows
// NTLM by its signature and gives it to another one: ntlm is that one's path and
// arguments. squid's own ntlm_fake_auth is of no use, since its challenges have
// neither target info nor a valid offset.
func SquidNegotiateWrapper(kdc *KDC, ntlm string) SquidAuth {
	return func(t testing.TB, _ *Dir) []string {
		return squidNegotiate(SquidHelper(t, "negotiate_wrapper_auth") +
			" --ntlm " + ntlm + " --kerberos " + squidKerberosHelper(t, kdc))
	}
}

// squidKerberosHelper accepts whatever service the keytab has a key of: the
// machine's own name has nothing to do with the proxy's.
func squidKerberosHelper(t testing.TB, kdc TicketIssuer) string {
	t.Helper()
	return SquidHelper(t, "negotiate_kerberos_auth") + " -k " + kdc.proxyKeytab() + " -s GSS_C_NO_NAME"
}

func squidNegotiate(program string) []string {
	return []string{
		"auth_param negotiate program " + program,
		"auth_param negotiate children 8 startup=1",
		"auth_param negotiate keep_alive on",
	}
}

// A GSSAPIBinding says what mod_auth_gssapi authenticates.
type GSSAPIBinding string

// The values of the directive GssapiConnectionBound.
const (
	// PerConnection lets all requests on a connection pass after the first.
	PerConnection GSSAPIBinding = "On"

	// PerRequest wants a new token with each request.
	PerRequest GSSAPIBinding = "Off"
)

// ApacheGSSAPI asks for Negotiate with tickets of a KDC. Apache's environment has
// to be the KDC's.
func ApacheGSSAPI(kdc *KDC, binding GSSAPIBinding) ApacheAuth {
	return func(testing.TB, *Dir) ApacheConfig {
		return ApacheConfig{
			Modules: []string{"auth_gssapi"},
			Directives: []string{
				"AuthType GSSAPI",
				`AuthName "` + Realm + `"`,
				"GssapiCredStore keytab:" + kdc.dir.Path(proxyKeys),
				"GssapiAllowedMech krb5",
				"GssapiConnectionBound " + string(binding),
			},
		}
	}
}
