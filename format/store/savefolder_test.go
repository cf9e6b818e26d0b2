package store_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/attnx/attnx/format/store"
)

func TestSaveFolder(t *testing.T) {
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty")
	if err := os.Mkdir(empty, 0o700); err != nil {
		t.Fatal(err)
	}
	large := strings.Repeat("0123456789", 100_000)
	for _, path := range []string{filepath.Join(dir, "new"), filepath.Join(dir, "slash") + "/", empty} {
		if err := store.SaveFolder(path, []store.File{{Name: "a", Write: text("x")}, {Name: "b", Write: text(large)}}); err != nil {
			t.Fatal(err)
		}
		wantFolder(t, path, "a", "x", "b", large)
	}
	wantNames(t, dir, "empty", "new", "slash")
}

// wantNames checks what lies in a folder, whatever it is.
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
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("%s holds %q, want %q", dir, got, want)
	}
}

// TestFolderInFolder saves files that lie deeper, and one that has two names.
func TestFolderInFolder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	err := store.SaveFolder(path, []store.File{
		{Name: "a/b/one", Write: text("x")}, {Name: "a/two", Write: text("y")}, {Name: "three", Link: "a/b/one"},
	})
	if err != nil {
		t.Fatal(err)
	}
	wantNames(t, path, "a", "three")
	wantNames(t, filepath.Join(path, "a"), "b", "two")
	wantFolder(t, filepath.Join(path, "a", "b"), "one", "x")
	one, err := os.Stat(filepath.Join(path, "a", "b", "one"))
	if err != nil {
		t.Fatal(err)
	}
	three, err := os.Stat(filepath.Join(path, "three"))
	if err != nil {
		t.Fatal(err)
	}
	if !os.SameFile(one, three) {
		t.Error("three is no second name of a/b/one")
	}
	if err := store.SaveFolder(filepath.Join(t.TempDir(), "g"), []store.File{{Name: "a", Link: "b"}}); err == nil || !strings.Contains(err.Error(), "g/a: not written") {
		t.Errorf("a second name of no file: %v", err)
	}
}

// TestFailingFolder lets the second file fail, or panic: nothing is left, and an
// empty folder that was there stays.
func TestFailingFolder(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "empty"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"none", "empty"} {
		path := filepath.Join(dir, name)
		err := store.SaveFolder(path, []store.File{{Name: "a", Write: text("x")}, {Name: "b", Write: func(io.Writer) error { return errWrite }}})
		if !errors.Is(err, errWrite) || !strings.HasPrefix(err.Error(), filepath.Join(path, "b")+": ") {
			t.Errorf("got %v", err)
		}
		func() {
			defer func() {
				if recover() == nil {
					t.Error("the panic was swallowed")
				}
			}()
			store.SaveFolder(path, []store.File{{Name: "a", Write: func(io.Writer) error { panic("a bug of the caller") }}})
		}()
		wantNames(t, dir, "empty")
	}
}

// TestFolderFilledMeanwhile puts a file into the empty folder while the new one
// is written: it is not lost.
func TestFolderFilledMeanwhile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	err := store.SaveFolder(path, []store.File{{Name: "a", Write: func(w io.Writer) error {
		return os.WriteFile(filepath.Join(path, "other"), []byte("y"), 0o600)
	}}})
	if err == nil || !strings.HasPrefix(err.Error(), path+": not created: ") {
		t.Errorf("got %v", err)
	}
	wantFolder(t, path, "other", "y")
	wantNames(t, dir, "f")
}

// TestRefusedFolders checks that nothing but an empty folder is replaced, and
// that nothing is written before that is known.
func TestRefusedFolders(t *testing.T) {
	dir := t.TempDir()
	file, full := filepath.Join(dir, "file"), filepath.Join(dir, "full")
	if err := os.Mkdir(full, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, f := range []string{file, filepath.Join(full, "f")} {
		if err := os.WriteFile(f, []byte("old"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cases := []struct{ path, want string }{
		{"", "this folder cannot be replaced"},
		{".", "this folder cannot be replaced"},
		{"..", "this folder cannot be replaced"},
		{"/", "this folder cannot be replaced"},
		{file, "not a folder"},
		{full, "not empty"},
		{filepath.Join(dir, "none", "f"), "does not exist: create it first"},
		{filepath.Join(file, "f"), file},
	}
	link, dangling := filepath.Join(dir, "link"), filepath.Join(dir, "dangling")
	if os.Symlink(full, link) == nil && os.Symlink(filepath.Join(dir, "none"), dangling) == nil { // Windows asks for a privilege
		cases = append(cases, struct{ path, want string }{link, "symbolic link"}, struct{ path, want string }{dangling, "symbolic link"})
	}
	for _, c := range cases {
		err := store.SaveFolder(c.path, []store.File{{Name: "a", Write: func(io.Writer) error {
			t.Errorf("%s: it is written", c.path)
			return nil
		}}})
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), ".attnx-") {
			t.Errorf("%q: got %v, want it to say %q", c.path, err, c.want)
		}
	}
	wantFolder(t, full, "f", "old")
}
