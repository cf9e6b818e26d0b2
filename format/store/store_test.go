package store_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/attnx/attnx/format/store"
)

// text writes s.
func text(s string) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := io.WriteString(w, s)
		return err
	}
}

// wantFolder checks that a folder holds exactly the given files, each as name
// and content in turn.
func wantFolder(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		content, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, e.Name(), string(content))
	}
	if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) {
		t.Errorf("the folder holds %q, want %q", got, want)
	}
}

func TestSave(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	large := strings.Repeat("0123456789", 100_000)
	for _, content := range []string{"first", "", large, "last"} {
		if err := store.Save(path, text(content)); err != nil {
			t.Fatal(err)
		}
		wantFolder(t, dir, "f", content)
	}
}

// TestSaveHere saves to a name without a folder, and to the longest name that
// a folder takes.
func TestSaveHere(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	long := strings.Repeat("n", 255)
	for _, name := range []string{"f", long} {
		if err := store.Save(name, text(name)); err != nil {
			t.Error(err)
		}
	}
	wantFolder(t, dir, "f", "f", long, long)
}

// TestOldFileUntilTheEnd looks at the folder while the new file is written.
func TestOldFileUntilTheEnd(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	if err := store.Save(path, text("old")); err != nil {
		t.Fatal(err)
	}
	err := store.Save(path, func(w io.Writer) error {
		if err := text(strings.Repeat("new", 100_000))(w); err != nil {
			return err
		}
		if b, err := os.ReadFile(path); err != nil || string(b) != "old" {
			t.Errorf("while the new file is written the old one is %q, %v", b, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

var errWrite = errors.New("it failed")

// TestFailingWrite lets write fail before, within and after its output, with
// and without an old file.
func TestFailingWrite(t *testing.T) {
	for _, size := range []int{0, 1, 4096, 1_000_000} {
		for _, old := range []bool{false, true} {
			dir := t.TempDir()
			path := filepath.Join(dir, "f")
			var want []string
			if old {
				if err := store.Save(path, text("old")); err != nil {
					t.Fatal(err)
				}
				want = []string{"f", "old"}
			}
			err := store.Save(path, func(w io.Writer) error {
				if err := text(strings.Repeat("x", size))(w); err != nil {
					return err
				}
				return errWrite
			})
			if !errors.Is(err, errWrite) || !strings.HasPrefix(err.Error(), path+": ") {
				t.Errorf("got %v", err)
			}
			wantFolder(t, dir, want...)
		}
	}
}

func TestPanickingWrite(t *testing.T) {
	dir := t.TempDir()
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic was swallowed")
			}
		}()
		store.Save(filepath.Join(dir, "f"), func(io.Writer) error { panic("a bug of the caller") })
	}()
	wantFolder(t, dir)
}

// TestRefusedPaths checks that nothing but a regular file is replaced, and that
// write is not even called.
func TestRefusedPaths(t *testing.T) {
	dir := t.TempDir()
	file, folder, link, dangling := filepath.Join(dir, "file"), filepath.Join(dir, "folder"), filepath.Join(dir, "link"), filepath.Join(dir, "dangling")
	if err := os.WriteFile(file, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	cases := []struct{ path, want string }{
		{"", `"" does not name a file`},
		{folder, "it is a folder"},
		{folder + "/", "does not name a file"},
		{filepath.Join(dir, "none") + "/", "does not name a file"},
		{".", "it is a folder"},
		{"..", "it is a folder"},
		{filepath.Join(dir, "none", "f"), "does not exist: create it first"},
		{filepath.Join(file, "f"), file},
		{filepath.Join(dir, strings.Repeat("n", 5000)), "long"},
	}
	if os.Symlink(file, link) == nil && os.Symlink(filepath.Join(dir, "none"), dangling) == nil { // Windows asks for a privilege
		cases = append(cases, struct{ path, want string }{link, "symbolic link"}, struct{ path, want string }{dangling, "symbolic link"})
	}
	// A socket stands for every special file. A real device must not: if the
	// check were broken, the test would replace it.
	socket := filepath.Join(dir, "socket")
	if l, err := net.Listen("unix", socket); err == nil {
		defer l.Close()
		cases = append(cases, struct{ path, want string }{socket, "it is a socket"})
	}
	for _, c := range cases {
		err := store.Save(c.path, func(io.Writer) error {
			t.Errorf("%s: write is called", c.path)
			return nil
		})
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), ".attnx-") {
			t.Errorf("%s: got %v, want it to say %q", c.path, err, c.want)
		}
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != "old" {
		t.Errorf("the file behind the link is %q, %v", b, err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 5 {
		t.Errorf("%v: something was left: %v", err, entries)
	}
}

// TestThroughLinkedFolder checks that a link in the folder's path is followed.
func TestThroughLinkedFolder(t *testing.T) {
	dir := t.TempDir()
	real, link := filepath.Join(dir, "real"), filepath.Join(dir, "link")
	if err := os.Mkdir(real, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(real, link); err != nil {
		t.Skipf("no symbolic links here: %v", err)
	}
	if err := store.Save(filepath.Join(link, "f"), text("x")); err != nil {
		t.Fatal(err)
	}
	wantFolder(t, real, "f", "x")
}

func TestReadOnlyFolder(t *testing.T) {
	if os.Geteuid() <= 0 {
		t.Skip("the superuser (and Windows) may write to any folder")
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	defer os.Chmod(dir, 0o700) // so that it can be removed
	err := store.Save(path, text("new"))
	if !errors.Is(err, fs.ErrPermission) || !strings.HasPrefix(err.Error(), path+": ") {
		t.Errorf("got %v", err)
	}
	wantFolder(t, dir, "f", "old")
}

// TestPermissions checks that a new file is readable as any other new file is,
// and that a replaced one is not opened to more people than before.
func TestPermissions(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no permission bits here")
	}
	dir := t.TempDir()
	path, plain := filepath.Join(dir, "f"), filepath.Join(dir, "plain")
	mode := func(path string) fs.FileMode {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return info.Mode()
	}
	if err := os.WriteFile(plain, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	if err := store.Save(path, text("x")); err != nil {
		t.Fatal(err)
	}
	if got, want := mode(path), mode(plain); got != want {
		t.Errorf("a new file has %v, any other %v", got, want)
	}
	for _, want := range []fs.FileMode{0o600, 0o640, 0o444} {
		if err := os.Chmod(path, want); err != nil {
			t.Fatal(err)
		}
		if err := store.Save(path, text("y")); err != nil {
			t.Fatal(err)
		}
		if got := mode(path); got != want {
			t.Errorf("a file of %v was replaced by one of %v", want, got)
		}
	}
}

// TestAtOnce saves to one path from several goroutines: one of them wins, whole.
func TestAtOnce(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			if err := store.Save(path, text(strings.Repeat(fmt.Sprint(i), 50_000))); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	b, err := os.ReadFile(path)
	if err != nil || len(b) != 50_000 || bytes.Count(b, b[:1]) != len(b) {
		t.Errorf("%v: %d bytes, not all of one writer", err, len(b))
	}
	wantFolder(t, dir, "f", string(b))
}

// TestKilled kills a process in the middle of a save. The old file stays; the
// new one's beginning lies beside it under a name that says whose it is.
func TestKilled(t *testing.T) {
	if path := os.Getenv("ATTNX_TEST_SAVE"); path != "" { // this is the process to be killed
		t.Fatal(store.Save(path, func(w io.Writer) error {
			err := text(strings.Repeat("x", 1_000_000))(w)
			fmt.Println("halfway")
			os.Stdin.Read(make([]byte, 1)) // until the end
			return err
		}))
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	if err := store.Save(path, text("old")); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestKilled$", "-test.v=false")
	cmd.Env = append(os.Environ(), "ATTNX_TEST_SAVE="+path)
	stdin, err := cmd.StdinPipe() // held open: the process waits for it
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "halfway\n" {
		t.Errorf("the process said %q, %v", line, err)
	}
	cmd.Process.Kill()
	cmd.Wait()
	if b, err := os.ReadFile(path); err != nil || string(b) != "old" {
		t.Errorf("the old file is %q, %v", b, err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, ".attnx-*.tmp")); err != nil || len(left) != 1 {
		t.Errorf("%v: beside it lie %q", err, left)
	}
	if err := store.Save(path, text("new")); err != nil {
		t.Errorf("after the kill: %v", err)
	}
}
