package store

import (
	"errors"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// crowded is a disk with little room.
type crowded struct{ disk }

func (crowded) free(string) (int64, bool) { return 100_000, true }

// TestNoSpace checks that a checkpoint that does not fit is refused before
// anything is written.
func TestNoSpace(t *testing.T) {
	dir := t.TempDir()
	f, err := OpenFolder(dir, Options{Keep: 1, Check: whole})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := checkpoint(t, 1, 2)
	write := func(w io.Writer) error { _, err := w.Write(b); return err }
	if err := f.Save(1, int64(len(b)), 2, write); err != nil {
		t.Fatal(err)
	}
	f.disk = crowded{}
	err = f.Save(2, 1_000_000, 1, func(io.Writer) error { t.Error("it is written"); return nil })
	var space *SpaceError
	if !errors.As(err, &space) || space.Free != 100_000 || space.Need < 1_000_000 || !strings.Contains(err.Error(), dir) {
		t.Errorf("got %v", err)
	}
	wantNames(t, dir, "LOCK", "best", "latest", "step-00000001.safetensors")
}

func wantNames(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if !slices.Equal(got, want) {
		t.Errorf("the folder holds %q, want %q", got, want)
	}
}

// TestNeverTwice checks that nothing that has a step's name is written over.
func TestNeverTwice(t *testing.T) {
	dir := t.TempDir()
	f, err := OpenFolder(dir, Options{Keep: 1, Check: whole})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := os.Symlink(filepath.Join(dir, "elsewhere"), f.Path(1)); err != nil {
		t.Skip(err)
	}
	if err := os.Mkdir(f.Path(2), 0o777); err != nil {
		t.Fatal(err)
	}
	for _, step := range []int{1, 2} {
		err := f.Save(step, 10, 1, func(io.Writer) error { t.Error("it is written"); return nil })
		if err == nil || !strings.Contains(err.Error(), "never overwritten") {
			t.Errorf("step %d: %v", step, err)
		}
	}
}

// TestAbandon checks that a run that came to nothing leaves nothing, but what
// was not its own.
func TestAbandon(t *testing.T) {
	for _, other := range []bool{false, true} {
		dir := filepath.Join(t.TempDir(), "run")
		f, err := OpenFolder(dir, Options{Keep: 2, Check: whole})
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Save(0, 10, math.NaN(), func(w io.Writer) error { _, err := w.Write(checkpoint(t, 0, 1)); return err }); err != nil {
			t.Fatal(err)
		}
		if other {
			if err := os.WriteFile(filepath.Join(dir, "notes"), nil, 0o666); err != nil {
				t.Fatal(err)
			}
		}
		if err := f.Abandon(); err != nil {
			t.Error(err)
		}
		if other {
			wantNames(t, dir, "notes")
		} else if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the folder is still there: %v", err)
		}
	}
}

// TestPointers checks what is not taken for the name of a checkpoint.
func TestPointers(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, LatestName)
	for _, text := range []string{"", "step-1.safetensors", "../step-00000001.safetensors", "step-00000001.safetensors\n\n", "step-00000001.safetensors\x00",
		"step-000000001.safetensors", "step-99999999999999999999.safetensors", "step--0000001.safetensors", strings.Repeat("x", 1000)} {
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		if to, err := Follow(path); err == nil {
			t.Errorf("%q names %s", text, to)
		}
	}
	for _, text := range []string{"step-00000001.safetensors", "step-00000001.safetensors\n"} {
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		if to, err := Follow(path); err != nil || to != filepath.Join(dir, "step-00000001.safetensors") {
			t.Errorf("%q names %s, %v", text, to, err)
		}
	}
}

func TestKept(t *testing.T) {
	for _, c := range []struct {
		steps        []int
		newest, best int
		want         []int
	}{
		{[]int{1, 2, 3, 4}, 2, 1, []int{1, 3, 4}},
		{[]int{1, 2, 3, 4}, 2, 4, []int{3, 4}},
		{[]int{1, 2}, 5, -1, []int{1, 2}},
		{[]int{7}, 1, -1, []int{7}},
		{nil, 1, -1, nil},
	} {
		if got := kept(c.steps, c.newest, c.best); !slices.Equal(got, c.want) {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

// FuzzPointer reads any text as a pointer: what is taken names a checkpoint of
// the same folder.
func FuzzPointer(f *testing.F) {
	f.Add("step-00000001.safetensors\n")
	f.Add("../step-00000001.safetensors")
	f.Fuzz(func(t *testing.T, text string) {
		d := newFaulty()
		d.names["/run/latest"] = &node{data: []byte(text)}
		step, err := readPointer(d, "/run/latest")
		if err == nil && strings.TrimSuffix(text, "\n") != stepName(step) {
			t.Errorf("%q is read as step %d", text, step)
		}
	})
}
