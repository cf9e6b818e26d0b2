//go:build cgo && linux

package signals

import (
	"errors"
	"os"
	"os/signal"
	"syscall"
	"testing"
	"unsafe"
)

// TestKeepSignals takes Go's handlers away as a library would, behind the
// back of package os/signal, and sends the signals afterwards.
func TestKeepSignals(t *testing.T) {
	signals := []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGUSR2}
	arrived := make(chan os.Signal, 8)
	for _, s := range signals {
		signal.Notify(arrived, s)
	}
	defer signal.Stop(arrived)
	take := func() error {
		for _, s := range signals[:2] {
			// The kernel's struct sigaction begins with the handler; 1 is SIG_IGN.
			action := [4]uintptr{1}
			if _, _, errno := syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, uintptr(s), uintptr(unsafe.Pointer(&action)), 0, 8, 0, 0); errno != 0 {
				return errno
			}
		}
		return nil
	}
	send := func(s syscall.Signal) {
		if err := syscall.Kill(os.Getpid(), s); err != nil {
			t.Fatal(err)
		}
	}
	// expect waits for as long as a busy machine takes: a lost signal ends in
	// the test's own time limit.
	expect := func(s syscall.Signal) {
		if got := <-arrived; got != s {
			t.Errorf("%v arrived, expected %v", got, s)
		}
	}
	changed, err := Keep(take)
	if changed != 2 || err != nil {
		t.Errorf("%d signals were put back, %v", changed, err)
	}
	for _, s := range signals {
		send(s)
		expect(s)
	}
	// Two at once, as two models that are opened together: the second begins
	// when the handlers are gone and ends last.
	began, ended, both := make(chan bool), make(chan bool), make(chan bool)
	_, err = Keep(func() error {
		err := take()
		go func() {
			defer close(both)
			if _, err := Keep(func() error { close(began); <-ended; return nil }); err != nil {
				t.Error(err)
			}
		}()
		<-began
		return err
	})
	close(ended)
	<-both
	if err != nil {
		t.Error(err)
	}
	for _, s := range signals {
		send(s)
		expect(s)
	}
	failed := errors.New("failed")
	if changed, err := Keep(func() error { return failed }); changed != 0 || err != failed {
		t.Errorf("%d signals were put back, %v", changed, err)
	}
	// The test itself: without Keep the signal is lost.
	if _, err := Keep(func() error {
		err := take()
		send(signals[0]) // ignored, so that only the next one arrives
		send(signals[2])
		expect(signals[2])
		return err
	}); err != nil {
		t.Error(err)
	}
}
