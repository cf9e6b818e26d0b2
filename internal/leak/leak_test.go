package leak

import (
	"bytes"
	"runtime"
	"strings"
	"sync"
	"testing"
)

type owner struct{ _ [64]byte }

// written is a writer that other goroutines write to.
type written struct {
	sync.Mutex
	bytes.Buffer
}

func (w *written) Write(p []byte) (int, error) {
	w.Lock()
	defer w.Unlock()
	return w.Buffer.Write(p)
}

func (w *written) String() string {
	w.Lock()
	defer w.Unlock()
	return w.Buffer.String()
}

//go:noinline
func drop(free func(), closed bool) {
	o := &owner{}
	g := Watch(o, "the owner", free)
	if closed {
		g.Closed()
	}
	runtime.KeepAlive(o)
}

func TestWatch(t *testing.T) {
	w := &written{}
	output = w
	freed := make(chan bool, 1)
	free := func() { freed <- true }

	drop(free, false)
	runtime.GC()
	<-freed
	if s := w.String(); s != "" {
		t.Errorf("without %s it says %q", EnvDebug, s)
	}

	t.Setenv(EnvDebug, "1")
	drop(nil, false)
	for !strings.Contains(w.String(), "\n") {
		runtime.GC()
	}
	for _, want := range []string{"the owner was dropped without Close and stays in memory", "leak_test.go:", "leak.drop"} {
		if s := w.String(); !strings.Contains(s, want) || strings.Count(s, "\n") != 1 {
			t.Errorf("it says %q, want %q", s, want)
		}
	}

	drop(func() { t.Error("what was closed is freed again") }, true)
	drop(free, false)
	runtime.GC()
	<-freed // after it all earlier ones have been seen
}
