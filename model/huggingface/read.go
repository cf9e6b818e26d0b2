package huggingface

import (
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
)

// Read returns the model of a Hugging Face folder as a checkpoint at step 0
// without training state, and what widening or rounding its weights to float32
// did. Weights may be float64, float32, float16 or bfloat16. At most the model
// and one further weight are in memory. Errors name the file.
func Read(path string) (*model.Checkpoint, format.Rounding, error) {
	d, err := openFolder(path)
	if err != nil {
		return nil, format.Rounding{}, err
	}
	defer d.close()
	text, err := d.read(configName, maxConfig)
	if err != nil {
		return nil, format.Rounding{}, err
	}
	c := &model.Checkpoint{}
	if c.Config, err = ParseConfig(text); err != nil {
		return nil, format.Rounding{}, d.errorf(configName, "%w", err)
	}
	if d.has(tokenizerName) {
		if c.Tokenizer, err = d.read(tokenizerName, maxTokenizer); err != nil {
			return nil, format.Rounding{}, err
		}
	}
	shards, err := d.openShards()
	defer closeAll(shards)
	if err != nil {
		return nil, format.Rounding{}, err
	}
	var done format.Rounding
	if c.Weights, done, err = d.weights(c.Config, shards); err != nil {
		return nil, format.Rounding{}, err
	}
	return c, done, nil
}
