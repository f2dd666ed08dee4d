package credentials_test

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/go-proxyauth/proxyauth/credentials"
)

// helper returns a Command that runs beHelper in a process of its own.
func helper(t testing.TB, mode string, env ...string) *credentials.Command {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// The race detector would wait for a second before the process ends.
	env = append(env, "GORACE=atexit_sleep_ms=0", "PROXYAUTH_TEST_HELPER="+mode, "LOG="+t.TempDir()+"/log")
	return &credentials.Command{
		Args: []string{exe, "an argument"},
		Env:  append(os.Environ(), env...),
		JSON: strings.HasPrefix(mode, "json"),
	}
}

// logged returns what the helper was run with.
func logged(c *credentials.Command) string {
	path := strings.TrimPrefix(c.Env[len(c.Env)-1], "LOG=")
	text, _ := os.ReadFile(path)
	return string(text)
}

// moreHelpers are the modes that not every system has.
var moreHelpers map[string]func()

// beHelper is the program. The text that it prints comes in the environment.
func beHelper(mode string) {
	input, _ := io.ReadAll(os.Stdin)
	note(fmt.Sprintf("%q\n%s", os.Args[1:], input))
	fmt.Fprint(os.Stderr, os.Getenv("STDERR"))
	switch mode {
	case "print", "json":
		fmt.Print(os.Getenv("STDOUT"))
	case "json-env":
		fmt.Printf(`{"username": "%s", "password": "%s %s"}`, os.Getenv("PROXYAUTH_USERNAME"), os.Getenv("PROXYAUTH_PROXY"), os.Getenv("PROXYAUTH_SCHEME"))
	case "fail":
		fmt.Print(os.Getenv("STDOUT"))
		os.Exit(3)
	case "endless":
		for {
			if _, err := fmt.Println(strings.Repeat("x", 4096)); err != nil {
				os.Exit(1)
			}
		}
	case "daemon":
		fmt.Print(os.Getenv("STDOUT"))
		daemon := exec.Command(os.Args[0])
		daemon.Env = append(os.Environ(), "PROXYAUTH_TEST_HELPER=linger")
		daemon.Stdout = os.Stdout
		if err := daemon.Start(); err != nil {
			panic(err)
		}
	case "linger":
		time.Sleep(3 * time.Second) // with the output open
	case "hang":
		note("hanging\n")
		select {}
	default:
		moreHelpers[mode]()
	}
}

func note(text string) {
	f, err := os.OpenFile(os.Getenv("LOG"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		panic(err)
	}
	defer f.Close()
	io.WriteString(f, text)
}

func textLogger(w io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug}))
}
