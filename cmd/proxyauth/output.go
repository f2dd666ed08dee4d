package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"unicode/utf8"

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

	// lineWidth is where lines end that are sentences.
	lineWidth = 100
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
	if !o.colour || colour == "" || text == "" {
		return text + padding
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m" + padding
}

// step prints a step.
func (o *textOutput) step(s doctor.Step) {
	m := marks[s.Result]
	o.printf("%s  %-*s  %s\n", o.paint(m.text, m.colour, markWidth), nameWidth, s.Name, s.Text)
	for _, line := range s.Details {
		// What is in columns, or was sent by the proxy, stays as it is.
		lines := []string{line}
		if len(line) > lineWidth && !strings.Contains(line, "  ") {
			lines = wrapped(line, lineWidth-indent)
		}
		for _, line := range lines {
			o.printf("%*s%s\n", indent, "", line)
		}
	}
	for _, line := range s.Headers {
		o.printf("%*s%s\n", indent, "", line)
	}
}

// verdict prints the end.
func (o *textOutput) verdict(v doctor.Verdict) {
	colour, text := red, strings.TrimPrefix(v.Text, "proxyauth: ")
	if v.OK {
		colour = green
	}
	o.printf("\n")
	o.paragraph("verdict", bold+";"+colour, sentence(text)+" ("+v.Cause+")")
	if v.Fix != "" {
		o.paragraph("fix", bold, v.Fix)
	}
}

// paragraph prints text behind a label.
func (o *textOutput) paragraph(label, colour, text string) {
	const margin = len("verdict  ")
	for i, line := range wrapped(text, lineWidth-margin) {
		if i > 0 {
			label = ""
		}
		o.printf("%s%s\n", o.paint(label, colour, margin), line)
	}
}

// wrapped returns text in lines of a width, or of one word that is longer.
func wrapped(text string, width int) (lines []string) {
	line := ""
	for word := range strings.FieldsSeq(text) {
		switch {
		case line == "":
			line = word
		case utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > width:
			lines = append(lines, line)
			line = word
		default:
			line += " " + word
		}
	}
	return append(lines, line)
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
