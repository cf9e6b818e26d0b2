package attnx

import (
	"fmt"

	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/export/bundle"
	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/export/precision"
	"github.com/attnx/attnx/format/store"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/huggingface"
)

// Files of a network that translates, with optimum's names.
const (
	encoderFile = "encoder_model.onnx"
	firstFile   = "decoder_model.onnx"
	nextFile    = "decoder_with_past_model.onnx"
)

// pairFiles are the files in the order in which they run.
var pairFiles = []string{encoderFile, firstFile, nextFile}

// savePair writes the folder of a network that translates: its parts in a file each,
// with one file of weights that transformers opens too.
func (x *exporting) savePair(c *model.Checkpoint, r *ExportReport) (precision.Numbers, error) {
	var none precision.Numbers
	plain, ok := x.Profile.(export.Plain)
	switch {
	case !ok || x.Profile.Numbers().Changes():
		return none, &OptionError{Option: "Profile", Reason: ": the folder of a network that translates holds the profile plain in float32, for its encoder and its decoder"}
	case x.Web:
		return none, &OptionError{Option: "Web", Reason: ": transformers.js reads a decoder with and without a past in one file, which attnx does not write yet: leave it out"}
	case x.triton != "":
		return none, &OptionError{Option: "Triton", Reason: " serves one model, and a network that translates has an encoder and a decoder: name a folder"}
	}
	cut, err := c.Cut()
	if err != nil {
		return none, err
	}
	parts, err := huggingface.Prepare(c, c.Weights, false)
	if err != nil {
		return none, err
	}
	var models []*onnx.Model
	checkpoints, err := cut.Checkpoints(c)
	if err != nil {
		return none, err
	}
	for _, p := range checkpoints {
		m, _, err := ExportModel(p, plain)
		if err != nil {
			return none, err
		}
		if _, same := weightsOf(p, m); !same {
			return none, fmt.Errorf("the weights of a part are not those of the network in their shapes: report this as a bug")
		}
		models = append(models, m)
	}
	files, err := bundle.Shared(huggingface.WeightsName, parts.Offsets, parts.Weights, pairFiles, models)
	if err != nil {
		return none, err
	}
	files = append(files, parts.Texts...)
	if err := store.SaveFolder(x.to, files); err != nil {
		return none, err
	}
	r.folder(x.to, models[1], files)
	if !huggingface.OnHub(c) {
		r.say("transformers and optimum have no architecture %.80q", c.Arch)
	}
	if len(c.Tokenizer) == 0 {
		r.say("the checkpoint has no tokenizer: whoever opens the folder gives ids and gets ids")
	}
	return none, nil
}
