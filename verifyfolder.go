package attnx

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/export/bundle"
	"github.com/attnx/attnx/export/compare"
	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/format/store"
	"github.com/attnx/attnx/internal/find"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/huggingface"
	"github.com/attnx/attnx/model/nn"
	"github.com/attnx/attnx/runtime"
)

// maxFolderFile bounds the bytes of a folder's file that is read into memory.
const maxFolderFile = 256 << 20

// folderOf returns the folder that the exporter wrote around a model's file, and
// whether it is for transformers.js. It returns "" if the file is not in such a
// folder.
func folderOf(path string, m *onnx.Model, info export.Info) (folder string, web bool) {
	folder = filepath.Dir(path)
	if web = filepath.Base(folder) == find.ONNXFolder; web {
		folder = filepath.Dir(folder)
	}
	// A small quantized model keeps all its weights in the file.
	written := m.HasExternal() || regularIn(folder, genaiName)
	if !isCache(info.Profile) && !holdsPlain(folder, m, info) || filepath.Base(path) != "model.onnx" || !written || tritonFolder(path) != "" {
		return "", web
	}
	return folder, web
}

// holdsPlain reports whether a folder is that of a model without a past. A large
// file in the profile plain has its weights beside it too, but no configuration.
func holdsPlain(folder string, m *onnx.Model, info export.Info) bool {
	if _, plain := info.Profile.(export.Plain); !plain {
		return false
	}
	return regularIn(folder, "config.json") || slices.ContainsFunc(m.Graph.Initializers, func(t *onnx.Tensor) bool {
		return t.External != nil && t.External.Location == huggingface.WeightsName
	})
}

// tritonFolder returns the folder of a model in Triton's repository, "" if the
// file at path is not in one.
func tritonFolder(path string) string {
	version := filepath.Dir(path)
	if folder := filepath.Dir(version); filepath.Base(version) == "1" && regularIn(folder, "config.pbtxt") {
		return folder
	}
	return ""
}

// compareTriton compares the configuration of a model in Triton's repository.
func compareTriton(c *model.Checkpoint, folder string, want *onnx.Model) (runtime.Check, error) {
	name, err := filepath.Abs(folder)
	if err != nil {
		return runtime.Check{}, err
	}
	config, err := bundle.TritonConfig(filepath.Base(name), want, tritonSpecial(huggingface.SpecialOf(c)))
	if err != nil {
		return runtime.Check{}, err
	}
	path := filepath.Join(folder, "config.pbtxt")
	have, _, err := readPart(path)
	part := compare.Part{Compared: 1, Total: 1}
	if i := firstDifference(have, config); err == nil && i >= 0 {
		part.Departures = []compare.Departure{{Place: fmt.Sprintf("line %d", 1+bytes.Count(config[:i], []byte("\n"))), Text: "is another than export writes"}}
	}
	return checkOf(path, "contents", part), err
}

// firstDifference returns the index of the first differing byte, -1 if there is
// none.
func firstDifference(a, b []byte) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	if len(a) == len(b) {
		return -1
	}
	return min(len(a), len(b))
}

func regularIn(folder, name string) bool {
	info, err := os.Lstat(filepath.Join(folder, name))
	return err == nil && info.Mode().IsRegular()
}

// compareFolder compares the files of a folder with those that the exporter
// writes for the checkpoint and the model want.
func compareFolder(c *model.Checkpoint, folder string, web bool, want *onnx.Model) ([]runtime.Check, error) {
	b, err := assemble(c, want, web)
	if err != nil {
		return nil, fmt.Errorf("%s: comparing it with what export writes: %w", folder, err)
	}
	checks, err := compareTexts(c, folder, b.texts)
	if err != nil {
		return nil, err
	}
	if b.torch {
		check, err := compareWeights(filepath.Join(folder, huggingface.WeightsName), b.parts.Weights)
		if err != nil {
			return nil, err
		}
		checks = append(checks, check)
	}
	slices.SortFunc(checks, func(a, b runtime.Check) int { return strings.Compare(a.File, b.File) })
	return checks, nil
}

// compareTexts compares the files of a folder besides models and weights.
func compareTexts(c *model.Checkpoint, folder string, texts []store.File) (checks []runtime.Check, err error) {
	for _, file := range texts {
		check, err := compareText(c, filepath.Join(folder, file.Name), file)
		if err != nil {
			return nil, err
		}
		checks = append(checks, check)
	}
	if len(c.Tokenizer) > 0 {
		more, err := compareTokenFiles(folder, texts, addedIn(c.Tokenizer))
		if err != nil {
			return nil, err
		}
		checks = append(checks, more...)
	}
	return checks, nil
}

// sameText returns which differences in a file of a folder do not matter to its
// readers. Other tools may add fields, except fields that name a token, and
// fields that change the settings of a generation.
func sameText(name string, added addedTokens) compare.Fields {
	switch name {
	case "config.json":
		return compare.Fields{
			Extra: namesNoToken,
			Same:  sameOrDefault("tie_word_embeddings", true),
			Alias: map[string]string{"torch_dtype": "dtype"}, // the field's name since transformers 5
		}
	case "generation_config.json":
		return compare.Fields{
			Extra: func(field string) bool { return field == "transformers_version" || field == "_from_model_config" },
			Same:  sameOrDefault("do_sample", false),
		}
	case "tokenizer.json":
		return compare.Fields{Same: sameInTokenizer}
	case "tokenizer_config.json":
		return compare.Fields{Extra: func(field string) bool { return namesNoToken(field) && !changesIDs(field) }, Same: added.same}
	}
	return compare.Fields{}
}

// sameOrDefault treats a null field as missing, and a missing field as the
// default that readers assume for it, if the exporter writes that default.
func sameOrDefault(field string, value any) func(place string, have, want any) bool {
	return func(place string, have, want any) bool {
		return have == nil && (want == nil || place == field && want == value)
	}
}

// sameInTokenizer allows different spellings in tokenizer.json: a merge as a
// text with a space or as a pair, and a missing post-processor or one that adds
// nothing.
func sameInTokenizer(place string, have, want any) bool {
	if strings.HasPrefix(place, "model.merges[") {
		return merged(have, want) || merged(want, have)
	}
	template, _ := have.(map[string]any)
	return place == "post_processor" && want == nil && template["type"] == "TemplateProcessing" && !strings.Contains(fmt.Sprint(template), "SpecialToken")
}

// merged reports whether a pair of tokens equals a text with a space.
func merged(pair, text any) bool {
	p, _ := pair.([]any)
	return len(p) == 2 && !strings.Contains(fmt.Sprint(p[0], p[1]), " ") && text == fmt.Sprintf("%v %v", p[0], p[1])
}

func namesNoToken(field string) bool {
	return !strings.HasSuffix(field, "_token") && !strings.HasSuffix(field, "_token_id")
}

// compareText compares a JSON file of a folder, field by field. Other tools add
// fields; those in config.json must not select another network.
func compareText(c *model.Checkpoint, path string, file store.File) (runtime.Check, error) {
	var want bytes.Buffer
	if err := file.Write(&want); err != nil {
		return runtime.Check{}, err
	}
	have, found, err := readPart(path)
	if err != nil || !found {
		return missing(path), err
	}
	part := compare.Part{Compared: 1, Total: 1}
	part.Departures = compare.JSON(have, want.Bytes(), sameText(file.Name, addedIn(c.Tokenizer)))
	own, unknown := nn.Network(nil), error(nil)
	if file.Name == "config.json" { // what other files say of the network is not compared here
		own, unknown = huggingface.ParseConfig(want.Bytes())
	}
	if own != nil && unknown == nil && len(part.Departures) == 0 {
		config, err := huggingface.ParseConfig(have)
		switch {
		case err != nil:
			part.Departures = []compare.Departure{{Place: "the configuration", Text: "is of another network: " + err.Error()}}
		case config.Architecture() != own.Architecture():
			part.Departures = []compare.Departure{{Place: "the configuration", Text: fmt.Sprintf("is of %.40q, the checkpoint is of %.40q", config.Architecture(), own.Architecture())}}
		default: // a member that export does not write may set what it leaves at its default
			read, err := json.Marshal(config)
			if err != nil {
				return runtime.Check{}, err
			}
			expected, err := json.Marshal(own)
			if err != nil {
				return runtime.Check{}, err
			}
			part.Departures = compare.JSON(read, expected, compare.Fields{})
		}
	}
	return checkOf(path, "contents", part), nil
}

// readPart reads a file of a folder, which must be a regular file.
func readPart(path string) (text []byte, found bool, err error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, false, nil
	case err != nil:
		return nil, false, err
	case !info.Mode().IsRegular() || info.Size() > maxFolderFile:
		return nil, false, fmt.Errorf("%s: it is not a regular file of at most %d bytes: copy the folder again", path, int64(maxFolderFile))
	}
	text, err = os.ReadFile(path)
	return text, true, err
}

func missing(path string) runtime.Check {
	return checkOf(path, "contents", compare.Part{Total: 1, Departures: []compare.Departure{{Place: "the file", Text: "is missing, export writes it"}}})
}

// compareWeights compares a file of weights with the output of write, byte by
// byte. Neither is held in memory.
func compareWeights(path string, write func(io.Writer) error) (runtime.Check, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return missing(path), nil
	}
	if err != nil {
		return runtime.Check{}, err
	}
	if !info.Mode().IsRegular() {
		return runtime.Check{}, fmt.Errorf("%s: it is not a regular file: copy the folder again", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return runtime.Check{}, err
	}
	defer f.Close()
	part := compare.Part{Compared: 1, Total: 1}
	err = write(&comparer{with: f})
	if err == nil && info.Size() > 0 {
		var more [1]byte
		if n, _ := f.Read(more[:]); n > 0 {
			err = &differs{"continues where export ends"}
		}
	}
	if d := new(differs); errors.As(err, &d) {
		part.Departures, err = []compare.Departure{{Place: "the file", Text: d.text}}, nil
	}
	return checkOf(path, "contents", part), err
}

// comparer compares the bytes written to it with those that it reads.
type comparer struct {
	with   io.Reader
	at     int64
	buffer []byte
}

// differs reports where two files differ.
type differs struct{ text string }

func (d *differs) Error() string { return d.text }

func (c *comparer) Write(want []byte) (int, error) {
	written := len(want)
	for len(want) > 0 {
		if c.buffer == nil {
			c.buffer = make([]byte, 1<<18)
		}
		have := c.buffer[:min(len(c.buffer), len(want))]
		n, err := io.ReadFull(c.with, have)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return 0, &differs{fmt.Sprintf("ends after %d bytes", c.at+int64(n))}
		}
		if err != nil {
			return 0, err
		}
		if !bytes.Equal(have, want[:n]) {
			return 0, &differs{fmt.Sprintf("differs from what export writes from byte %d on", c.at+int64(firstDifference(have, want)))}
		}
		c.at += int64(n)
		want = want[n:]
	}
	return written, nil
}
