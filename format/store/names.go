package store

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// Names of files that the trainer adds to a run's folder.
const (
	MetricsName  = "metrics.jsonl"
	LossPlotName = "loss.png"
	SourceName   = "source.json" // where the training text is
	ConfigName   = "config.yaml" // the settings that the run was started with
)

// keptPattern matches the lower-case names of files that a run keeps and that
// nothing can recreate.
var keptPattern = regexp.MustCompile(`^(step-[0-9]+\.safetensors(\.corrupt(\.[0-9]+)?)?|lock|metrics\.jsonl)$`)

// eventsPattern matches the names of files for TensorBoard. Nothing can recreate
// them, but other programs write them too: they show no run.
var eventsPattern = regexp.MustCompile(`^events\.out\.tfevents\.[0-9.]+$`)

// runKeeps reports whether a run in dir keeps a file of this name, now or
// later. Case is ignored, as on some file systems.
func runKeeps(dir, name string) bool {
	name = strings.ToLower(name)
	temp := strings.HasPrefix(name, tempPrefix) && strings.HasSuffix(name, tempSuffix)
	return (temp || name == LatestName || name == BestName || name == LossPlotName || name == SourceName || name == ConfigName || keptPattern.MatchString(name) || eventsPattern.MatchString(name)) && isRun(dir)
}

// isRun reports whether a folder holds a run or its remains.
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

// parent returns the folder of a path as the system resolves it. filepath.Dir
// would shorten "link/.." to ".", which is another folder if link is a
// symbolic link.
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

// trimSeparators removes separators and "." elements from the end of a path.
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

// tempIn returns a new name for a temporary file in a folder.
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
