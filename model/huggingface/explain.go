package huggingface

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
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
	for _, pattern := range []string{"snapshots/*/", "*/"} {
		found, err := fs.Glob(root.FS(), pattern+configName)
		if err == nil && len(found) > 0 {
			return fmt.Errorf("%s: the folder itself has no model: name %s", folder, filepath.Join(folder, filepath.FromSlash(path.Dir(found[len(found)-1]))))
		}
	}
	return nil
}
