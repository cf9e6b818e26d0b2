package output

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
	"github.com/attnx/attnx/model/gguf"
	"github.com/attnx/attnx/model/huggingface"
)

// Kind is the kind of an output.
type Kind int

const (
	Checkpoint Kind = iota
	Resealed        // a safetensors file, rewritten in place
	ONNX
	GGUF
	Picture
	Folder // of a model
	Run    // the folder of a training run

	Receipt       // of a verification
	SignedReceipt // a receipt that gets a signature, rewritten in place
	Key           // the private half of a key

	Array  // numpy's file
	Page   // of HTML
	Tokens // a text as ids

	Adapter // of ONNX Runtime
)

// kinds lists for each kind how it is written, its name in messages, and its
// file name extensions.
var kinds = map[Kind]struct {
	target  store.TargetKind
	name    string
	endings []string
}{
	Checkpoint: {store.NewFile, "a checkpoint", []string{".safetensors"}},
	Resealed:   {store.SameFile, "a safetensors file", nil},
	ONNX:       {store.NewFile, "an ONNX file", []string{".onnx"}},
	GGUF:       {store.NewFile, "a GGUF file", []string{".gguf"}},
	Picture:    {store.NewFile, "a picture", []string{".png", ".svg"}},
	Folder:     {store.NewFolder, "a folder", nil},
	Run:        {store.RunFolder, "a run's folder", nil},

	Receipt:       {store.NewFile, "a receipt", []string{".json"}},
	SignedReceipt: {store.SameFile, "a receipt", nil},
	Key:           {store.NewFile, "a key", []string{".pem"}},

	Array:  {store.NewFile, "an array", []string{".npy"}},
	Page:   {store.NewFile, "a page", []string{".html", ".htm"}},
	Tokens: {store.NewFile, "a token file", []string{".safetensors"}},

	Adapter: {store.NewFile, "an adapter", []string{".onnx_adapter"}},
}

// Claim checks, before any work, that an output may be written to a path. The
// path must not be an input under any name, a file of a run, below a run that
// another process writes, or an existing file that attnx did not write or
// could not write again. The caller owns the path until it closes the claim.
// Errors name the path.
func Claim(what Kind, path string, inputs ...string) (*store.Claim, error) {
	return store.Target{
		Path: path,
		Kind: kinds[what].target,
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

// apart rejects an output that would become a part of an existing model.
func apart(what Kind, path, real string, inputs []string) error {
	if what == ONNX { // an export puts weights there that are too large for one file
		data := path + "_data"
		if _, err := os.Lstat(data); err == nil {
			return fmt.Errorf("%s: it already exists, and belongs to a model of that name: choose another name, or remove it", data)
		}
	}
	for _, input := range inputs {
		if becomesInput(real, input) {
			return fmt.Errorf("%s: the input folder would read this as a part of its model: choose another place", path)
		}
	}
	return nil
}

// becomesInput reports whether a file at the resolved path real would be read
// as a part of a Hugging Face folder: as its weights, or as the folder of its
// ONNX files.
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
var otherEndings = strings.Fields(".arrow .bin .ckpt .csv .db .dlc .engine .ggml .gif .go .gz .h5 .html .ipynb .joblib .jpeg .jpg .json .jsonl " +
	".keras .llamafile .log .mar .md .mlmodel .mlpackage .model .msgpack .nemo .npy .npz .onnx_data .ort .params .parquet .pb .pdf .pickle .pkl " +
	".plan .pt .pt2 .pte .pth .py .safetensor .sh .tar .tflite .tgz .toml .trt .tsv .txt .webp .xml .yaml .yml .zip .zst")

// fitting rejects a name with the extension of another kind of file. A folder
// may have any name if a trailing separator or the existing folder shows that
// it is one.
func fitting(what Kind, path string) error {
	o := kinds[what]
	makesFolder := o.target == store.NewFolder || o.target == store.RunFolder
	if o.target == store.SameFile || makesFolder && (os.IsPathSeparator(path[len(path)-1]) || find.IsFolder(path)) {
		return nil
	}
	ending := strings.ToLower(filepath.Ext(path))
	if slices.Contains(o.endings, ending) {
		return nil
	}
	known := otherEndings
	for other, o := range kinds {
		if other != what {
			known = append(known[:len(known):len(known)], o.endings...)
		}
	}
	if slices.Contains(known, ending) {
		remedy := "choose another name"
		if makesFolder {
			remedy += ", or end it with a slash"
		}
		return fmt.Errorf("%s: the output is %s, and %s is the extension of another kind of file: %s", path, o.name, ending, remedy)
	}
	return nil
}

// partsOf returns the files that belong to an input: itself, the external
// weights of an ONNX file, the checkpoints of a run, all files of a Hugging
// Face folder. Models, pictures and pages in such a folder are not inputs; mayReplace
// decides about them.
func partsOf(path string) []string {
	if !find.IsFolder(path) {
		files := []string{path}
		if to, err := store.Follow(path); err == nil {
			files = append(files, to)
		}
		return append(files, dataOf(path)...)
	}
	kept := func(name string) bool { return strings.HasPrefix(name, "step-") }
	if huggingface.IsFolder(path) {
		kept = func(name string) bool {
			ending := strings.ToLower(filepath.Ext(name))
			return ending != ".onnx" && ending != ".png" && ending != ".svg" && ending != ".html"
		}
	}
	files := []string{path}
	for _, folder := range []string{path, filepath.Join(path, find.ONNXFolder)} {
		entries, _ := os.ReadDir(folder) // the code that reads it reports the error
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
		return nil // not an ONNX file
	}
	for _, name := range o.Data {
		files = append(files, filepath.Join(filepath.Dir(path), filepath.FromSlash(name)))
	}
	return files
}

// mayReplace returns the reason why a file must not be replaced: attnx did not
// write it, or it holds more than attnx would write again.
func mayReplace(what Kind, path string) error {
	switch what {
	case Resealed:
		return notReferred(path)
	case SignedReceipt:
		return nil
	case Receipt, Key, Array, Tokens, Adapter:
		return fmt.Errorf("%s: it already exists: choose another name, or remove it", path)
	case ONNX:
		if export.Standalone(path) {
			return nil
		}
		if len(dataOf(path)) > 0 {
			return fmt.Errorf("%s: it already exists, and its weights are in another file: choose another name, or remove both", path)
		}
	case Checkpoint:
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
	case GGUF:
		if gguf.Ours(path) {
			return nil
		}
	case Picture:
		if isOurPicture(path) {
			return nil
		}
	case Page:
		if begins(path, PageMark) {
			return nil
		}
	}
	return fmt.Errorf("%s: it already exists, and attnx did not write it: choose another name, or remove it", path)
}

// notReferred rejects a file that holds the weights of an ONNX file next to
// it: sealing would move them.
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
					return fmt.Errorf("%s: %s refers to weights in it: write the sealed file to another place", path, filepath.Join(folder, e.Name()))
				}
			}
		}
	}
	return nil
}
