package console_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"github.com/attnx/attnx/cmd/attnx/internal/console"
	"github.com/attnx/attnx/internal/find"
)

// Results and errors are always written; notes are not with --quiet, and details
// only with --verbose.
func TestVolume(t *testing.T) {
	for flags, want := range map[string]struct{ out, err string }{
		"":          {"result\n", "error\nattnx: warning\nnote\nnotice\n"},
		"--quiet":   {"result\n", "error\nattnx: warning\n"},
		"--verbose": {"result\n", "error\nattnx: warning\nnote\nnotice\ndetail\nmore\n"},
		"-q":        {"result\n", "error\nattnx: warning\n"},
	} {
		var out, err bytes.Buffer
		s := console.New(strings.NewReader(""), &out, &err)
		fl := pflag.NewFlagSet("test", pflag.ContinueOnError)
		s.Volume.Flags(fl)
		if bad := fl.Parse(strings.Fields(flags)); bad != nil || s.Volume.Check() != nil {
			t.Fatal(bad, s.Volume.Check())
		}
		fmt.Fprintln(s.Out, "result")
		fmt.Fprintln(s.Err, "error")
		s.Tell(find.Warning, "warning")
		fmt.Fprintln(s.Note, "note")
		s.Tell(find.Notice, "notice")
		fmt.Fprintln(s.Detail, "detail")
		s.Tell(find.Detail, "more")
		s.SayInput() // it is not a terminal
		if out.String() != want.out || err.String() != want.err {
			t.Errorf("%s: %q and %q, want %q and %q", flags, out.String(), err.String(), want.out, want.err)
		}
		err.Reset()
		s.Account(1500 * time.Millisecond)
		if has := strings.Contains(err.String(), "time 1.50 s"); has != (flags == "--verbose") {
			t.Errorf("%s: accounts %q", flags, err.String())
		}
	}
	s := console.New(nil, nil, nil)
	fl := pflag.NewFlagSet("test", pflag.ContinueOnError)
	s.Volume.Flags(fl)
	if err := fl.Parse([]string{"-q", "-v"}); err != nil || s.Volume.Check() == nil {
		t.Error("both flags are taken")
	}
}
