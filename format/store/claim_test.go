package store_test

import (
	"errors"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/attnx/attnx/format/store"
)

func anything(string, io.ReaderAt, int64) (float64, error, error) { return math.NaN(), nil, nil }

// While a place in a run's folder is claimed no process takes up the run, and
// the other way round; claims do not exclude one another.
func TestClaimExcludesRuns(t *testing.T) {
	dir := t.TempDir()
	options := store.Options{Keep: 1, Check: anything}
	run, err := store.OpenFolder(dir, options)
	if err != nil {
		t.Fatal(err)
	}
	below := filepath.Join(dir, "a", "b")
	if err := os.MkdirAll(below, 0o777); err != nil {
		t.Fatal(err)
	}
	targets := []store.Target{
		{Path: filepath.Join(dir, "x")},
		{Path: filepath.Join(below, "x")},
		{Path: filepath.Join(dir, "step-00000001.safetensors"), Kind: store.SameFile},
		{Path: filepath.Join(below, "x"), Kind: store.NewFolder},
		{Path: filepath.Join(below, "c", "x"), Kind: store.RunFolder},
	}
	locked := new(store.LockedError)
	for _, target := range append(targets, store.Target{Path: dir, Kind: store.RunFolder}) {
		if _, err := target.Claim(); !errors.As(err, &locked) {
			t.Errorf("%+v below a run that is written: %v", target, err)
		}
	}
	if err := run.Close(); err != nil {
		t.Fatal(err)
	}
	for _, target := range targets {
		claim, err := target.Claim()
		if err != nil {
			t.Fatal(err)
		}
		again, err := target.Claim()
		if err != nil {
			t.Fatalf("a second claim: %v", err)
		}
		if _, err := store.OpenFolder(dir, options); !errors.As(err, &locked) {
			t.Errorf("the run of %+v is taken up: %v", target, err)
		}
		if err := errors.Join(claim.Close(), again.Close(), claim.Close()); err != nil {
			t.Fatal(err)
		}
	}
	claim, err := store.Target{Path: dir, Kind: store.RunFolder}.Claim() // its own run may be opened
	if err != nil {
		t.Fatal(err)
	}
	defer claim.Close()
	if run, err = store.OpenFolder(dir, options); err != nil {
		t.Fatal(err)
	}
	run.Close()
}

// Inputs and objections are asked for when there is reason to, with the place
// that the path leads to.
func TestClaimAsks(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"there", "other"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.MkdirAll(filepath.Join(dir, "far", "in"), 0o777), os.Symlink("far/in", filepath.Join(dir, "link"))); err != nil {
		t.Skip(err)
	}
	root, err := filepath.EvalSymlinks(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		path, real string
		kind       store.TargetKind
		asked      bool // for its inputs
	}{
		{"there", "there", store.NewFile, true},
		{"new", "new", store.NewFile, false},
		{"link/new", "far/in/new", store.NewFile, false},
		{"link/../new", "far/new", store.NewFile, false},
		{"link/../new/", "far/new", store.NewFolder, false},
		{"link/.", "far/in", store.RunFolder, true},
	} {
		asked, objections := false, 0
		claim, err := store.Target{
			Path: dir + "/" + c.path, Kind: c.kind,
			Inputs: func() []string {
				asked = true
				return []string{filepath.Join(dir, "other"), filepath.Join(dir, "none")}
			},
			Refuse: func(real string, there fs.FileInfo) error {
				if objections++; (there != nil) != c.asked || real != filepath.Join(root, c.real) {
					t.Errorf("%s: refuse is asked about %s, %v", c.path, real, there)
				}
				return nil
			},
		}.Claim()
		if err != nil || asked != c.asked || objections != 1 || claim.Path != filepath.Join(root, c.real) {
			t.Errorf("%s: %+v, %v; asked %v, %d times", c.path, claim, err, asked, objections)
		}
		if claim != nil {
			claim.Close()
		}
	}
	_, err = store.Target{Path: filepath.Join(dir, "new"), Refuse: func(string, fs.FileInfo) error { return errors.New("no") }}.Claim()
	if err == nil || err.Error() != "no" {
		t.Errorf("an objection: %v", err)
	}
	left, err := filepath.Glob(filepath.Join(dir, ".attnx*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// A path through a link and back up is written where the system finds it.
func TestSaveBehindLink(t *testing.T) {
	dir := t.TempDir()
	if err := errors.Join(os.MkdirAll(filepath.Join(dir, "far", "in"), 0o777), os.Symlink("far/in", filepath.Join(dir, "link"))); err != nil {
		t.Skip(err)
	}
	if err := os.Chmod(dir, 0o555); err != nil { // not for root
		t.Fatal(err)
	}
	defer os.Chmod(dir, 0o777)
	write := func(w io.Writer) error { _, err := io.WriteString(w, "x"); return err }
	err := errors.Join(
		store.Save(dir+"/link/../file", write),
		store.SaveFolder(dir+"/link/../folder/", []store.File{{Name: "file", Write: write}}),
	)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"far/file", "far/folder/file"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
}

// Whatever cannot be made is refused for the reason that the system gives.
func TestClaimWhereNothingCanBeMade(t *testing.T) {
	if _, err := os.Stat("/proc/self"); err != nil {
		t.Skip(err)
	}
	for _, kind := range []store.TargetKind{store.NewFile, store.NewFolder, store.RunFolder} {
		_, err := store.Target{Path: "/proc/x", Kind: kind}.Claim()
		if err == nil || !strings.HasPrefix(err.Error(), "/proc/x: nothing can be written in /proc (") {
			t.Errorf("%d: %v", kind, err)
		}
	}
}
