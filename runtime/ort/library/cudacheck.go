package library

import (
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strings"

	"github.com/attnx/attnx/runtime/sharedlib"
)

// diagnoseCUDA checks the parts that a GPU build needs, one line for each: the
// provider in the library's folder, the libraries that it needs, the driver,
// the device. For a CPU build it returns nothing and does not examine the
// machine.
func diagnoseCUDA(lib Library, loaderHere func() loader, driverHere func(loader) driver) []Check {
	const name = "cuda provider library"
	provider := beside(lib.Path, cudaProvider)
	if provider == "" {
		return nil
	}
	versions, err := lib.Needs()
	if err != nil {
		return []Check{{name, Unavailable, err.Error(), remedyBuild}}
	}
	checks := []Check{{Name: name, Status: OK, Detail: provider + ", made for " + versions.String()}}
	if beside(lib.Path, sharedProvider) == "" {
		checks = append(checks, Check{name, NotFound, "no " + sharedProvider + " beside " + lib.Path, remedyBuild})
	}
	l := loaderHere()
	if goruntime.GOOS == "linux" {
		checks = append(checks, l.checks(provider, versions.CUDA)...)
	}
	return append(checks, driverHere(l).checks(versions.CUDA)...)
}

// checks returns the lines about the libraries that the provider needs: CUDA's
// in any state, others only if something is wrong. The driver's library has its
// own line elsewhere.
func (l loader) checks(provider, cuda string) []Check {
	pieces, err := l.walk(provider, opened[cuda])
	if err != nil {
		return []Check{{"cuda libraries", Unavailable, err.Error(), remedyCUDA}}
	}
	var checks []Check
	var hidden []piece
	for _, p := range pieces {
		pip := pipRequirement(p.name, cuda)
		c := Check{Name: p.name}
		switch {
		case p.name == driverLibrary():
			continue
		case p.path == "":
			c.Status, c.Detail = NotFound, "not found; "+p.by+" needs it"
			if slices.Contains(opened[cuda], p.name) {
				c.Detail = "not found; opened when an operator first needs it"
			}
			c.Remedy = "install the system's package that holds it"
			if pip != "" {
				c.Remedy = "pip install '" + pip + "' and run doctor again, which then reports the folder that the loader needs"
				if others := l.versions(p.name); len(others) > 0 {
					c.Detail += "; of another version: " + strings.Join(others, ", ")
				}
			}
		case p.broken != nil:
			c.Status, c.Detail, c.Remedy = Unavailable, p.broken.Error(), "install it again"
		case p.hidden:
			hidden = append(hidden, p)
			continue
		case pip == "":
			continue
		default:
			c.Status, c.Detail = OK, sharedlib.Real(p.path)
		}
		checks = append(checks, c)
	}
	if len(hidden) > 0 {
		checks = append(checks, hiddenCheck(hidden))
	}
	return checks
}

// hiddenCheck returns the line about libraries in pip's folders, with the
// command that makes them visible to the loader.
func hiddenCheck(pieces []piece) Check {
	var names, dirs []string
	for _, p := range pieces {
		names = append(names, p.name)
		if dir := filepath.Dir(p.path); !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
	}
	return Check{"cuda library path", Unavailable,
		strings.Join(names, ", ") + ": in folders of pip's, where the loader does not look",
		"export LD_LIBRARY_PATH=" + shellWord(strings.Join(dirs, ":")) + "${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"}
}

// shellWord quotes a word for a shell if it must be.
func shellWord(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool {
		return !strings.ContainsRune("/:._-+,@%=", r) && !(r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z')
	}) {
		return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
	}
	return s
}
