// Package leak looks after what a program drops without closing it: memory
// outside Go's heap that no collector frees.
package leak

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// EnvDebug is the environment variable that turns reports on: any value but
// the empty one and "0".
const EnvDebug = "ATTNX_DEBUG"

// output is where reports go.
var output io.Writer = os.Stderr

// Guard watches one owner of such memory until it is closed.
type Guard struct{ cleanup runtime.Cleanup }

// Watch calls free once owner is unreachable, on a goroutine of its own, unless
// Closed was called before. free must not refer to owner, which would then
// never be unreachable; nil frees nothing. With EnvDebug set, a line on
// standard error says what was dropped, what becomes of it, and which line
// opened it. A method of the owner that uses the memory keeps the owner alive
// until it is done (runtime.KeepAlive).
func Watch[T any](owner *T, what string, free func()) Guard {
	o := opened{what: what, free: free}
	if v := os.Getenv(EnvDebug); v != "" && v != "0" {
		o.report, o.place = true, caller()
	}
	return Guard{runtime.AddCleanup(owner, dropped, o)}
}

// Closed ends the watch: the owner was closed.
func (g Guard) Closed() { g.cleanup.Stop() }

// opened is what is known of an owner once it is gone.
type opened struct {
	what   string
	free   func()
	report bool
	place  string
}

func dropped(o opened) {
	if o.report {
		fate := "is freed now"
		if o.free == nil {
			fate = "stays in memory until the program ends"
		}
		fmt.Fprintf(output, "attnx: %s was dropped without Close and %s; opened at %s\n", o.what, fate, o.place)
	}
	if o.free != nil {
		o.free()
	}
}

// caller returns the file, line and function that called the package which
// called Watch.
func caller() string {
	pcs := make([]uintptr, 32)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(3, pcs)])
	var first string
	for {
		f, more := frames.Next()
		dir := filepath.Dir(f.File)
		if first == "" {
			first = dir
		}
		if dir != first || strings.HasSuffix(f.File, "_test.go") || !more {
			return fmt.Sprintf("%s:%d (%s)", f.File, f.Line, f.Function)
		}
	}
}
