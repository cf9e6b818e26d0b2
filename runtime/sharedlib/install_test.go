package sharedlib

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"sync"
	"testing"

	"github.com/attnx/attnx/runtime"
)

// kind is a library like ONNX Runtime's.
var kind = func() *Kind {
	k := &Kind{Title: "ONNX Runtime", Runtime: "ort-cpu", Folder: "onnxruntime", Version: "1.2.3", Symbol: "OrtGetApiBase",
		Oldest: "1.2", Numbers: []int{1, 2}, Variables: []string{"ATTNX_ORT_LIB", "OTHER_LIB"}, Command: runtime.InstallLibrary, Naming: runtime.NameLibrary + "ATTNX_ORT_LIB"}
	k.Names, k.Pattern = NamesOn("onnxruntime")
	return k
}()

const content = "these are the bytes of a library"

// fake puts a client that runs the given shell script on a PATH with nothing
// else on it. The script finds what it serves in $PACKAGE.
func fake(t *testing.T, scripts map[string]string, pkg []byte) {
	t.Helper()
	if goruntime.GOOS == "windows" {
		t.Skip("the fake clients are shell scripts")
	}
	bin := t.TempDir()
	t.Setenv("PATH", bin)
	t.Setenv("PACKAGE", filepath.Join(bin, "package"))
	t.Setenv("CALLS", filepath.Join(bin, "calls"))
	if err := os.WriteFile(filepath.Join(bin, "package"), pkg, 0o644); err != nil {
		t.Fatal(err)
	}
	for name, script := range scripts {
		script = "#!/bin/sh\nexport PATH=/usr/bin:/bin\necho \"$0 $*\" >> $CALLS\n" + script
		if err := os.WriteFile(filepath.Join(bin, name), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

func calls(t *testing.T) int {
	b, err := os.ReadFile(os.Getenv("CALLS"))
	if err != nil {
		return 0
	}
	return bytes.Count(b, []byte("\n"))
}

type member struct {
	name, content string
	link          string // not empty: a symbolic link there
}

func tgz(t *testing.T, members ...member) []byte {
	t.Helper()
	var b bytes.Buffer
	gz := gzip.NewWriter(&b)
	w := tar.NewWriter(gz)
	for _, m := range members {
		h := &tar.Header{Name: m.name, Mode: 0o644, Size: int64(len(m.content)), Typeflag: tar.TypeReg}
		if m.link != "" {
			h.Typeflag, h.Linkname, h.Size = tar.TypeSymlink, m.link, 0
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if m.link == "" {
			if _, err := w.Write([]byte(m.content)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := errors.Join(w.Close(), gz.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func whl(t *testing.T, members ...member) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, m := range members {
		f, err := w.Create(m.name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte(m.content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// holding returns the library of the given content in a package.
func holding(member, content string) Packed {
	sum := sha256.Sum256([]byte(content))
	return Packed{member, int64(len(content)), hex.EncodeToString(sum[:])}
}

// of returns the bundle that pins pkg.
func of(client string, pkg []byte) Bundle {
	sum := sha256.Sum256(pkg)
	b := Bundle{Client: client, Args: []string{"get"}, Size: int64(len(pkg)), SHA256: hex.EncodeToString(sum[:]), Files: []Packed{holding("dir/lib", content)}}
	b.File = map[string]string{"npm": "p.tgz", "pip": "p.whl"}[client]
	return b
}

const serveNPM, servePip = `cp "$PACKAGE" p.tgz`, `cp "$PACKAGE" p.whl`

// target returns a folder to install to, in a folder of its own.
func target(t *testing.T) string { return filepath.Join(t.TempDir(), "v", "here") }

// nothingLeft reports what an installation left besides the library and its lock.
func nothingLeft(t *testing.T, dir string, installed bool) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(dir))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	for _, e := range entries {
		if n := e.Name(); n != filepath.Base(dir)+".lock" && (n != filepath.Base(dir) || !installed) {
			t.Errorf("%s was left", n)
		}
	}
}

func TestInstall(t *testing.T) {
	archive := tgz(t, member{name: "dir/other", content: "x"}, member{name: "dir/lib", content: content})
	wheel := whl(t, member{name: "dir/other", content: "x"}, member{name: "dir/lib", content: content})
	for _, c := range []struct {
		name    string
		scripts map[string]string
		pkg     []byte
		from    []Bundle
		client  string
		calls   int
	}{
		// npm holds a package twice for a while: more than all is not reported.
		{"npm", map[string]string{"npm": "head -c 4096 /dev/zero > twice; sleep 0.3; rm twice; " + serveNPM}, archive, []Bundle{of("npm", archive)}, "", 1},
		{"pip", map[string]string{"pip": servePip}, wheel, []Bundle{of("npm", archive), of("pip", wheel)}, "", 1},
		{"pip by another name", map[string]string{"python3": `[ "$1 $2" = "-m pip" ] && ` + servePip}, wheel, []Bundle{of("pip", wheel)}, "pip", 1},
		{"npm first", map[string]string{"npm": serveNPM, "pip": "exit 1"}, archive, []Bundle{of("npm", archive), of("pip", wheel)}, "", 1},
		{"pip on demand", map[string]string{"npm": "exit 1", "pip": servePip}, wheel, []Bundle{of("npm", archive), of("pip", wheel)}, "pip", 1},
		{"pip after npm failed", map[string]string{"npm": "exit 1", "pip": servePip}, wheel, []Bundle{of("npm", archive), of("pip", wheel)}, "", 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			fake(t, c.scripts, c.pkg)
			dir := target(t)
			var last, total int64
			o := InstallOptions{Client: c.client, Progress: func(done, of int64) {
				if done < last && of == total || done > of {
					t.Errorf("progress went from %d to %d of %d", last, done, of)
				}
				last, total = done, of
			}}
			for range 2 { // the second finds it
				path, err := kind.install(context.Background(), dir, Build{Name: "CPU", Bundles: c.from}, o)
				if err != nil {
					t.Fatal(err)
				}
				if b, err := os.ReadFile(path); err != nil || string(b) != content || filepath.Base(path) != kind.Names[0] {
					t.Errorf("%s holds %q, %v", path, b, err)
				}
			}
			if last != total || total != int64(len(c.pkg)) {
				t.Errorf("progress ended at %d of %d, the package has %d bytes", last, total, len(c.pkg))
			}
			if n := calls(t); n != c.calls {
				t.Errorf("clients ran %d times, want %d", n, c.calls)
			}
			nothingLeft(t, dir, true)
		})
	}
}

// gpu returns a build of three libraries in one package.
func gpuBundle(pkg []byte) Build {
	b := of("pip", pkg)
	b.Files = []Packed{holding("capi/libonnxruntime.so.1.2.3", content), holding("capi/shared.so", "shared"), holding("capi/cuda.so", "cuda")}
	return Build{Name: "GPU", Suffix: "-cuda", Bundles: []Bundle{b}}
}

func gpuMembers(left int) []member {
	return []member{{name: "capi/shared.so", content: "shared"}, {name: "capi/libonnxruntime.so.1.2.3", content: content}, {name: "capi/cuda.so", content: "cuda"}}[:left]
}

// TestInstallGPU installs three files, all or none, and mends a folder that
// lacks one.
func TestInstallGPU(t *testing.T) {
	wheel := whl(t, gpuMembers(3)...)
	fake(t, map[string]string{"npm": "exit 1", "pip": servePip}, wheel)
	dir := target(t)
	for i, times := range []int{1, 1, 2} { // the second finds it, the third finds it incomplete
		path, err := kind.install(context.Background(), dir, gpuBundle(wheel), InstallOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if path != filepath.Join(dir, kind.Names[0]) || calls(t) != times {
			t.Errorf("installation %d: %s, after %d calls of pip, want %d", i, path, calls(t), times)
		}
		entries, err := os.ReadDir(dir)
		if err != nil || len(entries) != 4 || entries[0].Name() != checkedName {
			t.Errorf("the folder holds %v, %v", entries, err)
		}
		for name, want := range map[string]string{kind.Names[0]: content, "shared.so": "shared", "cuda.so": "cuda"} {
			if b, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(b) != want {
				t.Errorf("%s holds %q, %v", name, b, err)
			}
		}
		if i == 1 {
			remove(t, filepath.Join(dir, "cuda.so"))
		}
	}
	nothingLeft(t, dir, true)
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

func TestInstallGPURefuses(t *testing.T) {
	whole, lacks := whl(t, gpuMembers(3)...), whl(t, gpuMembers(2)...)
	for _, c := range []struct {
		name        string
		pkg         []byte
		b           Build
		client      string
		unavailable bool
		want        string
	}{
		{"another hash", lacks, gpuBundle(whole), "", false, "p.whl is refused: its SHA-256 is " + of("pip", lacks).SHA256},
		{"a library is not in it", lacks, gpuBundle(lacks), "", true, "p.whl: no member capi/cuda.so"},
		{"npm", whole, gpuBundle(whole), "npm", false, `client "npm": it has no GPU build, take pip`},
		{"no build", whole, Build{Name: "GPU"}, "", true, "there is no official GPU build for " + goruntime.GOOS},
	} {
		t.Run(c.name, func(t *testing.T) {
			fake(t, map[string]string{"npm": serveNPM, "pip": servePip}, c.pkg)
			dir := target(t)
			_, err := kind.install(context.Background(), dir, c.b, InstallOptions{Client: c.client})
			if err == nil || !strings.Contains(err.Error(), c.want) || errors.Is(err, runtime.ErrUnavailable) != c.unavailable {
				t.Errorf("got %v\nwant %s", err, c.want)
			}
			nothingLeft(t, dir, false)
		})
	}
}

func TestInstallRefuses(t *testing.T) {
	good := tgz(t, member{name: "dir/lib", content: content})
	other := tgz(t, member{name: "dir/lib", content: "something else"})
	slip := tgz(t, member{name: "../../evil", content: "x"}, member{name: "/tmp/attnx-evil", content: "x"}, member{name: "dir/lib", link: "/etc/passwd"})
	cut := good[:len(good)-20]
	without := tgz(t, member{name: "dir/lib2", content: content})
	zipWithout := whl(t, member{name: "../dir/lib", content: content})
	npmSays := `echo "npm warn something" >&2; echo "npm error code ENOTFOUND" >&2; echo "npm error network request to somewhere failed" >&2; echo "npm error network In most cases ..." >&2; exit 1`
	pipSays := `echo "WARNING: retrying"; echo "ERROR: No matching distribution found for onnxruntime"; exit 1`
	for _, c := range []struct {
		name        string
		scripts     map[string]string
		pkg         []byte
		from        []Bundle
		client      string
		unavailable bool
		want        []string
	}{
		{"no client", nil, good, []Bundle{of("npm", good), of("pip", good)}, "", true, []string{"npm is not installed; pip is not installed", "name a library with ATTNX_ORT_LIB"}},
		{"not that client", map[string]string{"npm": serveNPM}, good, []Bundle{of("npm", good), of("pip", good)}, "pip", true, []string{"pip is not installed"}},
		{"unknown client", nil, good, []Bundle{of("npm", good)}, "cargo", false, []string{`client "cargo": it must be npm or pip`}},
		{"no build", nil, good, nil, "", true, []string{"no official CPU build for " + goruntime.GOOS}},
		{"offline", map[string]string{"npm": npmSays, "pip": pipSays}, good, []Bundle{of("npm", good), of("pip", good)}, "", true,
			[]string{"npm: network request to somewhere failed; ", "pip: No matching distribution found for onnxruntime"}},
		{"silent failure", map[string]string{"npm": "exit 3"}, good, []Bundle{of("npm", good)}, "", true, []string{"npm: exit status 3"}},
		{"no file", map[string]string{"npm": "exit 0"}, good, []Bundle{of("npm", good)}, "", true, []string{"npm left no p.tgz"}},
		// Another hash is not tried elsewhere: pip would have served.
		{"wrong hash", map[string]string{"npm": serveNPM, "pip": servePip}, other, []Bundle{of("npm", good), of("pip", other)}, "", false,
			[]string{of("npm", good).SHA256, of("npm", other).SHA256, "p.tgz is refused"}},
		{"slip", map[string]string{"npm": serveNPM}, slip, []Bundle{of("npm", slip)}, "", true, []string{"dir/lib is not a regular file"}},
		{"cut", map[string]string{"npm": serveNPM}, cut, []Bundle{of("npm", cut)}, "", true, []string{"unexpected EOF"}},
		{"no member", map[string]string{"npm": serveNPM}, without, []Bundle{of("npm", without)}, "", true, []string{"p.tgz: no member dir/lib"}},
		{"no member in a wheel", map[string]string{"pip": servePip}, zipWithout, []Bundle{of("pip", zipWithout)}, "", true, []string{"p.whl: no member dir/lib"}},
		{"not an archive", map[string]string{"npm": serveNPM}, []byte("text"), []Bundle{of("npm", []byte("text"))}, "", true, []string{"p.tgz: "}},
	} {
		t.Run(c.name, func(t *testing.T) {
			fake(t, c.scripts, c.pkg)
			dir := target(t)
			_, err := kind.install(context.Background(), dir, Build{Name: "CPU", Bundles: c.from}, InstallOptions{Client: c.client})
			if err == nil || errors.Is(err, runtime.ErrUnavailable) != c.unavailable || strings.Contains(err.Error(), "\n") {
				t.Fatalf("unavailable should be %v: %v", c.unavailable, err)
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got %v\nwant %s", err, want)
				}
			}
			nothingLeft(t, dir, false)
			for _, evil := range []string{filepath.Join(filepath.Dir(dir), "..", "evil"), "/tmp/attnx-evil"} {
				if IsFile(evil) {
					t.Errorf("%s was written", evil)
				}
			}
		})
	}
}

// zeros is an endless file of zero bytes.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func TestInstallBounds(t *testing.T) {
	if testing.Short() {
		t.Skip("it compresses 512 MB")
	}
	var b bytes.Buffer
	gz, err := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	w := tar.NewWriter(gz)
	if err := w.WriteHeader(&tar.Header{Name: "dir/lib", Mode: 0o644, Size: maxLibrary + 1, Typeflag: tar.TypeReg}); err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(w, zeros{}, maxLibrary+1); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Close(), gz.Close()); err != nil {
		t.Fatal(err)
	}
	fake(t, map[string]string{"npm": serveNPM}, b.Bytes())
	dir := target(t)
	_, err = kind.install(context.Background(), dir, Build{Bundles: []Bundle{of("npm", b.Bytes())}}, InstallOptions{})
	if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("dir/lib is over %d bytes", maxLibrary)) {
		t.Errorf("a library of %d bytes: %v", maxLibrary+1, err)
	}
	nothingLeft(t, dir, false)
}

func TestInstallAtOnce(t *testing.T) {
	archive := tgz(t, member{name: "dir/lib", content: content})
	fake(t, map[string]string{"npm": "sleep 0.2; " + serveNPM}, archive)
	dir := target(t)
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			if _, err := kind.install(context.Background(), dir, Build{Bundles: []Bundle{of("npm", archive)}}, InstallOptions{}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := calls(t); n != 1 {
		t.Errorf("six installations fetched %d times, want once", n)
	}
	nothingLeft(t, dir, true)
}

func TestInstallCancelled(t *testing.T) {
	archive := tgz(t, member{name: "dir/lib", content: content})
	fake(t, map[string]string{"npm": `echo started >> "$PACKAGE"; exec sleep 600`}, nil)
	ctx, cancel := context.WithCancel(context.Background())
	dir := target(t)
	done := make(chan error)
	go func() {
		_, err := kind.install(ctx, dir, Build{Bundles: []Bundle{of("npm", archive)}}, InstallOptions{})
		done <- err
	}()
	for calls(t) == 0 { // the client runs
		goruntime.Gosched()
	}
	waiting := make(chan error)
	go func() { // and a second installation waits for the first
		_, err := kind.install(ctx, dir, Build{Bundles: []Bundle{of("npm", archive)}}, InstallOptions{})
		waiting <- err
	}()
	cancel()
	for _, c := range []chan error{done, waiting} {
		if err := <-c; !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
	}
	nothingLeft(t, dir, false)
}
