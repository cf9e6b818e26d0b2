package store

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// Names that whoever trains puts into a run's folder beside what this package
// does.
const (
	MetricsName  = "metrics.jsonl"
	LossPlotName = "loss.png"
	SourceName   = "source.json" // where its text lies
)

// keptPattern are the names, in small letters, of what a run keeps and nothing
// can make again.
var keptPattern = regexp.MustCompile(`^(step-[0-9]+\.safetensors(\.corrupt(\.[0-9]+)?)?|lock|metrics\.jsonl)$`)

// runKeeps reports whether a run in dir keeps a file of this name, now or later.
// Capitals do not count: some file systems do not count them either.
func runKeeps(dir, name string) bool {
	name = strings.ToLower(name)
	temp := strings.HasPrefix(name, tempPrefix) && strings.HasSuffix(name, tempSuffix)
	return (temp || name == LatestName || name == BestName || name == LossPlotName || name == SourceName || keptPattern.MatchString(name)) && isRun(dir)
}

// isRun reports whether a folder holds a run, or what is left of one.
func isRun(dir string) bool {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return false
	}
	for _, e := range entries {
		if keptPattern.MatchString(strings.ToLower(e.Name())) {
			return true
		}
	}
	return false
}

// parent returns the folder that a path lies in as the system finds it.
// filepath.Dir would make "." of "link/..", which is another folder where link
// is a symbolic link.
func parent(path string) string {
	dir, _ := filepath.Split(path)
	if dir == "" {
		return "."
	}
	if short := trimSeparators(dir); short != "" && short != filepath.VolumeName(short) {
		return short
	}
	return dir
}

// trimSeparators returns a path without the separators, and the names ".", at
// its end.
func trimSeparators(path string) string {
	for n := len(path); n > 1; n = len(path) {
		switch {
		case os.IsPathSeparator(path[n-1]):
			path = path[:n-1]
		case n > 2 && path[n-1] == '.' && os.IsPathSeparator(path[n-2]):
			path = path[:n-1]
		default:
			return path
		}
	}
	return path
}

// tempIn returns a new name for what is being written in a folder.
func tempIn(folder string) string {
	name := tempPrefix + strings.ToLower(rand.Text()) + tempSuffix
	switch {
	case folder == ".":
		return name
	case os.IsPathSeparator(folder[len(folder)-1]):
		return folder + name
	}
	return folder + string(filepath.Separator) + name
}
