// Package kdc is a Kerberos key distribution centre (RFC 4120) that lives in a
// test. It answers AS and TGS exchanges on the loopback, counts what it was
// asked, and misbehaves on demand.
//
// It speaks what MIT's kinit and kvno speak, which its tests use where they are
// installed, so that a client that gets along with it is known to get along
// with more than itself. Its random numbers are good, but nothing else about it
// is meant to keep a secret.
//
//	k, err := kdc.New(kdc.Config{Principals: []kdc.Principal{
//		{Name: "ann", Password: "s3cret"},
//		{Name: "HTTP/proxy.example.com"},
//	}})
//	defer k.Close()
//	os.WriteFile("krb5.conf", []byte(k.Krb5Conf()), 0o600)
package kdc
