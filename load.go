package attnx

import (
	"github.com/attnx/attnx/internal/find"
	"github.com/attnx/attnx/model"
)

// Load reads the model that a path means: a checkpoint, the newest whole one of a
// run's folder, or a Hugging Face folder. It has no training state: model.Load
// reads it from a checkpoint. What is passed over is told.
func Load(path string, tell Tell) (*model.Checkpoint, error) {
	c, _, err := find.Load(path, tell, model.LoadModel)
	return c, err
}
