package find

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/attnx/attnx/model/huggingface"
)

// commit matches the name of a snapshot in Hugging Face's cache.
var commit = regexp.MustCompile(`^[0-9a-f]{40}$`)

// Held returns the path of the model that a folder holds for others: of a
// repository in Hugging Face's cache (models--ORG--NAME) the snapshot of its main
// branch, or the only one, and of a folder with one GGUF file that file. It
// returns any other path unchanged.
func Held(path string) string {
	if !IsFolder(path) || huggingface.IsFolder(path) {
		return path
	}
	if to := snapshot(path); to != "" {
		path = to
	}
	if huggingface.IsFolder(path) || kindOfFolder(path) != OtherFolder {
		return path
	}
	if files := entries(path, func(name string) bool { return strings.EqualFold(filepath.Ext(name), ".gguf") }); len(files) == 1 {
		return files[0]
	}
	return path
}

// snapshot returns the snapshot of a repository in the cache; "" if the folder is
// no such repository, or has several snapshots and none is that of its branch.
func snapshot(path string) string {
	dir := filepath.Join(path, "snapshots")
	if main, err := readSmall(filepath.Join(path, "refs", "main")); err == nil {
		if name := strings.TrimSpace(main); commit.MatchString(name) && IsFolder(filepath.Join(dir, name)) {
			return filepath.Join(dir, name)
		}
	}
	if all := entries(dir, commit.MatchString); len(all) == 1 && IsFolder(all[0]) {
		return all[0]
	}
	return ""
}

// readSmall reads a regular file of a few bytes.
func readSmall(path string) (string, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() || info.Size() > 256 {
		return "", os.ErrInvalid
	}
	text, err := os.ReadFile(path)
	return string(text), err
}
