package huggingface

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/attnx/attnx/internal/quote"
)

// index is the content of a model.safetensors.index.json.
type index struct {
	files []string          // the shards, in order of their first weight
	place map[string]string // the shard of each tensor, according to the index
}

// parseIndex reads an index. Every file in it must be directly in the folder,
// on every system. It ignores metadata, such as the total size: writers count
// it in several ways, and every weight is checked.
func parseIndex(text []byte) (index, error) {
	x := index{place: map[string]string{}}
	o, err := parseObject(text)
	if err != nil {
		return x, err
	}
	if o.absent("weight_map") {
		return x, fmt.Errorf("weight_map is missing: it maps each weight to its file")
	}
	seen := map[string]bool{}
	err = members(o["weight_map"], func(tensor string, v jsontext.Value) error {
		file, err := unquote(v)
		if err != nil {
			return fmt.Errorf("tensor %s: %w", quote.String(tensor), err)
		}
		if !plainName(file) {
			return fmt.Errorf("tensor %s: the file %s is refused: it must be one of the folder itself, with a plain name that ends with .safetensors", quote.String(tensor), quote.String(file))
		}
		if !seen[file] {
			seen[file] = true
			x.files = append(x.files, file)
		}
		x.place[tensor] = file
		return nil
	})
	if err != nil {
		return x, fmt.Errorf("weight_map: %w", err)
	}
	if len(x.place) == 0 {
		return x, fmt.Errorf("weight_map is empty: it must name a file for each weight")
	}
	return x, nil
}

// plainName reports whether name is a safetensors file directly in a folder.
// It rejects what is a path, a drive or a stream on any system.
func plainName(name string) bool {
	return strings.HasSuffix(name, ".safetensors") && !strings.ContainsAny(name, "/\\:\x00") &&
		filepath.IsLocal(name) && fs.ValidPath(name)
}
