package interop

import (
	"strings"
	"testing"
)

// Tinyproxy configures a tinyproxy. It knows no scheme but Basic.
type Tinyproxy struct {
	Accounts []Account
}

// Start starts tinyproxy.
func (p Tinyproxy) Start(t testing.TB) *Proxy {
	t.Helper()
	program := Program(t, "tinyproxy")
	dir := NewDir(t)
	proxy, _ := newProxy(t, dir, false)
	config := []string{
		"Listen " + proxy.URL.Hostname(),
		"Port " + proxy.URL.Port(),
		"Timeout 60",
		"MaxClients 256",
		`LogFile "` + dir.Path("tinyproxy.log") + `"`,
		"LogLevel Info",
		"DisableViaHeader Yes",
	}
	for _, a := range p.Accounts {
		config = append(config, "BasicAuth "+a.Username+" "+a.Password)
	}
	proxy.process = Start(t, Command{
		Path:  program,
		Args:  []string{"-d", "-c", dir.Write("tinyproxy.conf", strings.Join(config, "\n")+"\n")},
		Dir:   dir,
		Addrs: proxy.addrs(),
		Logs:  []string{"tinyproxy.log"},
	})
	return proxy
}
