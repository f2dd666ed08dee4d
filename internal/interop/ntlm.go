package interop

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// NTLMDomain is the NetBIOS name of the domain of every account in NTLM.
const NTLMDomain = "LAB"

// SquidNTLM says how squid offers NTLM. Samba's ntlm_auth verifies it.
type SquidNTLM struct {
	// Account is the one user. It may be left out if there is a Domain, whose
	// controller then knows the users.
	Account Account
	Domain  *Domain

	// KeepAliveOff makes squid close a connection after its first 407.
	KeepAliveOff bool
}

// Auth is a SquidAuth.
func (n SquidNTLM) Auth(t testing.TB, dir *Dir) []string {
	t.Helper()
	keepAlive := "on"
	if n.KeepAliveOff {
		keepAlive = "off"
	}
	return []string{
		"auth_param ntlm program " + n.helper(t, dir),
		"auth_param ntlm children 16 startup=2",
		"auth_param ntlm keep_alive " + keepAlive,
	}
}

// helper returns the path of a program that speaks squid's protocol of helpers.
func (n SquidNTLM) helper(t testing.TB, dir *Dir) string {
	t.Helper()
	command := []string{Program(t, "ntlm_auth"), "--helper-protocol=squid-2.5-ntlmssp"}
	if n.Domain != nil {
		command = slices.Concat(n.Domain.environment(), command, []string{"--configfile=" + n.Domain.config})
	} else {
		command = append(command,
			"--domain="+NTLMDomain,
			"--username="+n.Account.Username,
			"--password="+n.Account.Password,
			"--configfile="+dir.Write("smb.conf", sambaConfig(dir.path, "standalone server")),
		)
	}
	for i, word := range command {
		command[i] = "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
	}
	path := dir.Write("ntlm_auth", "#!/bin/sh\nexec "+strings.Join(command, " ")+"\n")
	require.NoError(t, os.Chmod(path, 0o700))
	return path
}

// sambaConfig returns an smb.conf that keeps everything below path.
func sambaConfig(path, role string) string {
	lines := []string{"[global]", "workgroup = " + NTLMDomain, "netbios name = PROXY", "server role = " + role, "ntlm auth = ntlmv2-only"}
	for _, name := range []string{"private dir", "lock directory", "state directory", "cache directory", "pid directory", "binddns dir"} {
		lines = append(lines, name+" = "+path)
	}
	return strings.Join(append(lines, "log file = "+path+"/samba.log"), "\n") + "\n"
}
