// Package testproxy is an HTTP/1.1 proxy that asks for authentication, verifies
// what it is sent, misbehaves on demand, and remembers every leg. The tests
// talk to it, and so does the quickstart example.
//
// It speaks HTTP over a net.Conn of its own, since net/http's server would not
// let it break the rules as precisely as real proxies do. It shares no code
// with the schemes that it is there to check.
//
//	users := &testproxy.Accounts{Passwords: map[string]string{"ann": "s3cret"}}
//	network := testproxy.NewNetwork()
//	origin := testproxy.StartOrigin(t, testproxy.OriginConfig{Network: network})
//	proxy := testproxy.Start(t, testproxy.Config{
//		Network: network,
//		Auth:    []testproxy.Mechanism{&testproxy.Digest{Accounts: users, Realm: "lab"}},
//		Fault:   testproxy.Once(testproxy.On(407, testproxy.CloseOpenly())),
//	})
//	// ... a client with network.DialContext asks origin.URL() through proxy.URL() ...
//	require.Equal(t, []string{
//		"c1 GET http://origin.example.com/ -> 407",
//		"c2 GET http://origin.example.com/ Digest -> 200",
//	}, proxy.Transcript())
//	require.Empty(t, proxy.Violations())
//
// Over a [Network] nothing leaves the process, so that all of it runs in a
// bubble of testing/synctest. Without one, everything listens on loopback.
package testproxy
