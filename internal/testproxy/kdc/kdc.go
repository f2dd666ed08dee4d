package kdc

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// A KDC is a running key distribution centre. Its methods are safe for
// concurrent use. What a method is told of a principal that the KDC does not
// know is ignored.
type KDC struct {
	cfg    Config
	ctx    context.Context // done when the KDC closes
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu         sync.Mutex
	principals map[string]*principal
	total      Counts
	offset     time.Duration
	fault      Fault
	forgery    Forgery
	hold       *Hold
	addr       string
	listener   net.Listener
	packets    net.PacketConn
	conns      map[net.Conn]struct{}
}

// New starts a KDC on a free port of the loopback, over TCP and UDP. The caller
// closes it.
func New(cfg Config) (*KDC, error) {
	k := &KDC{cfg: cfg.withDefaults(), principals: map[string]*principal{}, conns: map[net.Conn]struct{}{}}
	k.ctx, k.cancel = context.WithCancel(context.Background())
	if err := k.addPrincipals(); err != nil {
		return nil, err
	}
	if err := k.listenAnywhere(); err != nil {
		return nil, err
	}
	return k, nil
}

func (k *KDC) addPrincipals() error {
	tgs := Principal{Name: k.tgsName()}
	for _, p := range append([]Principal{tgs}, k.cfg.Principals...) {
		added, err := newPrincipal(p, k.cfg)
		if err != nil {
			return err
		}
		k.principals[p.Name] = added
	}
	return nil
}

// TB is the part of testing.TB that [Start] uses.
type TB interface {
	Helper()
	Cleanup(func())
	Fatalf(format string, args ...any)
}

// Start is [New] for a test, which closes the KDC when it ends.
func Start(t TB, cfg Config) *KDC {
	t.Helper()
	k, err := New(cfg)
	if err != nil {
		t.Fatalf("%v", err)
	}
	t.Cleanup(func() { k.Close() })
	return k
}

// Close stops the KDC and waits for what it was doing. Requests that are held
// are dropped.
func (k *KDC) Close() error {
	k.cancel()
	err := k.Down()
	k.wg.Wait()
	return err
}

// Realm returns the realm that the KDC serves.
func (k *KDC) Realm() string { return k.cfg.Realm }

// Addr returns the host and port on which the KDC listens.
func (k *KDC) Addr() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.addr
}

// Down makes the KDC unreachable: connections to it are refused, and those that
// are open are closed.
func (k *KDC) Down() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.listener == nil {
		return nil
	}
	err := errors.Join(k.listener.Close(), k.packets.Close())
	k.listener, k.packets = nil, nil
	for conn := range k.conns {
		conn.Close()
	}
	return err
}

// Up undoes [KDC.Down]. It fails if another program has taken the port.
func (k *KDC) Up() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.listener != nil || k.ctx.Err() != nil {
		return nil
	}
	return k.listen(k.addr)
}

// SetClockOffset makes the KDC's clock run ahead of the time by d, or behind if
// d is negative.
func (k *KDC) SetClockOffset(d time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.offset = d
}

// now returns the KDC's time, in whole seconds as tickets have it. The caller
// holds k.mu.
func (k *KDC) now() time.Time {
	return k.cfg.Now().Add(k.offset).UTC().Truncate(time.Second)
}

func (k *KDC) tgsName() string { return "krbtgt/" + k.cfg.Realm }

// maxPorts is how many times a port is tried of which TCP and UDP must both be
// free.
const maxPorts = 20

func (k *KDC) listenAnywhere() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	var err error
	for range maxPorts {
		if err = k.listen("127.0.0.1:0"); err == nil {
			return nil
		}
	}
	return fmt.Errorf("kdc: no port: %w", err)
}
