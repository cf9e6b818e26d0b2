package library

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/attnx/attnx/runtime/sharedlib/elftest"
)

// TestImports compares with what binutils read.
func TestImports(t *testing.T) {
	readelf, err := exec.LookPath("readelf")
	if err != nil {
		t.Skip("NO READELF: the imports of files are compared with nothing")
	}
	sh, err := filepath.EvalSymlinks("/bin/sh")
	if err != nil {
		t.Skip(err)
	}
	dir := t.TempDir()
	for _, path := range []string{
		sh,
		elftest.Write(t, dir, "none.so", ""),
		elftest.Write(t, dir, "some.so", "$ORIGIN:/opt/lib", "libcublas.so.13", "libc.so.6"),
	} {
		out, err := exec.Command(readelf, "-dW", path).Output()
		if err != nil {
			t.Fatalf("readelf: %v", err)
		}
		find := func(pattern string) (all []string) {
			for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(string(out), -1) {
				all = append(all, m[1])
			}
			return all
		}
		in, err := readImports(path)
		if err != nil {
			t.Fatal(err)
		}
		if want := find(`\(NEEDED\) .*\[(.*)\]`); !slices.Equal(in.needed, want) {
			t.Errorf("%s needs %v, readelf says %v", path, in.needed, want)
		}
		if want := strings.Join(find(`\(RUNPATH\) .*\[(.*)\]`), ""); strings.Join(in.runpath, ":") != want {
			t.Errorf("%s has the run path %v, readelf says %s", path, in.runpath, want)
		}
	}
}

func TestImportsRefuses(t *testing.T) {
	dir := t.TempDir()
	whole := elftest.File([]string{"libcublas.so.13"}, "")
	write := func(name string, b []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for path, want := range map[string]string{
		filepath.Join(dir, "none"):              "no such file",
		write("empty", nil):                     "neither ELF nor PE",
		write("text", []byte("INPUT(x.so)")):    "neither ELF nor PE",
		write("short", whole[:20]):              "cannot be read",
		write("cut", whole[:len(whole)-100]):    "cannot be read",
		write("windows", []byte("MZ and text")): "cannot be read",
	} {
		if _, err := readImports(path); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v, want ...%s", path, err, want)
		}
	}
	for n := range whole { // no cut is a panic, or reads as another list
		in, err := readImports(write("cut", whole[:n]))
		if err == nil && len(in.needed) > 0 && !slices.Equal(in.needed, []string{"libcublas.so.13"}) {
			t.Errorf("the first %d bytes of %d: %v", n, len(whole), in.needed)
		}
	}
}
