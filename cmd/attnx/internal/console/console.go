// Package console provides a command's input and output streams.
package console

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
	"github.com/attnx/attnx/internal/quote"
)

// Streams are a command's input and outputs. Only Streams knows --quiet and
// --verbose: a command writes each text to the stream for its kind.
type Streams struct {
	In     io.Reader
	Out    io.Writer // results
	Err    io.Writer // errors and warnings, each after "attnx: "
	Note   io.Writer // progress and actions: nothing with --quiet
	Detail io.Writer // details: only with --verbose
	Volume *Volume
}

// Volume is how much a command writes in addition to its results and errors.
type Volume struct{ quiet, verbose bool }

// New returns the streams of a program.
func New(in io.Reader, out, err io.Writer) Streams {
	v := &Volume{}
	return Streams{
		In: in, Out: out, Err: err, Volume: v,
		Note:   valve{err, func() bool { return !v.quiet }},
		Detail: valve{err, func() bool { return v.verbose && !v.quiet }},
	}
}

// Flags adds --quiet and --verbose.
func (v *Volume) Flags(fl *pflag.FlagSet) {
	fl.BoolVarP(&v.quiet, "quiet", "q", false, "write results, warnings and errors only")
	fl.BoolVarP(&v.verbose, "verbose", "v", false, "also write which files and library were used, and the time")
}

// Check refuses both flags at once.
func (v *Volume) Check() error {
	if v.quiet && v.verbose {
		return fmt.Errorf("--quiet and --verbose exclude each other: take one")
	}
	return nil
}

// SayInput announces that standard input is about to be read, if it is a
// terminal.
func (s Streams) SayInput() {
	if in, ok := s.In.(*os.File); ok && terminal.Of(in) != nil {
		fmt.Fprintln(s.Note, "reading standard input: end it with Ctrl-D")
	}
}

// Account writes which resources a command used.
func (s Streams) Account(took time.Duration) {
	if !s.Volume.verbose { // it searches for the library again, which takes time
		return
	}
	for _, l := range attnx.Libraries() {
		if path, source, version := l.Used(); path != "" {
			fmt.Fprintf(s.Detail, "%s %s: %s (%s)\n", l.Title, version, path, source)
		}
	}
	fmt.Fprintf(s.Detail, "time %.2f s", took.Seconds())
	if peak := memory.Peak(); peak > 0 {
		fmt.Fprintf(s.Detail, ", peak memory %s MB", quote.Count(int(peak/1e6)))
	}
	fmt.Fprintln(s.Detail)
}

// valve is a writer that can be closed: it passes on writes only while open.
type valve struct {
	io.Writer
	open func() bool
}

// Under returns the underlying writer while the valve is open.
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

// Tell writes a message of the library to the stream of its level.
func (s Streams) Tell(level find.Level, line string) {
	switch level {
	case find.Warning:
		fmt.Fprintf(s.Err, "attnx: %s\n", line)
	case find.Notice:
		fmt.Fprintln(s.Note, line)
	case find.Detail:
		fmt.Fprintln(s.Detail, line)
	}
}
