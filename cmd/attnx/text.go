package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"
)

// readText returns the text of a file, or of all files below a folder whose
// names match the glob, in the order of their paths.
func readText(path, glob string) (string, error) {
	if _, err := filepath.Match(glob, ""); err != nil {
		return "", fmt.Errorf("--glob %q: %w", glob, err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("--data: %w", err)
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
			return "", fmt.Errorf("--data: %w", err)
		}
		if len(files) == 0 {
			return "", fmt.Errorf("--data %s: no file below it matches --glob %q", path, glob)
		}
	}
	var text strings.Builder
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			return "", fmt.Errorf("--data: %w", err)
		}
		if !utf8.Valid(b) {
			return "", fmt.Errorf("--data: %s is no UTF-8 text: leave it out with --glob, or convert it", f)
		}
		text.Write(b)
	}
	if strings.TrimSpace(text.String()) == "" {
		return "", fmt.Errorf("--data %s: the text is empty", path)
	}
	return text.String(), nil
}
