package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/format/store"
	"github.com/attnx/attnx/internal/find"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/huggingface"
)

// output is what a command writes.
type output int

const (
	checkpointOutput output = iota
	resealedOutput          // a safetensors file in its own place
	onnxOutput
	pictureOutput
	folderOutput
	runOutput
)

// outputs says of each how it is written, what it is called, and which endings
// of its name are its own.
var outputs = map[output]struct {
	kind    store.TargetKind
	name    string
	endings []string
}{
	checkpointOutput: {store.NewFile, "a checkpoint", []string{".safetensors"}},
	resealedOutput:   {store.SameFile, "a safetensors file", nil},
	onnxOutput:       {store.NewFile, "an ONNX file", []string{".onnx"}},
	pictureOutput:    {store.NewFile, "a picture", []string{".png", ".svg"}},
	folderOutput:     {store.NewFolder, "a folder", nil},
	runOutput:        {store.RunFolder, "a run's folder", nil},
}

// claim decides, before a command works, whether it may write to a path. No
// command writes over what it reads, over a run's files, below a run that
// another process writes, or over a file that attnx did not write. inputs are
// what the command was given to read. The place is the command's until the claim
// is closed.
func claim(what output, path string, inputs ...string) (*store.Claim, error) {
	if path == "-" {
		return nil, errors.New("-: nothing is written to standard output: name a file (./- for one of this name)")
	}
	return store.Target{
		Path: path,
		Kind: outputs[what].kind,
		Inputs: func() (files []string) {
			for _, input := range inputs {
				files = append(files, partsOf(input)...)
			}
			return files
		},
		Refuse: func(real string, there fs.FileInfo) error {
			if err := fitting(what, path); err != nil {
				return err
			}
			if there != nil && there.Mode().IsRegular() {
				if err := mayReplace(what, path); err != nil {
					return err
				}
			}
			return apart(what, path, real, inputs)
		},
	}.Claim()
}

// apart refuses what would become a part of something that is there.
func apart(what output, path, real string, inputs []string) error {
	if what == onnxOutput { // where export puts weights that are too large for one file
		data := path + "_data"
		if _, err := os.Lstat(data); err == nil {
			return fmt.Errorf("%s: it already exists, and belongs to a model of that name: choose another name, or remove it", data)
		}
	}
	for _, input := range inputs {
		if becomesInput(real, input) {
			return fmt.Errorf("%s: the input folder would take this for a part of its model: choose another place", path)
		}
	}
	return nil
}

// becomesInput reports whether what is put at a path, whose links are followed,
// would be read as a part of a Hugging Face folder: as its weights, or as the
// folder of its ONNX files.
func becomesInput(real, folder string) bool {
	name := filepath.Base(real)
	if !huggingface.IsFolder(folder) || !strings.EqualFold(name, huggingface.WeightsName) && !strings.EqualFold(name, find.ONNXFolder) {
		return false
	}
	a, err := os.Stat(filepath.Dir(real))
	if err != nil {
		return false
	}
	b, err := os.Stat(folder)
	return err == nil && os.SameFile(a, b)
}

// otherEndings are the file name extensions that attnx does not write.
var otherEndings = strings.Fields(".arrow .bin .ckpt .csv .db .dlc .engine .gguf .ggml .gif .go .gz .h5 .html .ipynb .joblib .jpeg .jpg .json .jsonl " +
	".keras .llamafile .log .mar .md .mlmodel .mlpackage .model .msgpack .nemo .npy .npz .onnx_data .ort .params .parquet .pb .pdf .pickle .pkl " +
	".plan .pt .pt2 .pte .pth .py .safetensor .sh .tar .tflite .tgz .toml .trt .tsv .txt .webp .xml .yaml .yml .zip .zst")

// fitting refuses a name that ends as one of another kind of file does. A folder
// may be called anything, if a separator or the folder itself shows that it is one.
func fitting(what output, path string) error {
	o := outputs[what]
	makesFolder := o.kind == store.NewFolder || o.kind == store.RunFolder
	if what == resealedOutput || makesFolder && (os.IsPathSeparator(path[len(path)-1]) || find.IsFolder(path)) {
		return nil
	}
	ending := strings.ToLower(filepath.Ext(path))
	known := otherEndings
	for other, o := range outputs {
		if other != what {
			known = append(known[:len(known):len(known)], o.endings...)
		}
	}
	if slices.Contains(known, ending) {
		remedy := "choose another name"
		if makesFolder {
			remedy += ", or end it with a slash"
		}
		return fmt.Errorf("%s: this command writes %s, and %s is the ending of another kind of file: %s", path, o.name, ending, remedy)
	}
	return nil
}

// partsOf returns the files that an argument stands for: itself, the weights
// beside an ONNX file, the checkpoints of a run, all files of a Hugging Face
// folder. Models and pictures in such a folder are not read with it; for them
// mayReplace decides.
func partsOf(arg string) []string {
	if !find.IsFolder(arg) {
		files := []string{arg}
		if to, err := store.Follow(arg); err == nil {
			files = append(files, to)
		}
		return append(files, dataOf(arg)...)
	}
	kept := func(name string) bool { return strings.HasPrefix(name, "step-") }
	if huggingface.IsFolder(arg) {
		kept = func(name string) bool {
			ending := strings.ToLower(filepath.Ext(name))
			return ending != ".onnx" && ending != ".png" && ending != ".svg"
		}
	}
	files := []string{arg}
	for _, folder := range []string{arg, filepath.Join(arg, find.ONNXFolder)} {
		entries, _ := os.ReadDir(folder) // whoever reads it says what is wrong with it
		for _, e := range entries {
			if !e.IsDir() && kept(e.Name()) {
				files = append(files, filepath.Join(folder, e.Name()))
			}
		}
	}
	return files
}

// dataOf returns the files that hold the weights of an ONNX file.
func dataOf(path string) (files []string) {
	o, err := onnx.ReadOutline(path)
	if err != nil {
		return nil // it is not one
	}
	for _, name := range o.Data {
		files = append(files, filepath.Join(filepath.Dir(path), filepath.FromSlash(name)))
	}
	return files
}

// mayReplace says why a file must not be replaced: attnx did not write it, or it
// holds more than the command would write again.
func mayReplace(what output, path string) error {
	switch what {
	case resealedOutput:
		return notReferred(path)
	case onnxOutput:
		if export.Standalone(path) {
			return nil
		}
		if len(dataOf(path)) > 0 {
			return fmt.Errorf("%s: it already exists, and its weights are in another file: choose another name, or remove both", path)
		}
	case checkpointOutput:
		f, err := format.Open(path)
		if err != nil {
			break
		}
		defer f.Close()
		if model.Resumable(f.Reader) {
			return fmt.Errorf("%s: it already exists, and holds the state of a training run: choose another name, or remove it", path)
		}
		if f.Seal() != nil {
			return nil
		}
	case pictureOutput:
		if isOurPicture(path) {
			return nil
		}
	}
	return fmt.Errorf("%s: it already exists, and attnx did not write it: choose another name, or remove it", path)
}

// notReferred refuses a file in which an ONNX file beside it has its weights:
// sealed, they would lie elsewhere in it.
func notReferred(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	dir := filepath.Dir(path)
	for _, folder := range []string{dir, filepath.Join(dir, find.ONNXFolder)} {
		entries, err := os.ReadDir(folder)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		for _, e := range entries {
			if strings.ToLower(filepath.Ext(e.Name())) != ".onnx" {
				continue
			}
			for _, data := range dataOf(filepath.Join(folder, e.Name())) {
				if other, err := os.Stat(data); err == nil && os.SameFile(info, other) {
					return fmt.Errorf("%s: %s has its weights in it: write the sealed file to another place", path, filepath.Join(folder, e.Name()))
				}
			}
		}
	}
	return nil
}
