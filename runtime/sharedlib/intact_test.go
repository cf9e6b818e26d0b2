//go:build unix

package sharedlib

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/attnx/attnx/runtime"
	"github.com/attnx/attnx/runtime/sharedlib/elftest"
)

// nowhere is a machine without libraries.
func nowhere() Machine { return Machine{Getenv: func(string) string { return "" }} }

// replace puts something else in a file's place.
func replace(t *testing.T, path string, put func() error) {
	t.Helper()
	if err := errors.Join(os.RemoveAll(path), put()); err != nil {
		t.Fatal(err)
	}
}

// damages are what may lie where a library was: each takes the library's path
// and bytes, and the error that names it.
var damages = map[string]struct {
	do   func(path string, library []byte) error
	want string
}{
	"a byte too few": {func(path string, b []byte) error { return os.WriteFile(path, b[:len(b)-1], 0o644) }, "bytes, "},
	"empty":          {func(path string, _ []byte) error { return os.WriteFile(path, nil, 0o644) }, "it has 0 bytes, "},
	"a byte more":    {func(path string, b []byte) error { return os.WriteFile(path, append(b[:len(b):len(b)], 0), 0o644) }, "bytes, "},
	"a flipped bit": {func(path string, b []byte) error {
		b = append([]byte{}, b...)
		b[len(b)/2] ^= 4
		return os.WriteFile(path, b, 0o644)
	}, "SHA-256"},
	"a folder": {func(path string, _ []byte) error { return os.Mkdir(path, 0o755) }, "not a regular file"},
	"a pipe":   {func(path string, _ []byte) error { return syscall.Mkfifo(path, 0o644) }, "not a regular file"},
	"a link to itself": {func(path string, _ []byte) error { return os.Symlink(filepath.Base(path), path) },
		"symbolic links"},
	"a link to nothing": {func(path string, _ []byte) error { return os.Symlink("nothing", path) }, "no such file"},
}

// TestDamagedCache finds each damage before the library is opened, and an
// installation mends it.
func TestDamagedCache(t *testing.T) {
	library := elftest.File([]string{"libm.so.6"}, "")
	archive := tgz(t, member{name: "dir/lib", content: string(library)})
	from := of("npm", archive)
	from.Files = []Packed{holding("dir/lib", string(library))}
	fake(t, map[string]string{"npm": serveNPM}, archive)
	cache := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", cache)
	t.Setenv("HOME", cache)
	b := Build{Name: "CPU", Remedy: runtime.InstallLibrary + ", which fetches it again", Bundles: []Bundle{from}}
	dir, err := kind.CacheFolder(b)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, kind.Names[0])
	mend := func(times int) {
		t.Helper()
		before := calls(t)
		if _, err := kind.install(context.Background(), dir, b, InstallOptions{}); err != nil || calls(t) != before+times {
			t.Fatalf("%v, after %d calls, want %d", err, calls(t)-before, times)
		}
		if lib, _, err := kind.Find(nowhere(), Search{Builds: []Build{b}}); err != nil || lib.Path != path {
			t.Fatalf("found %+v, %v", lib, err)
		}
	}
	mend(1)
	for name, d := range damages {
		replace(t, path, func() error { return d.do(path, library) })
		_, named, err := kind.Find(nowhere(), Search{Builds: []Build{b}})
		var u *runtime.UnavailableError
		if !errors.As(err, &u) || named || !strings.Contains(u.Reason, path+" is damaged: ") || !strings.Contains(u.Reason, d.want) ||
			!strings.Contains(u.Remedy, "library.Install") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", name, err)
		}
		mend(1)
		mend(0)
	}

	// What says which files were checked may be anything, too.
	for _, text := range []string{"", "nonsense\n", strings.Repeat("x", 1<<17)} {
		replace(t, filepath.Join(dir, checkedName), func() error { return os.WriteFile(filepath.Join(dir, checkedName), []byte(text), 0o644) })
		mend(0)
	}
	replace(t, filepath.Join(dir, checkedName), func() error { return syscall.Mkfifo(filepath.Join(dir, checkedName), 0o644) })
	mend(0)

	// Bytes that change without a trace are found where every byte is read.
	flipped := append([]byte{}, library...)
	flipped[100] ^= 1
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	replace(t, path, func() error {
		return errors.Join(os.WriteFile(path, flipped, 0o644), os.Chtimes(path, time.Time{}, info.ModTime()))
	})
	if _, _, err := kind.Find(nowhere(), Search{Builds: []Build{b}}); err != nil {
		t.Errorf("found after a change that no time shows: %v", err)
	}
	var damaged *damageError
	if err := kind.Check(b, dir, true); !errors.As(err, &damaged) {
		t.Errorf("every byte was read: %v", err)
	}
	if _, _, err := kind.Find(nowhere(), Search{Builds: []Build{b}}); err == nil {
		t.Error("what was found damaged is found whole")
	}
	mend(1)

	// An installation that was killed leaves no half a library, nor itself.
	left := filepath.Join(filepath.Dir(dir), ".installing-"+filepath.Base(dir)+".1")
	replace(t, dir, func() error {
		return errors.Join(os.MkdirAll(filepath.Join(left, "ready"), 0o755), os.WriteFile(filepath.Join(left, "ready", kind.Names[0]), library[:50], 0o644))
	})
	if _, _, err := kind.Find(nowhere(), Search{Builds: []Build{b}}); err == nil {
		t.Error("half a library was found")
	}
	mend(1)
	nothingLeft(t, dir, true)
	if err := os.Mkdir(left, 0o755); err != nil { // by a client that worked on
		t.Fatal(err)
	}
	mend(0)
	nothingLeft(t, dir, true)

	// Packages whose member is another than the pinned one.
	from.Files = []Packed{holding("dir/lib", content)}
	remove(t, path)
	var mismatch *hashError
	if _, err := kind.install(context.Background(), dir, Build{Bundles: []Bundle{from}}, InstallOptions{}); !errors.As(err, &mismatch) {
		t.Errorf("another library in the package: %v", err)
	}
}

// TestNamedLibrary refuses files that somebody named and that the system's
// loader would not survive.
func TestNamedLibrary(t *testing.T) {
	if goruntime.GOOS != "linux" {
		t.Skip("the library is an ELF file")
	}
	dir := t.TempDir()
	name := kind.Names[0]
	library := elftest.File([]string{"libm.so.6"}, "")
	changed := func(at int, x ...byte) func(string, []byte) error {
		return func(path string, b []byte) error {
			b = append([]byte{}, b...)
			copy(b[at:], x)
			return os.WriteFile(path, b, 0o644)
		}
	}
	far := binary.LittleEndian.AppendUint64(nil, 1<<40)
	for what, d := range map[string]struct {
		do   func(path string, library []byte) error
		want string
	}{
		"text":              {func(path string, _ []byte) error { return os.WriteFile(path, []byte("hello\n"), 0o644) }, "it is not a shared library (ELF)"},
		"two bytes":         {func(path string, _ []byte) error { return os.WriteFile(path, []byte("\x7fE"), 0o644) }, "it is not a shared library (ELF)"},
		"empty":             {damages["empty"].do, "it is not a shared library (ELF)"},
		"half":              {func(path string, b []byte) error { return os.WriteFile(path, b[:len(b)/2], 0o644) }, "it is truncated"},
		"a byte too few":    {damages["a byte too few"].do, "it is truncated"},
		"the header alone":  {func(path string, b []byte) error { return os.WriteFile(path, b[:64], 0o644) }, "it is truncated"},
		"another processor": {changed(18, 8, 0), "it is for another processor: EM_MIPS"},
		"a program":         {changed(16, 2, 0), "it is an ELF file of type ET_EXEC, not a shared library"},
		"no class":          {changed(4, 9), "it is truncated or damaged"},
		"programs far away": {changed(32, far...), "it is truncated"},
		"sections far away": {changed(40, far...), "it is truncated"},
		"a long segment":    {changed(64+32, far...), "it is truncated or damaged"},
		"nothing to load":   {changed(64, 6), "it is truncated or damaged: it has nothing to load"},
		"a folder":          {damages["a folder"].do, "the folder holds no " + name},
		"a pipe":            {damages["a pipe"].do, "not a regular file"},
		"a link to itself":  {damages["a link to itself"].do, "too many levels of symbolic links"},
		"no symbols":        {changed(64+2*56+16, 0, 0, 0, 0), "it is truncated or damaged: it has no DT_"},
		"another library": {func(path string, b []byte) error {
			return os.WriteFile(path, bytes.Replace(b, []byte("OrtGetApiBase"), []byte("OrtGetAPIBase"), 1), 0o644)
		}, "it is a shared library, but not ONNX Runtime"},
		"a link to nothing": {damages["a link to nothing"].do, "no such file"},
	} {
		path := filepath.Join(dir, name)
		replace(t, path, func() error { return d.do(path, library) })
		for explicit, env := range map[string]string{path: "", "": path} {
			m := nowhere()
			m.Getenv = func(string) string { return env }
			_, named, err := kind.Find(m, Search{Explicit: explicit})
			if !errors.Is(err, runtime.ErrUnavailable) || !named || !strings.Contains(err.Error(), " names "+path+": "+d.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%s: %v, want %s", what, err, d.want)
			}
		}
		// In the system's folders it is passed over.
		m := nowhere()
		m.Folders = []string{dir}
		if lib, _, err := kind.Find(m, Search{}); !errors.Is(err, runtime.ErrUnavailable) {
			t.Errorf("%s: the system has %+v", what, lib)
		}
	}
}
