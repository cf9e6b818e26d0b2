package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

// oneRequest is how long signals count as one request to stop. A terminal that
// closes sends SIGHUP twice, and timeout(1) sends its signal to the process and
// to its group.
const oneRequest = 200 * time.Millisecond

// grace is how long a command that has nothing to save may take to stop.
const grace = 3 * time.Second

// asked returns a context that ends with the first signal that asks the program
// to stop: the work in hand then ends in good order. A later SIGINT or SIGTERM
// ends the program at once.
//
// A SIGHUP that was ignored from the start (nohup) stays ignored. SIGQUIT is
// left to Go, which prints where every goroutine is: it is the way out of, and
// the way to report, a program that hangs.
func asked(parent context.Context) (ctx context.Context, stop func()) {
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
	return ctx, func() { cancel(); signal.Stop(came) }
}

// surviveClosedOutput makes a write to a closed pipe an error of that write.
// Otherwise Go ends the program where the pipe is standard output or standard
// error. The programs that attnx starts are not affected.
func surviveClosedOutput() { signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) }

// resultStream is standard output. It remembers the first error of a write, because
// most of a command's writes are not checked one by one.
type resultStream struct {
	file *os.File
	err  error
}

func (o *resultStream) Write(b []byte) (int, error) {
	n, err := o.file.Write(b)
	if o.err == nil {
		o.err = err
	}
	return n, err
}

// lost returns why a result did not reach standard output, nil if it did. A
// reader that has closed the pipe has had enough: that is no error.
func lost(w io.Writer) error {
	if o, ok := w.(*resultStream); ok && !errors.Is(o.err, syscall.EPIPE) {
		return o.err
	}
	return nil
}

// unread reports whether err says that the reader of standard output has closed
// it.
func unread(w io.Writer, err error) bool {
	o, ok := w.(*resultStream)
	return ok && errors.Is(o.err, syscall.EPIPE) && errors.Is(err, syscall.EPIPE)
}

// ending says whether a command has something to save before the program may
// end.
type ending struct {
	sync.Mutex
	saves bool
}

type endingKey struct{}

// finishFirst keeps the program, when it is asked to stop, from ending before
// the command does.
func finishFirst(ctx context.Context) {
	if e, ok := ctx.Value(endingKey{}).(*ending); ok {
		e.Lock()
		e.saves = true
		e.Unlock()
	}
}

// untilStopped runs a command. When ctx ends, a command that has called
// finishFirst gets the time it needs, and any other the time of grace: one that
// waits for a pipe or a slow disk must not keep the program from ending.
func untilStopped(ctx context.Context, grace time.Duration, command func(context.Context) error) error {
	e := &ending{}
	ended := make(chan error, 1)
	go func() { ended <- command(context.WithValue(ctx, endingKey{}, e)) }()
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
	if !e.saves { // and it does not begin to: the lock is kept
		return ctx.Err()
	}
	e.Unlock()
	return <-ended
}
