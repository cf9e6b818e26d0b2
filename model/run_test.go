package model

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/attnx/attnx/format/store"
)

// A save in the background holds what the model was when Save returned.
func TestRunSavesACopy(t *testing.T) {
	run, err := OpenRun(filepath.Join(t.TempDir(), "runs", "a"), 2)
	if err != nil {
		t.Fatal(err)
	}
	defer run.Close()
	c := tinyCheckpoint(t, "gpt2")
	var want [][]byte
	for step := range 4 {
		c.Step = step
		val := float64(10 - step)
		c.ValLoss = &val
		c.Weights[0].Data[0], c.Train.Moments[0].Data[1] = byte(step), byte(step)
		var b bytes.Buffer
		if err := c.Write(&b); err != nil {
			t.Fatal(err)
		}
		want = append(want, b.Bytes())
		if err := run.Save(c); err != nil {
			t.Fatal(err)
		}
		c.Weights[0].Data[0], c.Train.Moments[0].Data[1] = 99, 99 // the next step
	}
	if err := run.Wait(); err != nil {
		t.Fatal(err)
	}
	for step := 2; step < 4; step++ {
		if got, err := os.ReadFile(run.Path(step)); err != nil || !bytes.Equal(got, want[step]) {
			t.Errorf("step %d: %v, or another file than was asked for", step, err)
		}
	}
	if _, err := os.Stat(run.Path(1)); err == nil {
		t.Error("three checkpoints are kept, want two")
	}
	if err := run.Save(c); err == nil {
		err = run.Wait()
		if err == nil || !strings.Contains(err.Error(), "never overwritten") {
			t.Errorf("a step saved again: %v", err)
		}
	}

	var locked *store.LockedError
	if _, err := OpenRun(filepath.Dir(run.Path(0)), 2); !errors.As(err, &locked) {
		t.Errorf("a second trainer: %v", err)
	}
}

// A run whose newest files are broken goes on from the newest that is whole,
// and says which are not.
func TestRunRecovers(t *testing.T) {
	dir := t.TempDir()
	run, err := OpenRun(dir, 5)
	if err != nil {
		t.Fatal(err)
	}
	c := tinyCheckpoint(t, "gpt2")
	for c.Step = 1; c.Step <= 3; c.Step++ {
		if err := run.Save(c); err != nil {
			t.Fatal(err)
		}
	}
	if err := run.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(run.Path(3))
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.WriteFile(run.Path(3), b, 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(run.Path(4), []byte("not even begun"), 0o666); err != nil {
		t.Fatal(err)
	}
	path, broken, err := store.Newest(dir, CheckWhole)
	if err != nil || path != run.Path(2) || len(broken) != 2 || !strings.Contains(broken[1].Reason.Error(), "checksum") {
		t.Errorf("a reader takes %s, and says %v, %v", path, broken, err)
	}
	again, err := OpenRun(dir, 5)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if latest, _ := again.Latest(); latest != run.Path(2) || len(again.SetAside()) != 2 {
		t.Errorf("the newest is %s; set aside: %v", latest, again.SetAside())
	}
	if kept, err := os.ReadFile(run.Path(3) + ".corrupt"); err != nil || !bytes.Equal(kept, b) {
		t.Errorf("what was set aside is not what was there: %v", err)
	}
	saved, aside, err := store.List(dir, CheckSeal)
	if err != nil || len(saved) != 2 || len(aside) != 2 || !saved[1].Latest || !saved[0].Best && !saved[1].Best {
		t.Errorf("listed %+v, %v, %v", saved, aside, err)
	}
}
