package ending

import (
	"bytes"
	"context"
	"errors"
	"os"
	"syscall"
	"testing"
	"time"
)

const short = 30 * time.Millisecond

// A command that is asked to stop gets a moment, or the time that it takes if it
// has something to save.
func TestUntilStopped(t *testing.T) {
	failed := errors.New("failed")
	for name, c := range map[string]struct {
		command func(ctx context.Context, release chan bool) error
		stop    bool
		want    error
	}{
		"it ends":  {func(context.Context, chan bool) error { return nil }, false, nil},
		"it fails": {func(context.Context, chan bool) error { return failed }, false, failed},
		"it stops": {func(ctx context.Context, _ chan bool) error { <-ctx.Done(); return failed }, true, failed},
		"it hangs": {func(_ context.Context, release chan bool) error { <-release; return nil }, true, context.Canceled},
		"it saves a long while": {func(ctx context.Context, _ chan bool) error {
			FinishFirst(ctx)
			<-ctx.Done()
			time.Sleep(4 * short)
			return failed
		}, true, failed},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		if c.stop {
			time.AfterFunc(short, cancel)
		}
		release := make(chan bool)
		if err := UntilStopped(ctx, short, func(ctx context.Context) error { return c.command(ctx, release) }); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		cancel()
		close(release)
	}
	FinishFirst(context.Background()) // outside a command it does nothing
}

// A write waits for its reader until the program is asked to stop, and then for a
// moment only. Later writes fail at once. What the reader closed is not an error
// of the program.
func TestStream(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	asked := make(chan struct{})
	s := NewStream(w, asked, short)
	if n, err := s.Write([]byte("abc")); n != 3 || err != nil || Lost(s) != nil {
		t.Fatal(n, err, Lost(s))
	}
	if got := make([]byte, 3); true {
		if _, err := r.Read(got); err != nil || string(got) != "abc" {
			t.Fatalf("%q, %v", got, err)
		}
	}
	time.AfterFunc(short, func() { close(asked) })
	large := make([]byte, 1<<20) // more than a pipe holds
	if _, err := s.Write(large); !errors.Is(err, errHung) {
		t.Errorf("a reader that hangs: %v", err)
	}
	if _, err := s.Write([]byte("x")); !errors.Is(err, errHung) || !errors.Is(Lost(s), errHung) || Unread(s, err) {
		t.Errorf("after it: %v, lost %v", err, Lost(s))
	}
	r.Close()

	r, w, err = os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	r.Close()
	s = NewStream(w, nil, short)
	if _, err := s.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) || Lost(s) != nil || !Unread(s, err) {
		t.Errorf("a reader that is gone: %v, lost %v", err, Lost(s))
	}
	var buffer bytes.Buffer
	if s := NewStream(&buffer, nil, short); s != &buffer || Lost(s) != nil || Unread(s, errors.New("x")) {
		t.Error("a writer that is not a file is changed")
	}
}
