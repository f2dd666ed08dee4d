package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/term"

	"github.com/go-proxyauth/proxyauth/cmd/proxyauth/internal/doctor"
)

// The colours of a terminal.
const (
	red, green, yellow = "31", "32", "33"
	bold               = "1"
)

// A mark stands before a step.
type mark struct{ text, colour string }

var marks = map[doctor.Result]mark{
	doctor.OK:      {"ok", green},
	doctor.Warning: {"!", yellow},
	doctor.Failed:  {"FAIL", red},
	doctor.Skipped: {"-", ""},
}

const (
	markWidth = 4
	nameWidth = 11
	indent    = markWidth + nameWidth + 4
)

// A textOutput prints a report for a person, step by step.
type textOutput struct {
	w      io.Writer
	colour bool
	err    error
}

// newTextOutput returns an output for f, in colour on a terminal unless NO_COLOR is set.
func newTextOutput(f *os.File) *textOutput {
	plain := os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" || runtime.GOOS == "windows" && os.Getenv("WT_SESSION") == ""
	return &textOutput{w: f, colour: !plain && term.IsTerminal(int(f.Fd()))}
}

func (o *textOutput) printf(format string, args ...any) {
	if _, err := fmt.Fprintf(o.w, format, args...); o.err == nil {
		o.err = err
	}
}

// paint returns text in a colour. The width is that of text without it.
func (o *textOutput) paint(text, colour string, width int) string {
	padding := strings.Repeat(" ", max(width-len(text), 0))
	if !o.colour || colour == "" {
		return text + padding
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m" + padding
}

// step prints a step.
func (o *textOutput) step(s doctor.Step) {
	m := marks[s.Result]
	o.printf("%s  %-*s  %s\n", o.paint(m.text, m.colour, markWidth), nameWidth, s.Name, s.Text)
	for _, line := range slices.Concat(s.Details, s.Headers) {
		o.printf("%*s%s\n", indent, "", line)
	}
}

// verdict prints the end.
func (o *textOutput) verdict(v doctor.Verdict) {
	colour, text := red, strings.TrimPrefix(v.Text, "proxyauth: ")
	if v.OK {
		colour = green
	}
	o.printf("\n%s  %s\n", o.paint("verdict", bold+";"+colour, 0), sentence(text)+" ("+v.Cause+")")
	if v.Fix != "" {
		o.printf("%s      %s\n", o.paint("fix", bold, 0), v.Fix)
	}
}

// sentence returns text with a capital letter at its begin.
func sentence(text string) string {
	if text == "" {
		return text
	}
	return strings.ToUpper(text[:1]) + text[1:]
}

// writeJSON prints a report for a machine.
func writeJSON(w io.Writer, r *doctor.Report) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(r)
}
