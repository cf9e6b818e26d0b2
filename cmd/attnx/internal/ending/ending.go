// Package ending ends a program cleanly: on signals, and when the reader of its
// output is gone.
package ending

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

// oneRequest is the period in which several signals count as one request to
// stop. A closing terminal sends SIGHUP twice, and timeout(1) signals both the
// process and its group.
const oneRequest = 200 * time.Millisecond

// The times that remain once the program is asked to stop.
const (
	// Grace is for a command with nothing to save. A user who presses Ctrl-C waits for it,
	// whatever the command is in the middle of.
	Grace = 700 * time.Millisecond
	// Reading is for a write whose reader is slow: what it has to say may be how to continue
	// a run that was just saved.
	Reading = 3 * time.Second
)

// Asked returns a context that ends with the first signal to stop, so that the
// current work can end cleanly. A later SIGINT or SIGTERM ends the program at
// once.
//
// A SIGHUP that was ignored at the start (nohup) stays ignored. SIGQUIT is left
// to Go, which prints the stacks of all goroutines: use it to end, and to
// report, a program that hangs.
func Asked(parent context.Context) (ctx context.Context, stop func()) {
	signals := append([]os.Signal{os.Interrupt, syscall.SIGTERM}, batchSignals...)
	if !signal.Ignored(syscall.SIGHUP) {
		signals = append(signals, syscall.SIGHUP)
	}
	ctx, cancel := context.WithCancel(parent)
	came := make(chan os.Signal, 1)
	signal.Notify(came, signals...)
	go func() {
		select {
		case <-ctx.Done():
			return
		case <-came:
			cancel()
		}
		time.Sleep(oneRequest)
		signal.Reset(os.Interrupt, syscall.SIGTERM)
	}()
	return ctx, func() {
		if ctx.Err() == nil { // a terminal's second SIGHUP must not kill a program that is already ending
			signal.Stop(came)
		}
		cancel()
	}
}

// SurviveClosedOutput makes a write to a closed pipe return an error. By
// default Go ends the program if that pipe is standard output or standard
// error. The setting does not affect child processes.
func SurviveClosedOutput() { signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) }

// Stream is standard output or standard error. It remembers the first write
// error, because most of a command's writes are not checked one by one.
//
// Once the program is asked to stop, a write may take the grace period. A reader
// that hangs, such as a pager that nobody scrolls, must not keep the program from
// saving a run and ending. Later writes then fail at once.
type Stream struct {
	file  *os.File
	asked <-chan struct{} // closed when the program is asked to stop
	grace time.Duration

	mu   sync.Mutex
	hung bool
	err  error
}

// errHung means that a write was abandoned because the program was asked to stop.
var errHung = fmt.Errorf("nobody reads it: %w", context.Canceled)

// NewStream returns w as a Stream whose writes are abandoned after grace once asked is
// closed. A writer that is not a file never hangs, and is returned unchanged.
func NewStream(w io.Writer, asked <-chan struct{}, grace time.Duration) io.Writer {
	if f, ok := w.(*os.File); ok {
		return &Stream{file: f, asked: asked, grace: grace}
	}
	return w
}

// Write writes to the file, for as long as the program should wait for it.
func (o *Stream) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n, err := o.write(b)
	if o.err == nil {
		o.err = err
	}
	return n, err
}

func (o *Stream) write(b []byte) (n int, err error) {
	if o.hung {
		return 0, errHung
	}
	done := make(chan func() (int, error), 1)
	go func(b []byte) {
		n, err := o.file.Write(b)
		done <- func() (int, error) { return n, err }
	}(bytes.Clone(b)) // a copy, since an abandoned write outlives the caller's use of b
	select {
	case result := <-done:
		return result()
	case <-o.asked:
	}
	select {
	case result := <-done:
		return result()
	case <-time.After(o.grace):
		o.hung = true
		return 0, errHung
	}
}

// Under returns the file.
func (o *Stream) Under() io.Writer { return o.file }

// first returns the first write error.
func (o *Stream) first() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.err
}

// Lost returns why a result did not reach standard output, nil if it did. A
// reader that closed the pipe needs no more output, so that is not an error.
func Lost(w io.Writer) error {
	if o, ok := w.(*Stream); ok && !errors.Is(o.first(), syscall.EPIPE) {
		return o.first()
	}
	return nil
}

// Unread reports whether err means that the reader of standard output has
// closed it.
func Unread(w io.Writer, err error) bool {
	o, ok := w.(*Stream)
	return ok && errors.Is(o.first(), syscall.EPIPE) && errors.Is(err, syscall.EPIPE)
}

// saving records whether a command must save something before the program may
// end.
type saving struct {
	sync.Mutex
	saves bool
}

type savingKey struct{}

// FinishFirst makes the program wait for the command when it is asked to stop.
func FinishFirst(ctx context.Context) {
	if e, ok := ctx.Value(savingKey{}).(*saving); ok {
		e.Lock()
		e.saves = true
		e.Unlock()
	}
}

// UntilStopped runs a command. When ctx ends, a command that has called
// FinishFirst gets the time it needs, and any other gets the grace period: a
// command that waits for a pipe or a slow disk must not keep the program from
// ending.
func UntilStopped(ctx context.Context, grace time.Duration, command func(context.Context) error) error {
	e := &saving{}
	ended := make(chan error, 1)
	go func() { ended <- command(context.WithValue(ctx, savingKey{}, e)) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-ended:
		return err
	case <-time.After(grace):
	}
	e.Lock()
	if !e.saves { // the lock stays held, so the command cannot begin to save
		return ctx.Err()
	}
	e.Unlock()
	return <-ended
}
