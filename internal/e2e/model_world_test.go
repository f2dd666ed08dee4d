package e2e_test

import (
	"context"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/internal/testproxy"
)

// The proxies of a world.
const (
	open     = "open.example.com:3128"
	basicOne = "basic.example.com:3128"
	squid    = "digest.example.com:3128" // spoken to over TLS
	bound    = "ntlm.example.com:3128"
	turncoat = "turncoat.example.com:3128" // offers now this scheme, now that
)

var squidConfig = ca.ServerConfig("digest.example.com")

var allProxies = []string{open, basicOne, squid, bound, turncoat}

// A program is one user of the library.
type program struct {
	rt    *proxyauth.Transport
	users []string
	reset int64 // when the last Reset ended, on the model's clock
}

// An identity is somebody whom a program's requests are made for.
type identity struct {
	user    string
	program *program
}

// An account is a user at a proxy.
type account struct{ proxy, user string }

// A world is all that takes part.
type world struct {
	t       *testing.T
	seed    uint64
	model   *model
	base    *http.Transport
	origins []*testproxy.Origin
	proxies map[string]*testproxy.Proxy
	users   map[string]*testproxy.Accounts // by proxy
	digests []*testproxy.Digest
	ntlms   map[string]*changingNTLM // by proxy
	schemes []*watchedMechanism      // of the turncoat

	programs   []*program
	identities []*identity
	nobody     *identity // of the first program, whose provider has nothing for it

	mu       sync.Mutex
	versions int
	provided map[account]string
	leases   map[account]int // how many of the provider's answers have run out, or will
}

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{
		t: t, seed: seed, model: newModel(),
		proxies: make(map[string]*testproxy.Proxy), users: make(map[string]*testproxy.Accounts),
		ntlms: make(map[string]*changingNTLM), provided: make(map[account]string), leases: make(map[account]int),
	}
	network := testproxy.NewNetwork()
	handler := http.HandlerFunc(answerLate)
	w.origins = []*testproxy.Origin{
		testproxy.StartOrigin(t, testproxy.OriginConfig{Network: network, Handler: handler}),
		testproxy.StartOrigin(t, testproxy.OriginConfig{Network: network, Handler: handler, TLS: originConfig}),
	}
	dialer := &numberingDialer{network: network, dialed: make(map[string]int)}
	w.base = &http.Transport{
		Proxy:               proxyOfCall,
		DialContext:         dialer.DialContext,
		TLSClientConfig:     ca.ClientConfig(),
		ForceAttemptHTTP2:   true,
		MaxIdleConnsPerHost: 4,
		GetProxyConnectHeader: func(ctx context.Context, _ *url.URL, _ string) (http.Header, error) {
			return http.Header{idField: {strconv.Itoa(callOf(ctx).id)}}, nil
		},
	}
	first := w.newProgram("ann", "bob")
	first.rt.InsecureAllowDowngrade = true
	first.rt.Logger = scanned.Logger(t.Name())
	w.nobody = &identity{program: first}
	w.newProgram("ann.second")
	for _, addr := range allProxies {
		w.startProxy(network, addr)
	}
	return w
}

// newProgram returns a Transport for users; if there are many, the user info of the
// proxy's URL says for which.
func (w *world) newProgram(users ...string) *program {
	p := &program{users: users}
	var schemes []proxyauth.Scheme
	for _, s := range allSchemes() {
		schemes = append(schemes, watchedScheme{s, w.model})
	}
	p.rt = &proxyauth.Transport{Base: w.base, Schemes: schemes, Credentials: worldProvider{w, p}}
	w.programs = append(w.programs, p)
	for _, user := range users {
		w.identities = append(w.identities, &identity{user, p})
	}
	return p
}

func (w *world) startProxy(network *testproxy.Network, addr string) {
	users := &testproxy.Accounts{}
	w.users[addr] = users
	for _, who := range w.identities {
		w.provide(account{addr, who.user})
	}
	digest := &testproxy.Digest{
		Accounts: users, Realm: "lab", NoAlgorithm: true, NonceCount: testproxy.NonceCountSquid,
		Stale: testproxy.StaleSquid, NonceUses: 20, NextNonce: 2,
	}
	ntlm := new(changingNTLM)
	var offers []testproxy.Mechanism
	refused := testproxy.ReadThenAnswer
	switch addr {
	case basicOne:
		offers, refused = []testproxy.Mechanism{&testproxy.Basic{Accounts: users, Realm: "lab"}}, testproxy.AnswerThenClose
	case squid:
		offers, refused = []testproxy.Mechanism{digest}, testproxy.SquidBody
	case bound:
		offers, refused = []testproxy.Mechanism{ntlm}, testproxy.SquidBody
	case turncoat:
		offers = []testproxy.Mechanism{&testproxy.Basic{Accounts: users, Realm: "lab"}, digest, ntlm}
	}
	if slices.Contains(offers, testproxy.Mechanism(digest)) {
		w.digests = append(w.digests, digest)
	}
	if slices.Contains(offers, testproxy.Mechanism(ntlm)) {
		w.ntlms[addr] = ntlm
	}
	for i, m := range offers {
		watched := &watchedMechanism{Mechanism: m, model: w.model}
		offers[i] = watched
		if addr == turncoat {
			w.schemes = append(w.schemes, watched)
		}
	}
	for _, who := range w.identities {
		w.enforce(account{addr, who.user}, true)
	}
	config := testproxy.Config{
		Network: network, Addr: addr, Auth: offers, RefusedBody: refused, ConnectHeader: []string{idField}, BareConnect: true,
	}
	if addr == squid {
		config.TLS = squidConfig
	}
	w.proxies[addr] = testproxy.Start(w.t, config)
}

// provide gives the provider a new password.
func (w *world) provide(a account) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.versions++
	w.provided[a] = fmt.Sprintf("%s %d of %s at %s", password, w.versions, a.user, a.proxy)
}

func (w *world) password(a account) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.provided[a]
}

// enforce makes the proxy want the password that the provider has.
func (w *world) enforce(a account, forget bool) {
	users := w.users[a.proxy]
	users.SetPassword(a.user, w.password(a))
	if n := w.ntlms[a.proxy]; n != nil {
		n.change(users.Passwords, forget)
	}
}

// lease returns until when a password of a, which is asked for now, is good. It
// is for ever for half of the accounts.
func (w *world) lease(a account) time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	h := fnv.New64a()
	fmt.Fprint(h, w.seed, a)
	if h.Sum64()%2 == 0 {
		return time.Time{}
	}
	w.leases[a]++
	random := rand.New(rand.NewPCG(h.Sum64(), uint64(w.leases[a])))
	return time.Now().Add(time.Duration(1+random.IntN(maxLease)) * time.Millisecond)
}

// maxLease is in milliseconds, and about as long as it is between two calls that
// somebody makes.
const maxLease = 30

// A worldProvider gives a program the passwords of its users.
type worldProvider struct {
	world   *world
	program *program
}

var _ proxyauth.CredentialsObserver = worldProvider{}

func (p worldProvider) Credentials(_ context.Context, req *proxyauth.CredentialsRequest) (proxyauth.Credentials, error) {
	a := account{req.Proxy.Host, p.program.users[0]}
	time.Sleep(time.Millisecond)
	switch {
	case req.UserInfo != nil:
		a.user = req.UserInfo.Username
	case len(p.program.users) > 1:
		return proxyauth.Credentials{}, proxyauth.ErrNoCredentials
	}
	s, until := accountSecret{a, p.world.password(a)}, p.world.lease(a)
	p.world.model.leased(s, until)
	return proxyauth.Credentials{Username: a.user, Password: proxyauth.NewSecret(s.password), Expires: until}, nil
}

func (p worldProvider) Accepted(context.Context, *proxyauth.CredentialsRequest, proxyauth.Credentials) {
}

func (p worldProvider) Rejected(ctx context.Context, req *proxyauth.CredentialsRequest, c proxyauth.Credentials) {
	p.world.model.rejected(ctx, accountSecret{account{req.Proxy.Host, c.Username}, c.Password.Reveal()})
}

// proxyOfCall is the Proxy of everybody's Base.
func proxyOfCall(req *http.Request) (*url.URL, error) {
	c := callOf(req.Context())
	u := &url.URL{Scheme: "http", Host: c.proxy}
	if c.proxy == squid {
		u.Scheme = "https"
	}
	if len(c.who.program.users) > 1 && c.who.user != "" {
		u.User = url.User(c.who.user)
	}
	return u, nil
}

// answerLate is the origins' handler.
func answerLate(w http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body)
	time.Sleep(time.Duration(len(r.URL.Path)) * time.Millisecond)
	io.WriteString(w, "hello from "+r.URL.Path)
}
