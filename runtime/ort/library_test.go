package ort

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"testing"

	"github.com/attnx/attnx/runtime"
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

// TestFindOrder takes the places away one by one, the first first.
func TestFindOrder(t *testing.T) {
	if goruntime.GOOS != "linux" {
		t.Skip("the cache folder is set the way of Linux")
	}
	dir := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", filepath.Join(dir, "cache"))
	name := libraryNames()[0]
	explicit := touch(t, dir, "flag", "mine.so")
	env := map[string]string{
		EnvLibrary:  touch(t, dir, "one", name),
		EnvStandard: touch(t, dir, "two", name),
	}
	cache := touch(t, dir, "cache", "attnx", "onnxruntime", Version, goruntime.GOOS+"-"+goruntime.GOARCH, name)
	folders := []string{"", filepath.Join(dir, "empty"), filepath.Join(dir, "system")}
	system := touch(t, dir, "system", name)

	expect := func(want Library) {
		t.Helper()
		got, _, err := find(explicit, "cpu", func(k string) string { return env[k] }, folders)
		if err != nil || got != want {
			t.Errorf("found %+v, %v; want %+v", got, err, want)
		}
	}
	expect(Library{explicit, "--ort-lib"})
	explicit = filepath.Dir(env[EnvLibrary]) // a folder stands for the library in it
	expect(Library{env[EnvLibrary], "--ort-lib"})
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
	touch(t, dir, "system", "libonnxruntime.so.1.24.1")
	newest := touch(t, dir, "system", "libonnxruntime.so.1.100.0")
	touch(t, dir, "system", "libonnxruntime.so.1.30.0")
	expect(Library{newest, "system"})
}

// TestFindBuild has both builds in the cache, then one of them.
func TestFindBuild(t *testing.T) {
	if goruntime.GOOS != "linux" || goruntime.GOARCH != "amd64" {
		t.Skip("there is a GPU build, and the cache folder is set the way of Linux")
	}
	dir := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", dir)
	none := func(string) string { return "" }
	expect := func(device, want string) {
		t.Helper()
		got, _, err := find("", device, none, nil)
		if want == "" && errors.Is(err, runtime.ErrUnavailable) {
			return
		}
		if err != nil || got != (Library{want, "cache"}) {
			t.Errorf("for %q found %+v, %v; want %s", device, got, err, want)
		}
	}
	cache := filepath.Join(dir, "attnx", "onnxruntime", Version)
	gpu := touch(t, cache, "linux-amd64-cuda", "libonnxruntime.so.1")
	touch(t, cache, "linux-amd64-cuda", "libonnxruntime_providers_shared.so")
	expect("cuda", "") // it lacks a library
	provider := touch(t, cache, "linux-amd64-cuda", "libonnxruntime_providers_cuda.so")
	for _, device := range []string{"", "cpu", "auto", "cuda"} {
		expect(device, gpu) // which runs on the CPU as well
	}
	cpu := touch(t, cache, "linux-amd64", "libonnxruntime.so.1")
	expect("", cpu)
	expect("cpu", cpu)
	expect("auto", gpu)
	expect("cuda", gpu)
	remove(t, provider)
	expect("cuda", cpu) // which then says that it is a CPU build
	remove(t, cpu)
	_, _, err := find("", "cuda", none, nil)
	var u *runtime.UnavailableError
	if !errors.As(err, &u) || u.Runtime != "ort-cuda" || !strings.Contains(u.Remedy, "attnx runtime install --cuda") {
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
	old := touch(t, system, "libonnxruntime.so.1.21.0")
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
		{"", none, nil, false, "no ONNX Runtime library found; run `attnx runtime install`"},
		{"", none, []string{system}, false, old + " is older than 1.24"},
		{filepath.Join(dir, "no.so"), none, nil, true, "--ort-lib names " + filepath.Join(dir, "no.so") + ": no such file"},
		{"", env(EnvLibrary, filepath.Join(dir, "no.so")), nil, true, EnvLibrary + " names "},
		{"", env(EnvStandard, filepath.Join(dir, "no.so")), nil, true, EnvStandard + " names "},
		{dir, none, nil, true, "the folder holds no libonnxruntime.so.1"},
		{socket, none, nil, true, "not a regular file"},
	} {
		_, named, err := find(c.explicit, "cpu", c.env, c.folders)
		if !errors.Is(err, runtime.ErrUnavailable) || !strings.Contains(err.Error(), c.want) || named != c.named {
			t.Errorf("got named %v, %v; want named %v, %s", named, err, c.named, c.want)
		}
	}
}
