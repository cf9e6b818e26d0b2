package huggingface

import (
	"path/filepath"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/nn"
)

// Report describes side effects of reading a folder.
type Report struct {
	Rounding format.Rounding // of the weights, to float32
	Notes    []string        // what was ignored: one sentence each, starting with the file
}

// Read returns the model of a Hugging Face folder as a checkpoint at step 0
// without training state. Weights may be float64, float32, float16 or
// bfloat16. At most two weights besides the model are in memory. Errors name
// the file.
func Read(path string) (*model.Checkpoint, Report, error) {
	d, err := openFolder(path)
	if err != nil {
		return nil, Report{}, err
	}
	defer d.close()
	c, about, notes, err := d.about()
	if err != nil {
		return nil, Report{}, err
	}
	shards, err := d.openShards()
	defer closeAll(shards)
	if err != nil {
		return nil, Report{}, err
	}
	if err := d.withoutPooler(&about, c, shards); err != nil {
		return nil, Report{}, err
	}
	if err := d.withHead(&about, c, shards); err != nil {
		return nil, Report{}, err
	}
	var done Report
	if c.Weights, done, err = d.weights(about, shards); err != nil {
		return nil, Report{}, err
	}
	done.Notes = append(notes, done.Notes...)
	return c, done, nil
}

// ReadAbout is Read without the weights. It returns the notes of the Report.
// The weights may be anywhere, for example in an ONNX file next to the
// folder's.
func ReadAbout(path string) (c *model.Checkpoint, notes []string, err error) {
	d, err := openFolder(path)
	if err != nil {
		return nil, nil, err
	}
	defer d.close()
	c, _, notes, err = d.about()
	return c, notes, err
}

// deep refuses a network of more layers than the folder has weights, before its
// graph takes the time and the memory of so many.
func (d *folder) deep(n nn.Network) error {
	const usual = 200
	layers := depth(n)
	if layers <= usual {
		return nil
	}
	shards, err := d.openShards()
	defer closeAll(shards)
	if err != nil {
		return nil // reported where the weights are read, if they are
	}
	weights := 0
	for _, s := range shards {
		weights += len(s.Tensors())
	}
	return d.fewer(layers, weights)
}

// fewer refuses fewer weights than layers.
func (d *folder) fewer(layers, weights int) error {
	if layers > weights {
		return d.errorf(configName, "the network has %d layers, but the folder has only %d weights", layers, weights)
	}
	return nil
}

// about returns the model of the folder without its weights, and its parsed
// config.json.
func (d *folder) about() (c *model.Checkpoint, about config, notes []string, err error) {
	text, err := d.read(configName, maxConfig)
	if err != nil {
		return nil, about, nil, err
	}
	if about, err = parseConfig(text); err != nil {
		return nil, about, nil, d.errorf(configName, "%w", err)
	}
	var note string
	if about.network, note, err = d.sentence(about.network); err != nil {
		return nil, about, nil, err
	}
	if note != "" {
		notes = append(notes, note)
	}
	if err := d.deep(about.network); err != nil {
		return nil, about, nil, err
	}
	if c, err = model.Of(about.network); err != nil {
		return nil, about, nil, d.errorf(configName, "%w", err)
	}
	if c.Tokenizer, note, err = d.readTokenizer(about); err != nil {
		return nil, about, nil, err
	}
	if note != "" {
		notes = append(notes, filepath.Join(d.path, note))
	}
	if c.Special, note, err = d.special(about, c.Tokenizer); note != "" {
		notes = append(notes, note)
	}
	if err == nil && len(c.Tokenizer) > 0 {
		c.ChatTemplate, err = d.chatTemplate()
	}
	return c, about, notes, err
}
