package huggingface

import (
	"path/filepath"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
)

// Report is what reading a folder did beside.
type Report struct {
	Rounding format.Rounding // of the weights to float32
	Notes    []string        // what was passed over, a sentence each, which begins with the file
}

// Read returns the model of a Hugging Face folder as a checkpoint at step 0
// without training state. Weights may be float64, float32, float16 or bfloat16.
// At most the model and two further weights are in memory. Errors name the file.
func Read(path string) (*model.Checkpoint, Report, error) {
	d, err := openFolder(path)
	if err != nil {
		return nil, Report{}, err
	}
	defer d.close()
	text, err := d.read(configName, maxConfig)
	if err != nil {
		return nil, Report{}, err
	}
	config, err := parseConfig(text)
	if err != nil {
		return nil, Report{}, d.errorf(configName, "%w", err)
	}
	c := &model.Checkpoint{Config: config.Config}
	var note string
	if c.Tokenizer, note, err = d.tokenizer(); err != nil {
		return nil, Report{}, err
	}
	if c.Special, err = d.special(c.Config, c.Tokenizer); err != nil {
		return nil, Report{}, err
	}
	shards, err := d.openShards()
	defer closeAll(shards)
	if err != nil {
		return nil, Report{}, err
	}
	var done Report
	if c.Weights, done, err = d.weights(config, shards); err != nil {
		return nil, Report{}, err
	}
	if note != "" {
		done.Notes = append(done.Notes, filepath.Join(path, note))
	}
	return c, done, nil
}
