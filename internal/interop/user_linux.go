package interop

import (
	"fmt"
	"os"
	"os/user"
	"strconv"
	"sync"
	"syscall"
)

// squid and Apache refuse to serve as root, so that tests which run as root, in a
// container for instance, start every server as this user.
const serverUser = "nobody"

// serverCredential returns what a server runs as: nil if it is the user of the
// tests.
var serverCredential = sync.OnceValues(func() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup(serverUser)
	if err != nil {
		return nil, fmt.Errorf("interop: user of the servers: %w", err)
	}
	uid, uidErr := strconv.ParseUint(u.Uid, 10, 32)
	gid, gidErr := strconv.ParseUint(u.Gid, 10, 32)
	if uidErr != nil || gidErr != nil {
		return nil, fmt.Errorf("interop: user of the servers: ids %q and %q", u.Uid, u.Gid)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
})

func giveToServer(path string) error {
	credential, err := serverCredential()
	if err != nil || credential == nil {
		return err
	}
	return os.Chown(path, int(credential.Uid), int(credential.Gid))
}

// lendToServer makes the server's group that of path.
func lendToServer(path string) error {
	credential, err := serverCredential()
	if err != nil || credential == nil {
		return err
	}
	return os.Chown(path, -1, int(credential.Gid))
}
