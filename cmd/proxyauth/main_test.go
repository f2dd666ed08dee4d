package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/cmd/proxyauth/internal/doctor"
	"github.com/go-proxyauth/proxyauth/internal/secretscan"
	"github.com/go-proxyauth/proxyauth/internal/testproxy"
)

const (
	user     = "ann"
	password = "s3cret-of-ann"
	wrong    = "hunter2-of-ann"
)

// asCommand is the environment variable that makes the test binary be the command.
const asCommand = "PROXYAUTH_TEST_COMMAND"

// scanned looks for passwords in what the command prints.
var scanned = secretscan.New([]string{user}, password, wrong)

// ca is shared, since keys take time to make.
var ca = testproxy.NewCA()

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		main()
		return
	}
	// The tests wait for the command more than they compute.
	flag.Set("test.parallel", strconv.Itoa(4*runtime.GOMAXPROCS(0)))
	os.Exit(scanned.Report(m.Run()))
}

// A command is a call of the program, with nothing of this machine's in its environment.
type command struct {
	args  []string
	env   []string
	stdin string
}

// A result is what a command has printed.
type result struct {
	stdout, stderr string
	exit           int
}

// run runs the command, and looks for secrets in what it prints.
func (c command) run(t *testing.T) result {
	t.Helper()
	program, err := os.Executable()
	require.NoError(t, err)
	home := t.TempDir()
	cmd := exec.CommandContext(t.Context(), program, c.args...)
	cmd.Env = append([]string{
		asCommand + "=1",
		"HOME=" + home, "USERPROFILE=" + home, "SYSTEMROOT=" + os.Getenv("SYSTEMROOT"),
		"NETRC=" + filepath.Join(home, "netrc"),
		"DBUS_SESSION_BUS_ADDRESS=unix:path=" + filepath.Join(home, "bus"), // no keyring
		"SSL_CERT_FILE=" + os.DevNull, "SSL_CERT_DIR=" + home,              // which -ca would read, each time
		"KRB5_CONFIG=" + os.DevNull, "KRB5CCNAME=FILE:" + filepath.Join(home, "tickets"),
	}, c.env...)
	cmd.Stdin = strings.NewReader(c.stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || !exit.Exited() {
		require.NoError(t, err)
	}
	scanned.Text(t.Name()+" stdout", stdout.String())
	scanned.Text(t.Name()+" stderr", stderr.String())
	return result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// json runs doctor with -json.
func (c command) json(t *testing.T) (r doctor.Report) {
	t.Helper()
	c.args = append([]string{c.args[0], "-json"}, c.args[1:]...)
	res := c.run(t)
	require.Empty(t, res.stderr)
	decoder := json.NewDecoder(strings.NewReader(res.stdout))
	decoder.DisallowUnknownFields()
	require.NoError(t, decoder.Decode(&r), "%s", res.stdout)
	require.Equal(t, 1, r.Version)
	require.Equal(t, r.Verdict.OK, res.exit == 0)
	require.NotEmpty(t, r.Verdict.Cause)
	require.NotEmpty(t, r.Verdict.Text)
	require.NotEmpty(t, r.Steps)
	return r
}

// write writes a file and returns its path.
func write(t *testing.T, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, data, 0o600))
	return path
}

func TestUsage(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		desc  string
		args  []string
		stdin string
		want  string
	}{
		{desc: "nothing", want: "doctor [flags] URL"},
		{desc: "unknown command", args: []string{"nurse"}, want: "unknown command"},
		{desc: "unknown topic", args: []string{"help", "nurse"}, want: "no help"},
		{desc: "no URL", args: []string{"doctor"}, want: "want one URL"},
		{desc: "two URLs", args: []string{"doctor", "http://a/", "http://b/"}, want: "want one URL"},
		{desc: "no URL but a host", args: []string{"doctor", "example.com"}, want: "https://host/path"},
		{desc: "another URL", args: []string{"doctor", "ftp://example.com/"}, want: "https://host/path"},
		{desc: "unknown flag", args: []string{"doctor", "-password", password, "http://a/"}, want: "-password"},
		{desc: "unknown scheme", args: []string{"doctor", "-scheme", "Bearer", "http://a/"}, want: "Negotiate, NTLM, Digest, Basic"},
		{desc: "no such file", args: []string{"doctor", "-ca", "/nowhere/ca.pem", "http://a/"}, want: "-ca"},
		{desc: "no certificate", args: []string{"doctor", "-ca", os.DevNull, "http://a/"}, want: "PEM"},
		{desc: "timeout", args: []string{"doctor", "-timeout", "0s", "http://a/"}, want: "-timeout"},
		{desc: "port out of range", args: []string{"doctor", "http://a:99999/"}, want: "65535"},
		{desc: "port zero", args: []string{"doctor", "https://a:0/"}, want: "65535"},
		{desc: "empty proxy", args: []string{"doctor", "-proxy=", "http://a/"}, want: "-proxy is empty"},
		{desc: "empty scheme", args: []string{"doctor", "-scheme", "", "http://a/"}, want: "-scheme is empty"},
		{desc: "empty user", args: []string{"doctor", "-user=", "http://a/"}, want: "-user is empty"},
		{desc: "empty name of a file", args: []string{"doctor", "-ca=", "http://a/"}, want: "-ca is empty"},
		{desc: "password without user", args: []string{"doctor", "-password-stdin", "http://a/"}, stdin: password, want: "-user"},
		{desc: "no password", args: []string{"doctor", "-user", user, "-password-stdin", "http://a/"}, want: "empty"},
		{desc: "endless password", args: []string{"doctor", "-user", user, "-password-stdin", "http://a/"}, stdin: strings.Repeat("a", 1<<20), want: "longer than 4096 bytes"},
		{desc: "password in UTF-16", args: []string{"doctor", "-user", user, "-password-stdin", "http://a/"}, stdin: "\xff\xfea\x00\r\x00\n\x00", want: "UTF-16"},
		{desc: "timeout without a unit", args: []string{"doctor", "-timeout", "10", "http://a/"}, want: "such as 30s"},
		{desc: "flags behind the URL", args: []string{"doctor", "http://a/", "-proxy", "http://ann:" + password + "@b/"}, want: "flags go before the URL"},
		{desc: "URL as a command", args: []string{"http://ann:" + password + "@b/"}, want: "proxyauth doctor URL"},
		{desc: "password in the URL", args: []string{"doctor", "http://ann:" + password + "@/"}, want: "https://host/path"},
	} {
		t.Run(tt.desc, func(t *testing.T) {
			t.Parallel()
			got := command{args: tt.args, stdin: tt.stdin}.run(t)
			require.Equal(t, exitUsage, got.exit)
			require.Empty(t, got.stdout)
			require.Contains(t, got.stderr, tt.want)
		})
	}
}

// What editors and shells put around a password is no part of it.
func TestPasswordFromStandardInput(t *testing.T) {
	t.Parallel()
	users := newAccounts()
	l := newLab(t, basicProxy(users), users)
	for _, stdin := range []string{password, password + "\n", password + "\r\n", password + "\nmore\n", "\ufeff" + password + "\r\n"} {
		c := l.doctor(password, l.target(forward, "/"))
		c.stdin = stdin
		require.Equal(t, "works", c.json(t).Verdict.Cause, "%q", stdin)
	}
	require.Empty(t, users.Failures(user))
}

func TestHelp(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"help", "doctor"}, {"doctor", "-h"}, {"doctor", "-help"}} {
		got := command{args: args}.run(t)
		require.Zero(t, got.exit)
		for _, want := range []string{"Exit status", "-password-stdin", "-try-all", "wrong usage", "proxy_skew_ms", "target_unauthorized"} {
			require.Contains(t, got.stdout, want)
		}
	}
	require.Zero(t, command{args: []string{"help"}}.run(t).exit)
	require.Contains(t, command{args: []string{"version"}}.run(t).stdout, "proxyauth ")
}

// The help has each flag, each field of the JSON form, and each cause.
func TestHelpIsComplete(t *testing.T) {
	t.Parallel()
	new(doctorFlags).set().VisitAll(func(f *flag.Flag) { require.Contains(t, doctorHelp, "\n  -"+f.Name+" ") })
	for _, name := range fieldNames(t) {
		require.Contains(t, doctorHelp, name)
	}
	for _, tt := range diagnoses {
		require.Regexp(t, `\b`+tt.cause+`\b`, doctorHelp)
	}
}
