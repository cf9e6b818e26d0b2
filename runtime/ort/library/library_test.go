package library

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net"
	"os"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"testing"

	"github.com/attnx/attnx/runtime"
	"github.com/attnx/attnx/runtime/sharedlib"
	"github.com/attnx/attnx/runtime/sharedlib/elftest"
)

// touch makes an empty file, its folders too, and returns its path.
func touch(t *testing.T, elem ...string) string {
	t.Helper()
	path := filepath.Join(elem...)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// shared writes a small shared library and returns its path.
func shared(t *testing.T, elem ...string) string {
	t.Helper()
	path := filepath.Join(elem...)
	return elftest.Write(t, filepath.Dir(path), filepath.Base(path), "")
}

// fakeMachine has no libraries but those of a cache, all of them small.
func fakeMachine() machine {
	small := elftest.File(nil, "")
	sum := sha256.Sum256(small)
	of := func(client string, names ...string) []sharedlib.Bundle {
		b := sharedlib.Bundle{Client: client}
		for _, name := range names {
			b.Files = append(b.Files, sharedlib.Packed{Member: "capi/" + name, Size: int64(len(small)), SHA256: hex.EncodeToString(sum[:])})
		}
		return []sharedlib.Bundle{b}
	}
	const library = "libonnxruntime.so.1.2.3"
	return machine{
		Machine: sharedlib.Machine{Getenv: func(string) string { return "" }},
		cpu:     sharedlib.Build{Name: "CPU", Bundles: of("npm", library)},
		gpu:     sharedlib.Build{Name: "GPU", Suffix: "-cuda", Bundles: of("pip", library, "libonnxruntime_providers_shared.so", "libonnxruntime_providers_cuda.so")},
	}
}

// TestFindOrder takes the places away one by one, the first first.
func TestFindOrder(t *testing.T) {
	if goruntime.GOOS != "linux" {
		t.Skip("the cache folder is set the way of Linux")
	}
	dir := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", filepath.Join(dir, "cache"))
	name := kind.Names[0]
	explicit := shared(t, dir, "flag", "mine.so")
	env := map[string]string{
		EnvLibrary:  shared(t, dir, "one", name),
		EnvStandard: shared(t, dir, "two", name),
	}
	cache := shared(t, dir, "cache", "attnx", "onnxruntime", Version, goruntime.GOOS+"-"+goruntime.GOARCH, name)
	folders := []string{"", filepath.Join(dir, "empty"), filepath.Join(dir, "system")}
	system := shared(t, dir, "system", name)

	m := fakeMachine()
	m.Getenv, m.Folders = func(k string) string { return env[k] }, folders
	expect := func(want Library) {
		t.Helper()
		got, _, err := find(explicit, "cpu", m)
		if err != nil || got != want {
			t.Errorf("found %+v, %v; want %+v", got, err, want)
		}
	}
	expect(Library{explicit, Named})
	explicit = filepath.Dir(env[EnvLibrary]) // a folder stands for the library in it
	expect(Library{env[EnvLibrary], Named})
	explicit = ""
	expect(Library{env[EnvLibrary], EnvLibrary})
	env[EnvLibrary] = ""
	expect(Library{env[EnvStandard], EnvStandard})
	env[EnvStandard] = ""
	expect(Library{cache, "cache"})
	os.Remove(cache)
	expect(Library{system, "system"})
	os.Remove(system)
	// Names with the whole version, the newest first, as numbers and not as text.
	shared(t, dir, "system", "libonnxruntime.so.1.24.1")
	newest := shared(t, dir, "system", "libonnxruntime.so.1.100.0")
	shared(t, dir, "system", "libonnxruntime.so.1.30.0")
	expect(Library{newest, "system"})
}

// TestFindBuild has both builds in the cache, then one of them.
func TestFindBuild(t *testing.T) {
	if goruntime.GOOS != "linux" || goruntime.GOARCH != "amd64" {
		t.Skip("there is a GPU build, and the cache folder is set the way of Linux")
	}
	dir := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", dir)
	m := fakeMachine()
	expect := func(device, want string) {
		t.Helper()
		got, _, err := find("", device, m)
		if want == "" && errors.Is(err, runtime.ErrUnavailable) {
			return
		}
		if err != nil || got != (Library{want, "cache"}) {
			t.Errorf("for %q found %+v, %v; want %s", device, got, err, want)
		}
	}
	cache := filepath.Join(dir, "attnx", "onnxruntime", Version)
	gpu := shared(t, cache, "linux-amd64-cuda", "libonnxruntime.so.1")
	shared(t, cache, "linux-amd64-cuda", "libonnxruntime_providers_shared.so")
	expect("cuda", "") // it lacks a library
	provider := shared(t, cache, "linux-amd64-cuda", "libonnxruntime_providers_cuda.so")
	for _, device := range []string{"", "cpu", "auto", "cuda"} {
		expect(device, gpu) // which runs on the CPU as well
	}
	cpu := shared(t, cache, "linux-amd64", "libonnxruntime.so.1")
	expect("", cpu)
	expect("cpu", cpu)
	expect("auto", gpu)
	expect("cuda", gpu)
	remove(t, provider)
	expect("cuda", cpu) // which then says that it is a CPU build
	remove(t, cpu)
	_, _, err := find("", "cuda", m)
	var u *runtime.UnavailableError
	if !errors.As(err, &u) || u.Runtime != "ort-cuda" || !strings.Contains(u.Remedy, "install the GPU build") {
		t.Errorf("nothing for CUDA: %v", err)
	}
}

func TestFindRefuses(t *testing.T) {
	if goruntime.GOOS != "linux" {
		t.Skip("the cache folder is set the way of Linux")
	}
	dir := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", filepath.Join(dir, "cache"))
	system := filepath.Join(dir, "system")
	none := func(string) string { return "" }
	env := func(name, value string) func(string) string {
		return func(k string) string { return map[string]string{name: value}[k] }
	}
	// Debian 13 has ONNX Runtime 1.21 under such names.
	old := shared(t, system, "libonnxruntime.so.1.21.0")
	if err := os.Symlink("libonnxruntime.so.1.21.0", filepath.Join(system, "libonnxruntime.so")); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "socket")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, c := range []struct {
		explicit string
		env      func(string) string
		folders  []string
		named    bool
		want     string
	}{
		{"", none, nil, false, "no ONNX Runtime library found; install it with library.Install"},
		{"", none, []string{system}, false, old + " is older than 1.24"},
		{filepath.Join(dir, "no.so"), none, nil, true, "the caller names " + filepath.Join(dir, "no.so") + ": no such file"},
		{"", env(EnvLibrary, filepath.Join(dir, "no.so")), nil, true, EnvLibrary + " names "},
		{"", env(EnvStandard, filepath.Join(dir, "no.so")), nil, true, EnvStandard + " names "},
		{dir, none, nil, true, "the folder holds no libonnxruntime.so.1"},
		{socket, none, nil, true, "not a regular file"},
	} {
		m := fakeMachine()
		m.Getenv, m.Folders = c.env, c.folders
		_, named, err := find(c.explicit, "cpu", m)
		if !errors.Is(err, runtime.ErrUnavailable) || !strings.Contains(err.Error(), c.want) || named != c.named {
			t.Errorf("got named %v, %v; want named %v, %s", named, err, c.named, c.want)
		}
	}
}
