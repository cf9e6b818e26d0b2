// Package leak reports owners of memory outside Go's heap that a program drops
// without closing, and frees that memory if it can.
package leak

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// EnvDebug is the environment variable that enables reports: any value except
// "" and "0".
const EnvDebug = "ATTNX_DEBUG"

// output is the destination of reports.
var output io.Writer = os.Stderr

// Guard watches one owner of such memory until it is closed.
type Guard struct{ cleanup runtime.Cleanup }

// Watch calls free on another goroutine once owner is unreachable, unless
// Closed was called before. free must not refer to owner, which would stay
// reachable; nil frees nothing. With EnvDebug set, a line on standard error
// reports what was dropped, whether it is freed, and where it was opened.
// Methods of the owner that use the memory must keep the owner alive
// (runtime.KeepAlive).
func Watch[T any](owner *T, what string, free func()) Guard {
	o := opened{what: what, free: free}
	if v := os.Getenv(EnvDebug); v != "" && v != "0" {
		o.report, o.place = true, caller()
	}
	return Guard{runtime.AddCleanup(owner, dropped, o)}
}

// Closed ends the watch. Call it when the owner is closed.
func (g Guard) Closed() { g.cleanup.Stop() }

// opened describes an owner for a report after it is gone.
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

// caller returns file, line and function of the caller of the package that
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
