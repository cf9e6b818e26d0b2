package huggingface

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
)

// Explain describes what a folder without config.json lacks, or where near it
// a model is. It returns nil for a folder that does not look like one of
// Hugging Face.
func Explain(folder string) error {
	root, err := os.OpenRoot(folder)
	if err != nil {
		return nil
	}
	defer root.Close()
	has := func(name string) bool {
		_, err := root.Lstat(name)
		return err == nil
	}
	switch {
	case has(configName):
		return nil
	case has(adapterName):
		return fmt.Errorf("%s: %s", folder, adapter)
	case has(WeightsName) || has(indexName) || has("pytorch_model.bin"):
		return fmt.Errorf("%s: the folder has weights, but no %s, which describes their network: put it beside them", folder, configName)
	}
	for _, dir := range []string{"snapshots", "."} {
		for _, in := range slices.Backward(foldersIn(root, dir)) {
			if has(path.Join(in, configName)) {
				return fmt.Errorf("%s: the folder itself has no model: name %s", folder, filepath.Join(folder, filepath.FromSlash(in)))
			}
		}
	}
	return nil
}

// foldersIn returns the folders in a folder, in order. It opens nothing but folders:
// opening a pipe, as fs.Glob does, would wait for a writer.
func foldersIn(root *os.Root, dir string) (all []string) {
	if info, err := root.Stat(dir); err != nil || !info.IsDir() {
		return nil
	}
	entries, err := fs.ReadDir(root.FS(), dir)
	if err != nil {
		return nil
	}
	for _, e := range entries {
		in := path.Join(dir, e.Name())
		if info, err := root.Stat(in); err == nil && info.IsDir() { // a link may lead to one
			all = append(all, in)
		}
	}
	return all
}
