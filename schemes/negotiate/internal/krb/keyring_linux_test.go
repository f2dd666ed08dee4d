package krb_test

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/go-proxyauth/proxyauth/internal/testproxy/kdc"
	"github.com/go-proxyauth/proxyauth/schemes/negotiate/internal/krb"
)

// A ring is a keyring of a test's.
type ring struct {
	t  testing.TB
	id int
}

// newCollection makes a keyring for caches in an anchor, which is removed at the end of the
// test, and returns it and the name of the collection.
func newCollection(t testing.TB, anchor int) (collection ring, name string) {
	t.Helper()
	if _, err := unix.KeyctlGetKeyringID(anchor, false); err != nil {
		t.Skip("keyctl: ", err)
	}
	if anchor == unix.KEY_SPEC_SESSION_KEYRING {
		anchor = sessionKeyring(t)
	}
	name = strings.ToLower(rand.Text())
	id, err := unix.AddKey("keyring", "_krb_"+name, nil, anchor)
	require.NoError(t, err)
	t.Cleanup(func() {
		_, err := unix.KeyctlInt(unix.KEYCTL_UNLINK, id, anchor, 0, 0)
		require.NoError(t, err)
	})
	return ring{t, id}, name
}

// sessionKeyring returns the keyring of the session, which all threads have in common. To add
// to it by its special name would make another one for the thread.
func sessionKeyring(t testing.TB) int {
	t.Helper()
	session, err := unix.KeyctlGetKeyringID(unix.KEY_SPEC_SESSION_KEYRING, false)
	require.NoError(t, err)
	return session
}

func (r ring) add(kind, description string, data []byte) ring {
	r.t.Helper()
	id, err := unix.AddKey(kind, description, data, r.id)
	require.NoError(r.t, err)
	return ring{r.t, id}
}

// cache makes a cache with the tickets that cc says.
func (r ring) cache(name string, k *kdc.KDC, cc kdc.CCache) ring {
	r.t.Helper()
	cc.NoConfig = true
	full, err := k.CCache(cc)
	require.NoError(r.t, err)
	cc.NoTGT, cc.Services = true, nil
	empty, err := k.CCache(cc)
	require.NoError(r.t, err)
	cache := r.add("keyring", name, nil)
	cache.add("user", "__krb5_princ__", empty[4+int(binary.BigEndian.Uint16(empty[2:])):])
	cache.add("user", "krbtgt/EXAMPLE.COM@EXAMPLE.COM", full[len(empty):])
	return cache
}

// primary names the primary cache.
func (r ring) primary(name string) {
	r.t.Helper()
	data := binary.BigEndian.AppendUint32([]byte{0, 0, 0, 1}, uint32(len(name)))
	r.add("user", "krb_ccache:primary", append(data, name...))
}

func TestKeyrings(t *testing.T) {
	for _, tc := range []struct {
		desc, prefix string
		anchor       int
	}{
		{"session", "KEYRING:session:", unix.KEY_SPEC_SESSION_KEYRING},
		{"legacy", "KEYRING:", unix.KEY_SPEC_SESSION_KEYRING},
		{"user", "KEYRING:user:", unix.KEY_SPEC_USER_KEYRING},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			collection, name := newCollection(t, tc.anchor)
			k := startKDC(t, kdc.Config{Principals: []kdc.Principal{{Name: "bob", Password: "pa55"}}})
			config := configOf(t, k)
			config.CacheName = tc.prefix + name
			c := krb.NewClient(config)
			require.ErrorIs(t, ask(t, c, krb.User{}), krb.ErrNoTicket)

			first := collection.cache(name, k, kdc.CCache{Client: "ann"})
			require.NoError(t, ask(t, c, krb.User{}), "the primary cache has the name of the collection")
			collection.cache("other", k, kdc.CCache{Client: "bob"})
			require.NoError(t, ask(t, c, user("bob", "")))
			require.Equal(t, 1, k.Counts("bob").TGSRequests)
			collection.primary("other")
			require.NoError(t, ask(t, c, krb.User{}))
			require.Equal(t, 1, k.Counts("ann").TGSRequests)
			require.ErrorContains(t, ask(t, c, user("carl", "")), "another user's")
			if tc.desc != "legacy" {
				config.CacheName += ":" + name
				require.NoError(t, ask(t, krb.NewClient(config), krb.User{}))
				require.Equal(t, 2, k.Counts("ann").TGSRequests)
			}

			_, err := unix.KeyctlInt(unix.KEYCTL_CLEAR, first.id, 0, 0, 0)
			require.NoError(t, err)
			require.ErrorIs(t, ask(t, c, user("ann", "")), krb.ErrNoTicket)
			require.Zero(t, k.Total().ASRequests)
		})
	}
}

// What is in a cache besides tickets is left out, and so is what is gone.
func TestKeyringWithOtherKeys(t *testing.T) {
	collection, name := newCollection(t, unix.KEY_SPEC_SESSION_KEYRING)
	k := startKDC(t, kdc.Config{})
	cache := collection.cache(name, k, kdc.CCache{Client: "ann"})
	cache.add("keyring", "nested", nil)
	cache.add("user", "__krb5_time_offsets__", []byte{0, 0, 0, 0, 0, 0, 0, 0})
	gone := cache.add("user", "gone", []byte("x"))
	_, err := unix.KeyctlInt(unix.KEYCTL_REVOKE, gone.id, 0, 0, 0)
	require.NoError(t, err)
	owner, services, err := krb.ReadCache(t.Context(), "KEYRING:session:"+name+":"+name)
	require.NoError(t, err)
	require.Equal(t, "ann@EXAMPLE.COM", owner)
	require.Equal(t, []string{"krbtgt/EXAMPLE.COM"}, services)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, err = krb.ReadCache(ctx, "KEYRING:session:"+name+":"+name)
	require.ErrorIs(t, err, context.Canceled)
}

func TestKeyringsThatCanNotBeRead(t *testing.T) {
	collection, name := newCollection(t, unix.KEY_SPEC_SESSION_KEYRING)
	k := startKDC(t, kdc.Config{})
	config := configOf(t, k)
	for _, tc := range []struct {
		name, want string
		err        error
	}{
		{"process:x", "KEYRING:persistent:", krb.ErrCacheType},
		{"thread:x", "KEYRING:persistent:", krb.ErrCacheType},
		{"future:x", "future", krb.ErrMalformedFile},
		{"persistent:ann", "no user id", krb.ErrMalformedFile},
		{"persistent:-1", "no user id", krb.ErrMalformedFile},
		{"persistent:4294967295", "no user id", krb.ErrMalformedFile},
		{"persistent:4294967296", "no user id", krb.ErrMalformedFile},
		{"session:" + name + ":none", "there is no KEYRING:session:" + name + ":none", krb.ErrNoTicket},
	} {
		config.CacheName = "KEYRING:" + tc.name
		c := krb.NewClient(config)
		err := ask(t, c, krb.User{})
		require.ErrorIs(t, err, tc.err)
		require.ErrorContains(t, err, tc.want)
		require.NoError(t, ask(t, c, user("ann", "s3cret")))
	}
	for _, primary := range []string{"", "\x00\x00\x00\x02\x00\x00\x00\x01a", "\x00\x00\x00\x01\x00\x00\x00\x09a", "\x00\x00\x00\x01\x00\x00\x00\x01\n"} {
		collection.add("user", "krb_ccache:primary", []byte(primary + "\x00")[:max(len(primary), 1)])
		config.CacheName = "KEYRING:session:" + name
		require.ErrorIs(t, ask(t, krb.NewClient(config), krb.User{}), krb.ErrMalformedFile)
	}
}

// More than 10 MiB is not read.
func TestKeyringThatIsTooLarge(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("the kernel allows others less")
	}
	collection, name := newCollection(t, unix.KEY_SPEC_SESSION_KEYRING)
	k := startKDC(t, kdc.Config{})
	cache := collection.cache(name, k, kdc.CCache{Client: "ann"})
	for range 10<<20/32767 + 1 {
		cache.add("user", rand.Text(), make([]byte, 32767))
	}
	_, _, err := krb.ReadCache(t.Context(), "KEYRING:session:"+name+":"+name)
	require.ErrorIs(t, err, krb.ErrMalformedFile)
	require.ErrorContains(t, err, "too long")
}

// A keyring of the thread's is what makes the user's keys readable. It is empty again
// afterwards.
func TestKeyringsLeaveNothingBehind(t *testing.T) {
	collection, name := newCollection(t, unix.KEY_SPEC_USER_KEYRING)
	k := startKDC(t, kdc.Config{})
	collection.cache(name, k, kdc.CCache{Client: "ann"})
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	_, _, err := krb.ReadCache(t.Context(), "KEYRING:user:"+name+":"+name)
	require.NoError(t, err)
	_, _, err = krb.ReadCache(t.Context(), "KEYRING:persistent::none")
	require.ErrorIs(t, err, os.ErrNotExist)
	size, err := unix.KeyctlBuffer(unix.KEYCTL_READ, unix.KEY_SPEC_THREAD_KEYRING, nil, 0)
	require.NoError(t, err)
	require.Zero(t, size)
}

// A new session has neither the user's keyring nor the one that persists.
func TestKeyringsFromANewSession(t *testing.T) {
	collection, name := newCollection(t, unix.KEY_SPEC_USER_KEYRING)
	k := startKDC(t, kdc.Config{})
	collection.cache(name, k, kdc.CCache{Client: "ann"})
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with its session
		if _, err := unix.KeyctlInt(unix.KEYCTL_JOIN_SESSION_KEYRING, 0, 0, 0, 0); err != nil {
			done <- err
			return
		}
		if _, err := unix.KeyctlBuffer(unix.KEYCTL_READ, collection.id, nil, 0); err != unix.EACCES {
			done <- fmt.Errorf("the session can read the user's keys: %v", err)
			return
		}
		_, _, err := krb.ReadCache(context.WithoutCancel(t.Context()), "KEYRING:user:"+name+":"+name)
		done <- err
	}()
	require.NoError(t, <-done)
}

// Containers forbid keyctl, and small kernels lack it, or parts of it.
func TestKeyringsWithoutKeyctl(t *testing.T) {
	for errno, want := range map[unix.Errno]string{
		unix.EPERM:      "keyctl is not allowed here",
		unix.ENOSYS:     "keyctl is not allowed here",
		unix.EOPNOTSUPP: "no keyrings that persist",
	} {
		done := make(chan error)
		go func() {
			runtime.LockOSThread() // for good: the thread ends with its filter
			err := forbidKeyctl(errno)
			if err == nil {
				_, _, err = krb.ReadCache(context.WithoutCancel(t.Context()), "KEYRING:persistent:")
			}
			done <- err
		}()
		err := <-done
		require.ErrorIs(t, err, krb.ErrCacheType)
		require.ErrorContains(t, err, want)
		require.ErrorContains(t, err, "KRB5CCNAME=FILE:")
	}
}

// forbidKeyctl makes keyctl fail on this thread.
func forbidKeyctl(errno unix.Errno) error {
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS}, // the number of the system call
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_KEYCTL, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(errno)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	return unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&program)), 0, 0)
}

func FuzzKeyringDecodersDoNotPanic(f *testing.F) {
	f.Add([]byte(nil))
	f.Add([]byte("\x00\x00\x00\x01\x00\x00\x00\x03tkt"))
	f.Add([]byte("\x00\x00\x00\x01\xff\xff\xff\xfftkt"))
	f.Add([]byte("user;0;0;3f010000;__krb5_princ__"))
	f.Add([]byte("persistent:0:krb_ccache_x"))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, name := range krb.ParseKeyring(data) {
			require.NotEmpty(t, name)
		}
	})
}
