package attnx_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/fixtures"
	"github.com/attnx/attnx/model/train"
)

// unprivileged calls f as a user who may write nothing in these tests' folders,
// even where the tests run as root.
func unprivileged(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // the thread ends with this goroutine
		const nobody = 65534
		_, _, _ = syscall.RawSyscall(syscall.SYS_SETFSUID, nobody, 0, 0)
		f()
	}()
	<-done
}

// A finished run is finished wherever it is: nothing is written to say so. One
// that is to go on needs its folder.
func TestResumeFinishedReadOnly(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "text.txt")
	check(os.WriteFile(text, []byte(fixtures.Notes()), 0o666))
	run := filepath.Join(dir, "run")
	settings := train.DefaultOptions(2)
	settings.Batch = 2
	_, err := attnx.Train(context.Background(), attnx.TrainOptions{Out: run, Data: attnx.Corpus{Files: []string{text}}, Context: 8, Settings: settings, Engine: "gorgonia"})
	check(err)
	for at := run; at != os.TempDir() && at != filepath.Dir(at); at = filepath.Dir(at) {
		_ = os.Chmod(at, 0o555) // others may read
	}
	defer os.Chmod(dir, 0o777)
	defer os.Chmod(run, 0o777)
	unprivileged(func() {
		r, err := attnx.Resume(context.Background(), run, attnx.ResumeOptions{})
		if err != nil || r.Ended != attnx.Complete || r.Done != 0 || r.Model.Step != 2 {
			t.Errorf("a finished run that is only read: %+v, %v", r, err)
		}
		if _, err := attnx.Resume(context.Background(), run, attnx.ResumeOptions{Steps: 3}); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("a run that is to go on where nothing can be written: %v", err)
		}
	})
}
