package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/attnx/attnx/format"
)

// readText returns the text of a file, or of all files below a folder whose
// names match the glob, in the order of their paths. Errors name the flag that
// the path was given with.
func readText(flag, path, glob string) (string, error) {
	if _, err := filepath.Match(glob, ""); err != nil {
		return "", fmt.Errorf("--glob %q: %w", glob, err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("%s: %w", flag, err)
	}
	files := []string{path}
	if info.IsDir() {
		files = nil
		err := filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			if ok, _ := filepath.Match(glob, d.Name()); ok {
				files = append(files, p)
			}
			return nil
		})
		if err != nil {
			return "", fmt.Errorf("%s: %w", flag, err)
		}
		if len(files) == 0 {
			return "", fmt.Errorf("%s %s: no file below it matches --glob %q", flag, path, glob)
		}
	}
	var text strings.Builder
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			return "", fmt.Errorf("%s: %w", flag, err)
		}
		if format.IsLFSPointer(b) {
			return "", fmt.Errorf("%s: %s: %s", flag, f, format.LFSPointer)
		}
		if !utf8.Valid(b) {
			return "", fmt.Errorf("%s: %s is no UTF-8 text: leave it out with --glob, or convert it", flag, f)
		}
		text.Write(b)
	}
	if strings.TrimSpace(text.String()) == "" {
		return "", fmt.Errorf("%s %s: the text is empty", flag, path)
	}
	return text.String(), nil
}
