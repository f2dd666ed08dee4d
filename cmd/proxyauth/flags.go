package main

import (
	"bufio"
	"context"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/term"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/cmd/proxyauth/internal/doctor"
	"github.com/go-proxyauth/proxyauth/schemes"
)

// maxPassword bounds the line that is read from standard input.
const maxPassword = 4 << 10

// doctorFlags are the flags of doctor that are not fields of its Config.
type doctorFlags struct {
	doctor.Config
	passwordStdin bool
	schemes, ca   string
	json          bool
}

// runDoctor runs the command doctor, and returns the exit status.
func runDoctor(ctx context.Context, args []string, stdin, stdout, stderr *os.File) int {
	f, err := parseUntil(ctx, args, stdin)
	switch {
	case ctx.Err() != nil && f == nil:
		io.WriteString(stderr, "proxyauth doctor: cancelled\n")
		return exitFinding
	case errors.Is(err, flag.ErrHelp):
		io.WriteString(stdout, doctorHelp)
		return exitOK
	case err != nil:
		fmt.Fprintf(stderr, "proxyauth doctor: %v\nusage: proxyauth doctor [flags] URL; proxyauth help doctor\n", err)
		return exitUsage
	}
	f.Prompt = term.IsTerminal(int(stdin.Fd()))
	var report *doctor.Report
	if f.json {
		report = doctor.Run(ctx, f.Config)
		err = writeJSON(stdout, report)
	} else {
		out := newTextOutput(stdout)
		f.Progress = out.step
		report = doctor.Run(ctx, f.Config)
		out.verdict(report.Verdict)
		err = out.err
	}
	if err != nil {
		fmt.Fprintf(stderr, "proxyauth doctor: %v\n", err)
		return exitFinding
	}
	if !report.Verdict.OK {
		return exitFinding
	}
	return exitOK
}

// parseUntil parses the arguments, until ctx ends: a file or pipe that they name may never end.
func parseUntil(ctx context.Context, args []string, stdin *os.File) (f *doctorFlags, err error) {
	done := make(chan struct{})
	var parsed *doctorFlags
	var failed error
	go func() {
		defer close(done)
		parsed, failed = parseDoctor(args, stdin)
	}()
	select {
	case <-done:
		return parsed, failed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// set returns the flags, which write to f.
func (f *doctorFlags) set() *flag.FlagSet {
	set := flag.NewFlagSet("doctor", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	set.StringVar(&f.Proxy, "proxy", "", "")
	set.StringVar(&f.User, "user", "", "")
	set.BoolVar(&f.passwordStdin, "password-stdin", false, "")
	set.StringVar(&f.schemes, "scheme", "", "")
	set.StringVar(&f.SPN, "spn", "", "")
	set.StringVar(&f.ca, "ca", "", "")
	set.DurationVar(&f.Timeout, "timeout", doctor.DefaultTimeout, "")
	set.BoolVar(&f.Direct, "direct", false, "")
	set.BoolVar(&f.TryAll, "try-all", false, "")
	set.BoolVar(&f.Headers, "v", false, "")
	set.BoolVar(&f.json, "json", false, "")
	return set
}

// parseDoctor parses the arguments, and reads what they name.
func parseDoctor(args []string, stdin *os.File) (*doctorFlags, error) {
	f := new(doctorFlags)
	set := f.set()
	if err := set.Parse(args); err != nil {
		return nil, explained(err)
	}
	if set.NArg() != 1 {
		if rest := set.Args(); slices.ContainsFunc(rest, func(arg string) bool { return strings.HasPrefix(arg, "-") }) {
			return nil, errors.New("flags go before the URL, and the URL is the last argument")
		}
		return nil, fmt.Errorf("want one URL behind the flags, got %d arguments", set.NArg())
	}
	var empty error
	set.Visit(func(given *flag.Flag) {
		if given.Value.String() == "" {
			empty = fmt.Errorf("-%s is empty", given.Name)
		}
	})
	if empty != nil {
		return nil, empty
	}
	if f.Timeout <= 0 {
		return nil, errors.New("-timeout must be more than zero")
	}
	return f, errors.Join(f.target(set.Arg(0)), f.list(), f.roots(), f.password(stdin))
}

// explained adds to an error of package flag what it leaves out.
func explained(err error) error {
	if strings.Contains(err.Error(), "flag -timeout") {
		return errors.New("-timeout wants a number with its unit, such as 30s or 2m")
	}
	return err
}

// target parses the URL.
func (f *doctorFlags) target(text string) error {
	u, err := url.Parse(text)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" {
		return errors.New("the URL is not of the form https://host/path") // what it is may have a password in it
	}
	if port, err := strconv.Atoi(u.Port()); u.Port() != "" && (err != nil || port < 1 || port > 65535) {
		return errors.New("the port of the URL is not a number from 1 to 65535")
	}
	f.URL = u
	return nil
}

// list parses -scheme.
func (f *doctorFlags) list() error {
	if f.schemes == "" {
		return nil
	}
	var known []string
	for _, s := range schemes.Default() {
		known = append(known, s.Name())
	}
	for name := range strings.SplitSeq(f.schemes, ",") {
		found := false
		for _, k := range known {
			found = found || strings.EqualFold(k, strings.TrimSpace(name))
		}
		if !found {
			return fmt.Errorf("-scheme: want of %s, not %q", strings.Join(known, ", "), name)
		}
		f.Schemes = append(f.Schemes, strings.TrimSpace(name))
	}
	return nil
}

// roots reads -ca.
func (f *doctorFlags) roots() error {
	if f.ca == "" {
		return nil
	}
	data, err := os.ReadFile(f.ca)
	if err != nil {
		return fmt.Errorf("-ca: %w", err)
	}
	if f.Roots, err = x509.SystemCertPool(); err != nil {
		f.Roots = x509.NewCertPool()
	}
	if !f.Roots.AppendCertsFromPEM(data) {
		return fmt.Errorf("-ca: %s has no certificate in PEM", f.ca)
	}
	return nil
}

// password reads the password from standard input.
func (f *doctorFlags) password(stdin *os.File) error {
	if !f.passwordStdin {
		return nil
	}
	if f.User == "" {
		return errors.New("-password-stdin needs -user")
	}
	if term.IsTerminal(int(stdin.Fd())) {
		return errors.New("-password-stdin: standard input is a terminal, which would show the password; leave the flag out, and doctor asks for it")
	}
	line, err := bufio.NewReader(io.LimitReader(stdin, maxPassword+1)).ReadString('\n')
	if err != nil && err != io.EOF {
		return fmt.Errorf("-password-stdin: %w", err)
	}
	text := strings.TrimPrefix(strings.TrimRight(line, "\r\n"), "\ufeff") // the mark of an editor on Windows
	switch {
	case len(line) > maxPassword:
		return fmt.Errorf("-password-stdin: the line is longer than %d bytes", maxPassword)
	case strings.HasPrefix(text, "\xff\xfe"), strings.HasPrefix(text, "\xfe\xff"), strings.Contains(text, "\x00"):
		return errors.New("-password-stdin: standard input is not text in UTF-8, but in UTF-16, it seems, as Windows PowerShell writes files")
	case text == "":
		return errors.New("-password-stdin: standard input is empty")
	}
	password := proxyauth.NewSecret(text)
	f.Password = &password
	return nil
}
