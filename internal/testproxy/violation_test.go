package testproxy_test

import (
	"testing"
	"testing/synctest"

	"github.com/go-proxyauth/proxyauth/internal/testproxy"
	"github.com/stretchr/testify/require"
)

func TestViolations(t *testing.T) {
	const host = "Host: origin.example.com\r\n"
	for _, test := range []struct {
		desc string
		send string
		want []string
	}{
		{
			desc: "none of a request",
			send: "POST " + target + " HTTP/1.1\r\n" + host + basic + "Cookie: a=b\r\nContent-Length: 0\r\n\r\n",
		}, {
			desc: "none of a CONNECT",
			send: "CONNECT o.example.com:443 HTTP/1.1\r\nHost: o.example.com:443\r\nUser-Agent: x\r\nX-Allowed: 1\r\n\r\n",
		}, {
			desc: "origin's headers in CONNECT",
			send: "CONNECT o.example.com:443 HTTP/1.1\r\nHost: o.example.com:443\r\nCookie: a=b\r\nAuthorization: x\r\nX-Own: 1\r\n\r\n",
			want: []string{"CONNECT: header Authorization", "CONNECT: header Cookie", "CONNECT: header X-Own"},
		}, {
			desc: "another host in CONNECT",
			send: "CONNECT o.example.com:443 HTTP/1.1\r\nHost: p.example.com:443\r\n\r\n",
			want: []string{"CONNECT: Host is not the target"},
		}, {
			desc: "no port in CONNECT",
			send: "CONNECT o.example.com HTTP/1.1\r\nHost: o.example.com\r\n\r\n",
			want: []string{"CONNECT: target is not host:port"},
		}, {
			desc: "body in CONNECT",
			send: "CONNECT o.example.com:443 HTTP/1.1\r\nHost: o.example.com:443\r\nContent-Length: 1\r\n\r\nx",
			want: []string{"CONNECT: header Content-Length", "CONNECT: body"},
		}, {
			desc: "origin-form",
			send: "GET / HTTP/1.1\r\n" + host + "\r\n",
			want: []string{"GET: target is not an absolute URI"},
		}, {
			desc: "https in clear",
			send: "GET https://origin.example.com/ HTTP/1.1\r\n" + host + "\r\n",
			want: []string{"GET: target's scheme is not http"},
		}, {
			desc: "user info",
			send: "GET http://ann:x@origin.example.com/ HTTP/1.1\r\n" + host + "\r\n",
			want: []string{"GET: user info in the target"},
		}, {
			desc: "two hosts",
			send: "GET " + target + " HTTP/1.1\r\n" + host + "Host: p.example.com\r\n\r\n",
			want: []string{"malformed request"},
		}, {
			desc: "another host",
			send: "GET " + target + " HTTP/1.1\r\nHost: p.example.com\r\n\r\n",
			want: []string{"GET: Host is not the target's"},
		}, {
			desc: "bare line end",
			send: "GET " + target + " HTTP/1.1\n" + host + "\r\n",
			want: []string{"GET: control characters or bare line ends in the head"},
		}, {
			desc: "two authorizations",
			send: "GET " + target + " HTTP/1.1\r\n" + host + basic + basic + "\r\n",
			want: []string{"GET: more than one Proxy-Authorization"},
		}, {
			desc: "not HTTP",
			send: "\x16\x03\x01\r\n\r\n",
			want: []string{"malformed request"},
		}, {
			desc: "cut off",
			send: "GET " + target + " HTT",
			want: []string{"request head: cut off"},
		}, {
			desc: "Proxy-Authorization in the tunnel",
			send: "CONNECT origin.example.com:80 HTTP/1.1\r\nHost: origin.example.com:80\r\n" + basic + "\r\n" +
				"GET / HTTP/1.1\r\n" + host + basic + "\r\n",
			want: []string{"CONNECT: Proxy-Authorization inside the tunnel"},
		}, {
			desc: "malformed Basic",
			send: "GET " + target + " HTTP/1.1\r\n" + host + "Proxy-Authorization: Basic YW5u\r\n\r\n",
			want: []string{"GET: Basic: no colon"},
		},
	} {
		t.Run(test.desc, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, testproxy.Config{ConnectHeader: []string{"x-allowed"}})
				c := w.dial()
				c.send(test.send)
				c.Conn.(halfCloser).CloseWrite()
				synctest.Wait()
				var want []string
				for _, v := range test.want {
					want = append(want, "c1: "+v)
				}
				require.Equal(t, want, w.proxy.Violations())
			})
		})
	}
}

func TestViolations_openingLeg(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTwoLegs(t, testproxy.Config{})
		w.dial().get(two("hello") + "Cookie: a=b\r\n")
		require.Equal(t, []string{"c1: GET: header Cookie on an opening leg"}, w.proxy.Violations())
	})
}
