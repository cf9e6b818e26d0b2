package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/format/store"
	"github.com/attnx/attnx/internal/find"
	"github.com/attnx/attnx/internal/output"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/huggingface"
)

// folderHelp is what export's help says of folders.
const folderHelp = `A folder, -o DIR/ with a slash or an empty folder that is there, holds the
profile cache for every runtime at once, with one copy of the weights:
model.onnx refers into model.safetensors, and config.json,
generation_config.json, genai_config.json and the tokenizer's files lie
beside. onnxruntime and onnxruntime-genai open it, and where the architecture
is gpt2 also PyTorch's transformers and optimum's ORTModelForCausalLM; they
have no architecture "simple". --web puts the model where transformers.js
looks for it, onnx/model.onnx with the weights under the name
onnx/model.onnx_data, which are model.safetensors too: a hard link, or a copy
on file systems without. --triton DIR makes, alone or beside, the folder of
the model in a repository of the Triton Inference Server; its inputs and outputs
are those of the profile cache, and a text begins with a past of length 0. A
folder that is not empty is never written into.`

// folders is where export writes folders, as the flags say.
type folders struct {
	web    bool   // --web
	triton string // --triton
}

func (f *folders) flags(fl *pflag.FlagSet) {
	fl.BoolVar(&f.web, "web", false, "folder: for transformers.js as well, in browsers and Node")
	fl.StringVar(&f.triton, "triton", "", "Triton model repository (folder) to put the model into")
}

// wanted reports whether folders are to be written, out among them if it means one.
func (f folders) wanted(out string) bool { return f.triton != "" || f.folder(out) }

// folder reports whether a path means a folder.
func (folders) folder(out string) bool {
	return out != "" && (os.IsPathSeparator(out[len(out)-1]) || find.IsFolder(out))
}

// profile returns the name of the profile to write, given that of --profile:
// folders hold the profile cache.
func (f folders) profile(name, out string, chosen bool) (string, error) {
	cache := export.Cache{}.Name()
	switch {
	case f.web && !f.folder(out):
		return name, fmt.Errorf("--web belongs to a folder: end -o with a slash")
	case !f.wanted(out):
		return name, nil
	case out != "" && !f.folder(out):
		return name, fmt.Errorf("-o %s is a file, --triton makes a folder: end -o with a slash, or leave it out", out)
	case chosen && name != cache:
		return name, fmt.Errorf("--profile %s: a folder holds the profile %s: end -o with the name of a file", name, cache)
	}
	return cache, nil
}

// run writes the folders of a checkpoint.
func (f folders) run(ctx context.Context, name, out string, p export.Profile, as numbers, s streams) (r exportReport, err error) {
	r = as.report()
	how, _ := p.(export.Cache)
	if f.web && how.Fuse {
		return r, fmt.Errorf("--web and --fuse exclude each other: transformers.js gives the past in tensors that grow, --fuse takes one buffer")
	}
	free, err := f.claim(out, name, as.text)
	if err != nil {
		return r, err
	}
	defer free()
	c, _, err := find.Load(name, s.tell, model.LoadModel)
	if err != nil {
		return r, err
	}
	if err := warnTokenizer(name, c, s); err != nil {
		return r, err
	}
	text, err := as.heldOut(ctx, s, c, how)
	if err != nil {
		return r, err
	}
	m, done, err := attnx.ExportModel(c, how)
	if err != nil {
		return r, err
	}
	if out != "" {
		if err := f.model(c, m, out, how, s.note, &r); err != nil {
			return r, err
		}
	}
	if f.triton != "" {
		if err := tritonModel(c, m, f.triton, tritonName(name), s.note, &r); err != nil {
			return r, err
		}
	}
	r.Lost, err = as.say(ctx, s.note, c, how, text, done)
	return r, err
}

// claim claims both places, and returns what gives them free.
func (f folders) claim(out, name, text string) (free func(), err error) {
	var places []*store.Claim
	free = func() {
		for _, p := range places {
			p.Close()
		}
	}
	triton := f.triton
	if find.IsFolder(triton) {
		triton = filepath.Join(triton, tritonName(name))
	}
	for _, path := range []string{out, triton} {
		if path == "" {
			continue
		}
		place, err := claim(output.Folder, path, name, text)
		if err != nil {
			free()
			return nil, err
		}
		if places = append(places, place); place.Path == places[0].Path && len(places) > 1 {
			free()
			return nil, fmt.Errorf("%s: -o and --triton both name this folder: choose another for one of them", path)
		}
	}
	return free, nil
}

// model writes the folder of a model m, which a checkpoint was written as.
func (f folders) model(c *model.Checkpoint, m *onnx.Model, out string, how export.Cache, say io.Writer, r *exportReport) error {
	if f.web && !huggingface.OnHub(c) {
		return fmt.Errorf("--web: transformers.js has no architecture %.80q", c.Arch)
	}
	b, err := attnx.Folder{Web: f.web}.Bundle(c, m)
	if wrong := new(attnx.Error); errors.As(err, &wrong) {
		return fmt.Errorf("--web: %w", err)
	}
	if err != nil {
		return err
	}
	p, torch := b.Parts, b.Torch
	files, err := b.Split.Files(b.Name)
	if err != nil {
		return err
	}
	if f.web && torch {
		files = append(files, store.File{Name: huggingface.WeightsName, Link: "onnx/" + b.Weights})
	}
	files = append(files, b.Texts...)
	if err := store.SaveFolder(out, files); err != nil {
		return err
	}
	sayFolder(say, out, m, files, r)
	switch {
	case !huggingface.OnHub(c):
		fmt.Fprintf(say, "transformers and optimum have no architecture %q: onnxruntime and onnxruntime-genai open this folder\n", c.Arch)
	case !torch:
		fmt.Fprintf(say, "PyTorch's transformers does not open it: %s no longer has the weights of the network\n", b.Name)
	}
	if how.Fuse {
		fmt.Fprintf(say, "with --fuse past and present are one buffer of %d tokens: attnx opens the folder, onnxruntime-genai at batch 1 and its max_length left as it is, optimum does not\n", c.Context())
	}
	if how.LastLogits {
		fmt.Fprintln(say, "with --last-logits onnxruntime-genai, which pads on the right, takes batches of one length only")
	}
	if len(c.Tokenizer) == 0 {
		fmt.Fprintln(say, "the checkpoint has no tokenizer: whoever opens the folder gives ids and gets ids")
	}
	if len(p.Special.End) == 0 {
		fmt.Fprintf(say, "the model has no id that ends a text, and onnxruntime-genai opens none without: there a text ends at id %d too\n", b.End[0])
	}
	return nil
}

// tritonModel writes the folder of a model in a repository of the Triton
// Inference Server, which is made if it is not there.
func tritonModel(c *model.Checkpoint, m *onnx.Model, repository, name string, say io.Writer, r *exportReport) error {
	files, err := attnx.TritonFiles(c, m, name)
	if err != nil {
		return err
	}
	made := os.Mkdir(repository, 0o777)
	if made != nil && !errors.Is(made, fs.ErrExist) {
		return fmt.Errorf("--triton: %w", made)
	}
	out := filepath.Join(repository, name)
	if err := store.SaveFolder(out, files); err != nil {
		if made == nil {
			os.Remove(repository)
		}
		return err
	}
	sayFolder(say, out, m, files, r)
	return nil
}

// tritonName is the name of a model in Triton's repository: that of its run or
// file, in letters that no path and no URL changes.
func tritonName(path string) string {
	if full, err := filepath.Abs(path); err == nil {
		path = full
	}
	if base := filepath.Base(path); base == store.LatestName || base == store.BestName {
		path = filepath.Dir(path)
	}
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' {
			return r
		}
		return '_'
	}, strings.TrimSuffix(filepath.Base(path), ".safetensors"))
	return name
}

// sayFolder says and notes which files were written into a folder.
func sayFolder(say io.Writer, out string, m *onnx.Model, files []store.File, r *exportReport) {
	names := make([]string, len(files))
	for i, f := range files {
		names[i] = f.Name
	}
	slices.Sort(names)
	r.describe(m)
	for _, name := range names {
		r.wrote(filepath.Join(out, name))
	}
	fmt.Fprintf(say, "wrote %s: profile %s, opset %d, %d nodes: %s\n", out, m.Metadata[export.MetaProfile], m.Opset(), len(m.Graph.Nodes), strings.Join(names, ", "))
}
