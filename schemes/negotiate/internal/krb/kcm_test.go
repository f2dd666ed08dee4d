//go:build unix

package krb_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/internal/testproxy/kdc"
	"github.com/go-proxyauth/proxyauth/schemes/negotiate/internal/krb"
)

// A kcmCache is what a daemon holds of one cache.
type kcmCache struct {
	principal, credential []byte
	id                    byte
}

// A daemon speaks as much of KCM as a reader of caches asks for.
type daemon struct {
	// unlisted says that it does not know MIT's operation for all credentials, as
	// Heimdal's.
	unlisted bool

	// instead, if not nil, is what it sends in place of its answers.
	instead []byte

	mu       sync.Mutex
	primary  string
	caches   map[string]kcmCache
	requests int
}

func (d *daemon) put(t testing.TB, k *kdc.KDC, name string, cc kdc.CCache) {
	t.Helper()
	cc.NoConfig = true
	full, err := k.CCache(cc)
	require.NoError(t, err)
	cc.NoTGT = true
	empty, err := k.CCache(cc)
	require.NoError(t, err)
	header := 4 + int(binary.BigEndian.Uint16(empty[2:]))
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.caches == nil {
		d.caches = map[string]kcmCache{}
	}
	d.caches[name] = kcmCache{principal: empty[header:], credential: full[len(empty):], id: byte(len(d.caches)) + d.caches[name].id + 1}
}

func (d *daemon) remove(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.caches, name)
}

// answer returns the code and the data of the reply to a request.
func (d *daemon) answer(operation uint16, args []byte) (code int32, data []byte) {
	const noFile, notSupported = -1765328189, -1765328137
	d.mu.Lock()
	defer d.mu.Unlock()
	d.requests++
	name, rest, _ := bytes.Cut(args, []byte{0})
	cache, found := d.caches[string(name)]
	uuid := func(id byte) []byte { return bytes.Repeat([]byte{id}, 16) }
	switch operation {
	case 20:
		return 0, append([]byte(d.primary), 0)
	case 18:
		for _, name := range slices.Sorted(maps.Keys(d.caches)) {
			data = append(data, uuid(d.caches[name].id)...)
		}
		return 0, data
	case 19:
		for name, cache := range d.caches {
			if bytes.Equal(args, uuid(cache.id)) {
				return 0, append([]byte(name), 0)
			}
		}
		return noFile, nil
	}
	switch {
	case !found:
		return noFile, nil
	case operation == 8:
		return 0, cache.principal
	case operation == 9:
		return 0, uuid(cache.id)
	case operation == 10 && bytes.Equal(rest, uuid(cache.id)):
		return 0, cache.credential
	case operation == 13001 && !d.unlisted:
		data = binary.BigEndian.AppendUint32(data, 1)
		data = binary.BigEndian.AppendUint32(data, uint32(len(cache.credential)))
		return 0, append(data, cache.credential...)
	}
	return notSupported, nil
}

func (d *daemon) serve(conn net.Conn) {
	defer conn.Close()
	for {
		var size [4]byte
		if _, err := io.ReadFull(conn, size[:]); err != nil {
			return
		}
		request := make([]byte, binary.BigEndian.Uint32(size[:]))
		if _, err := io.ReadFull(conn, request); err != nil || request[0] != 2 || request[1] != 0 {
			return
		}
		reply := d.instead
		if reply == nil {
			code, data := d.answer(binary.BigEndian.Uint16(request[2:]), request[4:])
			reply = kcmReply(uint32(len(data)+4), 0, append(binary.BigEndian.AppendUint32(nil, uint32(code)), data...))
		}
		if _, err := conn.Write(reply); err != nil || d.instead != nil {
			return
		}
	}
}

// kcmReply returns a reply with a length, a code of the transport and what follows.
func kcmReply(size, code uint32, data []byte) []byte {
	reply := binary.BigEndian.AppendUint32(nil, size)
	return append(binary.BigEndian.AppendUint32(reply, code), data...)
}

// start listens on the socket that the configuration names.
func (d *daemon) start(t testing.TB, config *krb.Config) {
	t.Helper()
	dir, err := os.MkdirTemp("", "kcm") // paths of sockets are short
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket := filepath.Join(dir, "socket")
	listener, err := net.Listen("unix", socket)
	require.NoError(t, err)
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { d.serve(conn) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		wg.Wait()
	})
	setSocket(t, config, socket)
}

func setSocket(t testing.TB, config *krb.Config, socket string) {
	t.Helper()
	require.NoError(t, os.WriteFile(config.ConfFile, fmt.Appendf(nil, "[libdefaults]\nkcm_socket = %s\n", socket), 0o600))
}

func TestKCM(t *testing.T) {
	for _, unlisted := range []bool{false, true} {
		t.Run(fmt.Sprintf("unlisted %v", unlisted), func(t *testing.T) {
			k := startKDC(t, kdc.Config{Principals: []kdc.Principal{{Name: "bob", Password: "pa55"}}})
			config := configOf(t, k)
			d := &daemon{primary: "7:x", unlisted: unlisted}
			d.start(t, &config)
			config.CacheName = "KCM:"
			c := krb.NewClient(config)
			require.ErrorIs(t, ask(t, c, krb.User{}), krb.ErrNoTicket)

			d.put(t, k, "7:x", kdc.CCache{Client: "ann"})
			require.NoError(t, ask(t, c, krb.User{}))
			require.NoError(t, ask(t, c, krb.User{}))
			require.Equal(t, 1, k.Counts("ann").TGSRequests)
			err := ask(t, c, user("bob", ""))
			require.ErrorContains(t, err, "another user's")

			d.put(t, k, "7:y", kdc.CCache{Client: "bob"})
			require.NoError(t, ask(t, c, user("bob", "")), "another cache of the collection")
			require.Equal(t, 1, k.Counts("bob").TGSRequests)
			require.NoError(t, ask(t, c, krb.User{}))
			require.Equal(t, 1, k.Counts("bob").TGSRequests)
			config.CacheName = "KCM:7:y"
			require.NoError(t, ask(t, krb.NewClient(config), krb.User{}))
			require.Equal(t, 2, k.Counts("bob").TGSRequests)
			require.ErrorContains(t, ask(t, krb.NewClient(config), user("ann", "")), "another user's")

			d.put(t, k, "7:x", kdc.CCache{Client: "ann", Age: time.Hour, Life: time.Minute})
			require.ErrorIs(t, ask(t, c, krb.User{}), krb.ErrTicketExpired)
			d.put(t, k, "7:x", kdc.CCache{Client: "ann"})
			require.NoError(t, ask(t, c, krb.User{}))
			require.Equal(t, 2, k.Counts("ann").TGSRequests, "a new cache is read")
			d.remove("7:x")
			require.ErrorIs(t, ask(t, c, krb.User{}), krb.ErrNoTicket)
			require.Zero(t, k.Total().ASRequests)
		})
	}
}

// A reply that can't be right is an error. It neither takes memory nor keeps the password
// from being used.
func TestKCMRepliesThatAreWrong(t *testing.T) {
	k := startKDC(t, kdc.Config{})
	for _, tc := range []struct {
		desc  string
		reply []byte
		want  error
	}{
		{"longer than 10 MiB", kcmReply(10<<20+5, 0, nil), krb.ErrMalformedFile},
		{"of 4 GiB", kcmReply(1<<32-1, 0, nil), krb.ErrMalformedFile},
		{"without a code", kcmReply(3, 0, []byte("abc")), krb.ErrMalformedFile},
		{"shorter than it says", kcmReply(5000, 0, []byte("abc")), krb.ErrNoTicket},
		{"half a header", []byte{0, 0, 0, 9}, krb.ErrNoTicket},
		{"no name", kcmReply(4, 0, make([]byte, 4)), krb.ErrMalformedFile},
		{"an empty name", kcmReply(5, 0, make([]byte, 5)), krb.ErrMalformedFile},
		{"a name with a control character", kcmReply(7, 0, []byte("\x00\x00\x00\x00a\n\x00")), krb.ErrMalformedFile},
		{"a name without an end", kcmReply(5, 0, []byte("\x00\x00\x00\x00a")), krb.ErrMalformedFile},
		{"an error of the transport", kcmReply(0, 5, nil), krb.ErrNoTicket},
		{"an error", kcmReply(4, 0, []byte{0, 0, 0, 5}), krb.ErrNoTicket},
		{"no permission", kcmReply(4, 0, []byte{0, 0, 0, 13}), krb.ErrNoTicket},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			config := configOf(t, k)
			config.CacheName = "KCM:"
			(&daemon{instead: tc.reply}).start(t, &config)
			c := krb.NewClient(config)
			require.ErrorIs(t, ask(t, c, krb.User{}), tc.want)
			require.NoError(t, ask(t, c, user("ann", "s3cret")))
		})
	}
}

func TestKCMDaemonThatIsNotThere(t *testing.T) {
	k := startKDC(t, kdc.Config{})
	config := configOf(t, k)
	config.CacheName = "KCM:"
	for socket, want := range map[string]string{"/nonexistent/socket": "systemctl start sssd-kcm.socket", "-": "kcm_socket"} {
		setSocket(t, &config, socket)
		err := ask(t, krb.NewClient(config), krb.User{})
		require.ErrorIs(t, err, krb.ErrNoTicket)
		require.ErrorContains(t, err, want)
	}
}

// Nobody waits for a daemon that is silent for longer than he wants to, nor again right after
// it was waited for in vain.
func TestKCMDaemonThatIsSilent(t *testing.T) {
	k := startKDC(t, kdc.Config{})
	config := configOf(t, k)
	config.CacheName, config.Sources = "KCM:", []krb.Source{krb.TicketCache}
	synctest.Test(t, func(t *testing.T) {
		var dials int
		krb.DialUnix(t, func(context.Context, string, string) (net.Conn, error) {
			dials++
			ours, theirs := net.Pipe()
			go io.Copy(io.Discard, theirs)
			return ours, nil
		})
		c := krb.NewClient(config)
		waits := func(ctx context.Context) (time.Duration, error) {
			begin := time.Now()
			_, err := c.Ticket(ctx, krb.User{}, proxySPN, "proxy.example.com")
			return time.Since(begin), err
		}
		why := errors.New("changed my mind")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(why) })
		waited, err := waits(ctx)
		require.ErrorIs(t, err, why)
		require.Equal(t, time.Second, waited)
		synctest.Wait()

		waited, err = waits(t.Context())
		require.ErrorIs(t, err, krb.ErrNoTicket)
		require.ErrorContains(t, err, "in time")
		require.Equal(t, 5*time.Second, waited)
		require.Equal(t, 2, dials)
		waited, err = waits(t.Context())
		require.ErrorContains(t, err, "in time")
		require.Zero(t, waited)
		require.Equal(t, 2, dials)
		time.Sleep(30 * time.Second)
		waited, _ = waits(t.Context())
		require.Equal(t, 5*time.Second, waited)
	})
}

// A cache that is empty for a moment is being filled. One that stays away was destroyed.
func TestCacheThatIsBeingFilled(t *testing.T) {
	k := startKDC(t, kdc.Config{})
	config := configOf(t, k)
	config.CacheName = filepath.Join(t.TempDir(), "cc")
	empty := cacheOf(t, k, kdc.CCache{NoTGT: true, NoConfig: true})
	full := cacheOf(t, k, kdc.CCache{Services: []string{proxySPN}})
	put := func(data []byte) {
		require.NoError(t, os.WriteFile(config.CacheName+".new", data, 0o600))
		require.NoError(t, os.Rename(config.CacheName+".new", config.CacheName))
	}
	put(full)
	synctest.Test(t, func(t *testing.T) {
		c := krb.NewClient(config)
		require.NoError(t, ask(t, c, krb.User{}))
		for _, data := range [][]byte{empty, empty[:10], nil} {
			if put(data); data == nil {
				require.NoError(t, os.Remove(config.CacheName))
			}
			time.AfterFunc(50*time.Millisecond, func() { put(full) })
			require.NoError(t, ask(t, c, krb.User{}))
			time.Sleep(time.Second)
		}
		// A request that is broken off says nothing of the cache.
		put(empty)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		_, err := c.Ticket(ctx, krb.User{}, proxySPN, "proxy.example.com")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		synctest.Wait()
		time.AfterFunc(50*time.Millisecond, func() { put(full) })
		require.NoError(t, ask(t, c, krb.User{}))
		time.Sleep(time.Second)

		require.NoError(t, os.Remove(config.CacheName))
		require.ErrorIs(t, ask(t, c, krb.User{}), krb.ErrNoTicket)
	})
}

func FuzzKCMRepliesAreBounded(f *testing.F) {
	k := startKDC(f, kdc.Config{})
	cache := cacheOf(f, k, kdc.CCache{})
	f.Add(kcmReply(8, 0, []byte("\x00\x00\x00\x000:x\x00")))
	f.Add(kcmReply(20, 0, make([]byte, 20)))
	f.Add(kcmReply(12, 0, []byte{0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff}))
	f.Add(kcmReply(uint32(len(cache)), 0, cache))
	f.Add(kcmReply(4, 13, nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		const limit = 1 << 10
		size, err := krb.ParseKCM(data, limit)
		require.True(t, err == nil || size == 0)
		require.LessOrEqual(t, size, limit)
	})
}

// A daemon may have more connections waiting than it lets wait.
func TestKCMDaemonThatIsBusy(t *testing.T) {
	k := startKDC(t, kdc.Config{})
	config := configOf(t, k)
	d := &daemon{primary: "7:x"}
	d.start(t, &config)
	d.put(t, k, "7:x", kdc.CCache{Client: "ann"})
	config.CacheName = "KCM:"
	busy := 3
	krb.DialUnix(t, func(ctx context.Context, network, address string) (net.Conn, error) {
		if busy--; busy >= 0 {
			return nil, &net.OpError{Op: "dial", Net: network, Err: os.NewSyscallError("connect", syscall.EAGAIN)}
		}
		return new(net.Dialer).DialContext(ctx, network, address)
	})
	require.NoError(t, ask(t, krb.NewClient(config), krb.User{}))
	require.Negative(t, busy)
}
