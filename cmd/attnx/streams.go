package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/pflag"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/cmd/attnx/internal/terminal"
	"github.com/attnx/attnx/internal/find"
	"github.com/attnx/attnx/internal/memory"
)

// streams are where a command reads and writes. Nobody but streams knows of
// --quiet and --verbose: a command writes to the stream that its words belong to.
type streams struct {
	in     io.Reader
	out    io.Writer // results
	err    io.Writer // errors and warnings, each after "attnx: "
	note   io.Writer // progress, and what was done: nothing with --quiet
	detail io.Writer // how it was done: nothing without --verbose
	volume *volume
}

// volume is how much a command writes beside its results and errors.
type volume struct{ quiet, verbose bool }

func newStreams(in io.Reader, out, err io.Writer) streams {
	v := &volume{}
	return streams{
		in: in, out: out, err: err, volume: v,
		note:   valve{err, func() bool { return !v.quiet }},
		detail: valve{err, func() bool { return v.verbose && !v.quiet }},
	}
}

// flags adds --quiet and --verbose.
func (v *volume) flags(fl *pflag.FlagSet) {
	fl.BoolVarP(&v.quiet, "quiet", "q", false, "write results, warnings and errors only")
	fl.BoolVarP(&v.verbose, "verbose", "v", false, "also write which files and library were used, and the time")
}

func (v *volume) check() error {
	if v.quiet && v.verbose {
		return fmt.Errorf("--quiet and --verbose exclude each other: take one")
	}
	return nil
}

// sayInput says, where standard input is a terminal, that it is about to be read.
func (s streams) sayInput() {
	if in, ok := s.in.(*os.File); ok && terminal.Of(in) != nil {
		fmt.Fprintln(s.note, "reading standard input: end it with Ctrl-D")
	}
}

// account writes the details of what a command used.
func (s streams) account(took time.Duration) {
	if !s.volume.verbose { // it looks for the library again, which takes time
		return
	}
	for _, l := range attnx.Libraries() {
		if path, source, version := l.Used(); path != "" {
			fmt.Fprintf(s.detail, "%s %s: %s (%s)\n", l.Title, version, path, source)
		}
	}
	fmt.Fprintf(s.detail, "time %.2f s", took.Seconds())
	if peak := memory.Peak(); peak > 0 {
		fmt.Fprintf(s.detail, ", peak memory %s MB", thousands(int(peak/1e6)))
	}
	fmt.Fprintln(s.detail)
}

// valve passes on what is written while it is open.
type valve struct {
	io.Writer
	open func() bool
}

// Under returns what it passes on to while it is open.
func (v valve) Under() io.Writer {
	if !v.open() {
		return nil
	}
	return v.Writer
}

func (v valve) Write(p []byte) (int, error) {
	if !v.open() {
		return len(p), nil
	}
	return v.Writer.Write(p)
}

// tell passes on what the library tells.
func (s streams) tell(level find.Level, line string) {
	switch level {
	case find.Warning:
		fmt.Fprintf(s.err, "attnx: %s\n", line)
	case find.Notice:
		fmt.Fprintln(s.note, line)
	case find.Detail:
		fmt.Fprintln(s.detail, line)
	}
}
