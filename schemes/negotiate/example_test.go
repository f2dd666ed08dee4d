package negotiate_test

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"strings"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/internal/testproxy/kdc"
	"github.com/go-proxyauth/proxyauth/schemes/negotiate"
)

// A program that knows realm and KDC itself needs no krb5.conf. As a rule the
// zero value does: it takes the ticket that kinit has got.
func ExampleScheme() {
	centre, err := kdc.New(kdc.Config{Principals: []kdc.Principal{
		{Name: "ann", Password: "s3cret"}, {Name: "HTTP/proxy.example.com"},
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer centre.Close()

	scheme := &negotiate.Scheme{
		Realm:      "EXAMPLE.COM",
		KDCs:       []string{centre.Addr()},
		ConfigFile: os.DevNull,
		Sources:    []negotiate.Source{negotiate.Password},
	}
	session, err := scheme.NewSession(context.Background(), proxyauth.Exchange{
		Proxy:       &url.URL{Scheme: "http", Host: "proxy.example.com:3128"},
		Credentials: proxyauth.Credentials{Username: "ann", Password: proxyauth.NewSecret("s3cret")},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	value, err := session.Authorization(context.Background(), proxyauth.Leg{Method: "GET", Target: "http://example.com/"})
	authScheme, _, _ := strings.Cut(value.Value, " ")
	fmt.Println(authScheme, err)
	// Output: Negotiate <nil>
}

// A service account has a keytab, and batch jobs share the machine with people
// who have tickets of their own.
func ExampleScheme_keytab() {
	_ = &negotiate.Scheme{
		Sources:   []negotiate.Source{negotiate.Keytab},
		Keytab:    "/etc/batch.keytab",
		Principal: "batch@EXAMPLE.COM",
	}
}
