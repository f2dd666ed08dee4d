package e2e_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/internal/testproxy"
)

// TestProviderEndsWithTheRequest asks somebody who does not answer: each request ends at its
// own deadline, and with the last one the question does. Others go on to be asked.
func TestProviderEndsWithTheRequest(t *testing.T) {
	t.Parallel()
	for _, w := range ways[:2] {
		eachMechanismOf(t, w, func(t *testing.T, m testproxy.Mechanism) {
			l := newLab(t, testproxy.Config{Auth: []testproxy.Mechanism{m}})
			asked := 0
			start := time.Now()
			ended := make(chan time.Duration, 1)
			l.rt.Credentials = proxyauth.CredentialsFunc(func(ctx context.Context, _ *proxyauth.CredentialsRequest) (proxyauth.Credentials, error) {
				if asked++; asked > 1 {
					return proxyauth.Credentials{Username: user, Password: proxyauth.NewSecret(password)}, nil
				}
				<-ctx.Done()
				ended <- time.Since(start)
				return proxyauth.Credentials{}, proxyauth.ErrNoCredentials
			})
			for _, err := range together(2, func(i int) error {
				deadline := time.Duration(i+1) * time.Minute
				ctx, cancel := context.WithTimeout(t.Context(), deadline)
				defer cancel()
				_, err := l.rt.RoundTrip(l.request(http.MethodPost, w.target("/"), http.NoBody).WithContext(ctx))
				scanned.Error(t.Name(), err)
				if took := time.Since(start); took != deadline {
					t.Errorf("it took %v", took)
				}
				return err
			}) {
				require.ErrorIs(t, err, context.DeadlineExceeded)
			}
			require.Equal(t, 2*time.Minute, <-ended)
			resp, err := l.rt.RoundTrip(l.request(http.MethodGet, w.target("/"), nil))
			require.NoError(t, err)
			require.Equal(t, http.StatusOK, resp.StatusCode)
			_, err = io.Copy(io.Discard, resp.Body)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			require.Equal(t, 2, asked)
		})
	}
}

func eachMechanismOf(t *testing.T, w way, f func(*testing.T, testproxy.Mechanism)) {
	for _, m := range allMechanisms() {
		t.Run(m.Scheme()+", "+w.desc, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { f(t, m) })
		})
	}
}

// A vault is a provider that fetches each lease through the Transport that asks for it.
type vault struct {
	witness
	l   *lab
	url string
	err error // of the last answer
}

func (v *vault) Credentials(ctx context.Context, req *proxyauth.CredentialsRequest) (proxyauth.Credentials, error) {
	var resp *http.Response
	if resp, _, v.err = v.l.do(v.l.request(http.MethodGet, v.url, nil).WithContext(ctx)); v.err != nil {
		return proxyauth.Credentials{}, v.err
	}
	if resp.StatusCode != http.StatusOK {
		v.err = explained(resp)
		return proxyauth.Credentials{}, v.err
	}
	creds, err := v.witness.Credentials(ctx, req)
	creds.Expires = time.Now().Add(lease)
	return creds, err
}

// TestProviderGoesThroughTheProxy has a provider that reaches its vault through the proxy
// that it is asked about: it does not wait for itself, and does not authenticate.
func TestProviderGoesThroughTheProxy(t *testing.T) {
	t.Parallel()
	for _, w := range ways {
		eachMechanismOf(t, w, func(t *testing.T, m testproxy.Mechanism) {
			l, _ := newFreeLab(t)
			l.proxy.SetFault(nil)
			l.adopt(m)
			l.proxy.SetAuth(m)
			v := &vault{witness: witness{answer: always(password)}, l: l, url: w.target("/")}
			v.url = strings.Replace(v.url, originHost, freeHost, 1)
			l.base.TLSClientConfig = l.base.TLSClientConfig.Clone()
			l.base.TLSClientConfig.InsecureSkipVerify = true // the free host has no certificate of its own
			l.rt.Credentials = v
			start := time.Now()
			for range 3 {
				require.NoError(t, w.reach(t.Context(), l.rt, originHost))
				require.Zero(t, time.Since(start))
				time.Sleep(2 * lease)
				start = time.Now()
				l.hangUp()
			}
			v.url = w.target("/")
			err := w.reach(t.Context(), l.rt, originHost)
			require.Zero(t, time.Since(start))
			requireCause(t, proxyauth.CauseNoCredentials, err)
			requireCause(t, proxyauth.CauseNoCredentials, v.err)
		})
	}
}

// A notifier is a provider that makes a request through the Transport when it is told
// what has become of its answer.
type notifier struct {
	l                  *lab
	password           string
	accepted, rejected error
}

func (n *notifier) Credentials(_ context.Context, req *proxyauth.CredentialsRequest) (proxyauth.Credentials, error) {
	if len(req.Rejected) > 0 {
		n.password = password
	}
	return proxyauth.Credentials{Username: user, Password: proxyauth.NewSecret(n.password)}, nil
}

func (n *notifier) Accepted(ctx context.Context, _ *proxyauth.CredentialsRequest, _ proxyauth.Credentials) {
	n.accepted = fetch(ctx, n.l.rt, originHost)
}

func (n *notifier) Rejected(ctx context.Context, _ *proxyauth.CredentialsRequest, _ proxyauth.Credentials) {
	n.rejected = fetch(ctx, n.l.rt, originHost)
}

// TestObserverGoesThroughTheProxy has requests in place of notes: they wait for nobody, and get
// no credentials.
func TestObserverGoesThroughTheProxy(t *testing.T) {
	t.Parallel()
	for _, w := range ways {
		eachMechanismOf(t, w, func(t *testing.T, m testproxy.Mechanism) {
			l := newLab(t, testproxy.Config{Auth: []testproxy.Mechanism{m}})
			n := &notifier{l: l, password: wrongPassword}
			l.rt.Credentials = n
			start := time.Now()
			require.NoError(t, w.reach(t.Context(), l.rt, originHost))
			require.Zero(t, time.Since(start))
			synctest.Wait()
			requireCause(t, proxyauth.CauseNoCredentials, n.accepted)
			requireCause(t, proxyauth.CauseNoCredentials, n.rejected)
		})
	}
}
