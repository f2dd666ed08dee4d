// Proxyauth finds out why a URL does not load through a proxy, and says what to do.
//
//	go install github.com/go-proxyauth/proxyauth/cmd/proxyauth@latest
//	proxyauth doctor https://example.com/
//
// It does what a program does that uses the library with its default schemes, step by step:
// which proxy, is it there, what does it ask for, with which credentials, does it accept
// them, does the target answer. It never shows a password, and sends a wrong one once.
//
//	proxyauth help doctor
//
// lists flags, exit status and the fields of its JSON form.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strings"
)

// The exit status.
const (
	exitOK      = 0
	exitFinding = 1
	exitUsage   = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run runs the command with its arguments, and returns the exit status.
func run(ctx context.Context, args []string, stdin, stdout, stderr *os.File) int {
	if len(args) == 0 {
		io.WriteString(stderr, usage)
		return exitUsage
	}
	switch args[0] {
	case "doctor":
		return runDoctor(ctx, args[1:], stdin, stdout, stderr)
	case "version", "-version", "--version":
		fmt.Fprintln(stdout, version())
		return exitOK
	case "help", "-h", "-help", "--help":
		return help(args[1:], stdout, stderr)
	}
	if strings.Contains(args[0], "://") { // a URL may have a password in it
		fmt.Fprintf(stderr, "proxyauth: a URL is no command; for what is wrong with one: proxyauth doctor URL\n\n%s", usage)
		return exitUsage
	}
	fmt.Fprintf(stderr, "proxyauth: unknown command %q\n\n%s", args[0], usage)
	return exitUsage
}

func help(topics []string, stdout, stderr io.Writer) int {
	switch {
	case len(topics) == 0:
		io.WriteString(stdout, usage)
		return exitOK
	case len(topics) == 1 && topics[0] == "doctor":
		io.WriteString(stdout, doctorHelp)
		return exitOK
	}
	fmt.Fprintf(stderr, "proxyauth: no help on %q\n\n%s", topics[0], usage)
	return exitUsage
}

// version returns what the program was built from.
func version() string {
	v := "(unknown)"
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		v = info.Main.Version
	}
	return fmt.Sprintf("proxyauth %s %s %s/%s", v, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
