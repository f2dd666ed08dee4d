package interop_test

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// largeBody is more than squid reads of a request that it challenges, 64 KiB, and
// than what sockets buffer on the way.
var largeBody = bytes.Repeat([]byte("0123456789abcdef"), 1<<16)

func TestLargeBody(t *testing.T) {
	t.Parallel()
	for _, tc := range proxies {
		t.Run(tc.desc, func(t *testing.T) {
			t.Parallel()
			proxy := tc.proxy.Start(t)
			origin := newOrigin(t)
			var sent int64
			for _, via := range urlsOf(proxy) {
				for way, target := range origin.targets() {
					for _, body := range bodies {
						desc := via.Scheme + " proxy, " + way + ", " + body.desc
						client := newClient(t, origin, proxy, via, ann)
						// The first request meets a proxy that the
						// client knows nothing of.
						for range 3 {
							sent++
							requireArrives(t, client, target, body.request(t, target), desc)
							if strings.HasPrefix(tc.desc, "tinyproxy") {
								// It closes a connection after an answer that does
								// not say so. net/http may take that for an idle
								// one, and can't have the body again.
								client.CloseIdleConnections()
							}
						}
					}
				}
			}
			require.Equal(t, sent, origin.requests.Load(), "each body arrives once")
		})
	}
}

// bodies are the ways in which a caller may supply a body.
var bodies = []struct {
	desc    string
	request func(t *testing.T, target string) *http.Request
}{
	{
		desc: "replayable",
		request: func(t *testing.T, target string) *http.Request {
			return newPost(t, target, bytes.NewReader(largeBody))
		},
	},
	{
		desc: "not replayable, of known length",
		request: func(t *testing.T, target string) *http.Request {
			req := newPost(t, target, io.NopCloser(bytes.NewReader(largeBody)))
			req.ContentLength = int64(len(largeBody))
			return req
		},
	},
	{
		desc: "not replayable, of unknown length",
		request: func(t *testing.T, target string) *http.Request {
			return newPost(t, target, io.NopCloser(bytes.NewReader(largeBody)))
		},
	},
}

func newPost(t *testing.T, target string, body io.Reader) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, target, body)
	require.NoError(t, err)
	return req
}

func requireArrives(t *testing.T, client *http.Client, target string, req *http.Request, desc string) {
	t.Helper()
	resp, err := client.Do(req)
	require.NoError(t, err, desc)
	require.Equal(t, http.StatusOK, resp.StatusCode, desc)
	require.Equal(t, echo(largeBody), readBody(t, resp), desc)
}
