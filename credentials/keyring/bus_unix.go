//go:build unix && !darwin

package keyring

import (
	"errors"
	"fmt"
	"os"
)

var errNoBus = errors.New("there is no session bus of D-Bus")

// reachable returns an error if there is no session bus. Package dbus looks for one in the
// same places, and then runs dbus-launch: that starts a daemon which outlives the program.
func reachable() error {
	if address := os.Getenv("DBUS_SESSION_BUS_ADDRESS"); address != "" && address != "autolaunch:" {
		return nil
	}
	for _, name := range []string{"bus", "dbus-session"} {
		if _, err := os.Stat(fmt.Sprintf("/run/user/%d/%s", os.Getuid(), name)); err == nil {
			return nil
		}
	}
	return errNoBus
}
