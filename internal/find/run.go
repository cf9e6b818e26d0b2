package find

import (
	"github.com/attnx/attnx/format/store"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/huggingface"
)

// Checkpoints returns the checkpoints of a run's folder, oldest first, or the
// path itself if it is not such a folder. isRun reports which.
func Checkpoints(path string) (files []string, isRun bool, err error) {
	if !IsFolder(path) || huggingface.IsFolder(path) {
		return []string{path}, false, nil
	}
	saved, _, err := store.List(path, model.CheckSeal)
	if err != nil {
		return nil, true, err
	}
	if len(saved) == 0 {
		return nil, true, NoCheckpoint(path)
	}
	for _, c := range saved {
		files = append(files, c.Path)
	}
	return files, true, nil
}
