package library

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strings"
	"time"

	"github.com/attnx/attnx/runtime/sharedlib"
)

// loader finds shared libraries as Linux's loader does, and also searches pip's
// folders for NVIDIA's libraries, which the loader does not.
type loader struct {
	path    []string          // LD_LIBRARY_PATH
	cache   map[string]string // ld.so.cache: library names to paths
	folders []string          // default folders
	pip     []string          // the lib folders of pip's nvidia packages
}

// thisLoader returns the loader of this machine and environment.
func thisLoader() loader {
	l := loader{
		path:    filepath.SplitList(os.Getenv("LD_LIBRARY_PATH")),
		folders: []string{strings.TrimPrefix(sharedlib.Multiarch(), "/usr"), sharedlib.Multiarch(), "/lib64", "/usr/lib64", "/lib", "/usr/lib"},
		pip:     pipFolders(),
	}
	for _, name := range []string{"ldconfig", "/sbin/ldconfig", "/usr/sbin/ldconfig"} { // not on every user's PATH
		if out := output(name, "-p"); out != "" {
			l.cache = parseCache(out, goruntime.GOARCH)
			break
		}
	}
	return l
}

// parseCache parses the output of `ldconfig -p`, one library per line: "name
// (kind, processor) => path". It skips those of another processor.
func parseCache(text, goarch string) map[string]string {
	processor := map[string]string{"amd64": "x86-64", "arm64": "AArch64"}[goarch]
	cache := map[string]string{}
	for line := range strings.Lines(text) {
		left, path, ok := strings.Cut(strings.TrimSpace(line), " => ")
		name, kind, _ := strings.Cut(left, " ")
		if ok && cache[name] == "" && strings.Contains(kind, processor) {
			cache[name] = path
		}
	}
	return cache
}

// find returns the path at which the loader finds a library that a file needs,
// "" if it does not find it.
func (l loader) find(name, file string, in imports) string {
	dirs := slices.Concat(l.path, in.runpath)
	if len(in.runpath) == 0 {
		dirs = slices.Concat(in.rpath, l.path)
	}
	origin := filepath.Dir(file)
	for _, dir := range dirs {
		dir = strings.NewReplacer("$ORIGIN", origin, "${ORIGIN}", origin).Replace(dir)
		if path := filepath.Join(dir, name); dir != "" && sharedlib.IsFile(path) {
			return path
		}
	}
	if path := l.cache[name]; path != "" && sharedlib.IsFile(path) {
		return path
	}
	return firstIn(l.folders, name)
}

// firstIn returns the path of a file in the first of the folders that contains
// it.
func firstIn(folders []string, name string) string {
	for _, dir := range folders {
		if path := filepath.Join(dir, name); sharedlib.IsFile(path) {
			return path
		}
	}
	return ""
}

// versions returns the names of libraries that differ from name only in the
// version: "libcublas.so.12" for "libcublas.so.13".
func (l loader) versions(name string) []string {
	stem, _, _ := strings.Cut(name, ".so.")
	stem += ".so."
	var names []string
	add := func(other string) {
		rest, ok := strings.CutPrefix(other, stem)
		if ok && !strings.Contains(rest, ".") && other != name && !slices.Contains(names, other) {
			names = append(names, other)
		}
	}
	for other := range l.cache {
		add(other)
	}
	for _, dir := range slices.Concat(l.path, l.folders, l.pip) {
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue // the folder does not exist
		}
		for _, e := range entries {
			add(e.Name())
		}
	}
	slices.Sort(names)
	return names
}

// piece is a library that another one needs.
type piece struct {
	name   string
	path   string // "" if not found
	hidden bool   // in one of pip's folders, where the loader does not look
	by     string // the name of the file that needs it
	broken error  // the file exists but is not a library
}

// walk returns all direct and indirect dependencies of a library, each once,
// direct ones first. more are libraries that it opens by name.
func (l loader) walk(library string, more []string) ([]piece, error) {
	in, err := readImports(library)
	if err != nil {
		return nil, err
	}
	in.needed = slices.Concat(in.needed, more)
	var pieces []piece
	seen := map[string]bool{}
	files, needs := []string{library}, []imports{in}
	for i := 0; i < len(files); i++ {
		for _, name := range needs[i].needed {
			if seen[name] {
				continue
			}
			seen[name] = true
			p := piece{name: name, path: l.find(name, files[i], needs[i]), by: filepath.Base(files[i])}
			if p.path == "" {
				p.path = firstIn(l.pip, name)
				p.hidden = p.path != ""
			}
			if p.path != "" {
				var in imports
				in, p.broken = readImports(p.path)
				files, needs = append(files, p.path), append(needs, in)
			}
			pieces = append(pieces, p)
		}
	}
	return pieces, nil
}

// pipFolders returns the folders in which pip's nvidia packages keep their
// libraries, for the virtual environment and the Pythons on the PATH. Only
// Python itself knows where its packages are.
func pipFolders() []string {
	pythons := []string{"python3", "python"}
	if env := os.Getenv("VIRTUAL_ENV"); env != "" {
		pythons = slices.Insert(pythons, 0, filepath.Join(env, "bin", "python"))
	}
	var dirs []string
	for _, python := range pythons {
		for site := range strings.Lines(output(python, "-c", `import sys; print("\n".join(sys.path))`)) {
			site = strings.TrimSpace(site)
			if !filepath.IsAbs(site) {
				continue
			}
			found, err := filepath.Glob(filepath.Join(site, "nvidia", "*", "lib"))
			if err != nil { // the folder's own name contains a pattern
				continue
			}
			for _, dir := range found {
				if !slices.Contains(dirs, dir) {
					dirs = append(dirs, dir)
				}
			}
		}
	}
	return dirs
}

// output returns a command's output, "" if the command is missing or fails.
func output(name string, args ...string) string {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second) // a faulty driver can hang its tools
	defer cancel()
	out, err := exec.CommandContext(ctx, name, args...).Output()
	if err != nil {
		return ""
	}
	return string(out)
}
