package attnx

import (
	"github.com/attnx/attnx/internal/find"
	"github.com/attnx/attnx/model"
)

// Load reads the model at a path: a checkpoint, the newest intact one of a run's
// folder, or a Hugging Face folder. It leaves out the training state, which
// model.Load reads from a checkpoint. It reports skipped files through tell.
func Load(path string, tell Tell) (*model.Checkpoint, error) {
	c, _, err := find.Load(path, tell, model.LoadModel)
	return c, err
}
