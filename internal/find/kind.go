package find

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/format/store"
	"github.com/attnx/attnx/model/huggingface"
)

// Kind is the kind of file or folder at a path.
type Kind int

const (
	unknownFile Kind = iota
	Safetensors
	ONNX
	GGUF
	ModelFolder // of Hugging Face
	RunFolder
	OtherFolder
	pipeFile
	deviceFile
	socketFile
	emptyFile
	pointerFile // of Git LFS
	ortFile
	ggmlFile
	tfliteFile
	torchFile
	pickleFile
	hdf5File
	tensorFlowFile
	numpyFile
	archiveFile
	imageFile
	programFile
	pdfFile
	htmlFile
	tokenizerFile
	configFile
	indexFile
	jsonFile
	plainTextFile
)

// Remedies of a KindError that a program with other words may replace.
const (
	ExportIt       = "export it to an ONNX file"
	ConvertOrRun   = "convert it to a checkpoint, or run it"
	ConvertIt      = "convert it to a checkpoint"
	NameCheckpoint = "name one of its checkpoints"
	NameModel      = "name a model"
)

// kinds describes each kind and what to do with it instead.
var kinds = map[Kind]struct{ what, instead string }{
	unknownFile:    {"a file of an unknown kind", "check the path"},
	Safetensors:    {"a safetensors file", ExportIt},
	ONNX:           {"an ONNX file", ConvertOrRun},
	ModelFolder:    {"a Hugging Face folder", ConvertIt},
	RunFolder:      {"a run's folder", NameCheckpoint},
	OtherFolder:    {"a folder", "name a file in it"},
	pipeFile:       {"a named pipe", "name a regular file"},
	deviceFile:     {"a device", "name a regular file"},
	socketFile:     {"a socket", "name a regular file"},
	emptyFile:      {"an empty file", "it was not written to its end or not downloaded: take another copy"},
	ortFile:        {"a file in ONNX Runtime's ORT format", "attnx does not read it: take the ONNX file that it was made from"},
	GGUF:           {"a GGUF file", ConvertIt},
	ggmlFile:       {"a GGML file", "attnx does not read it: take the model's Hugging Face folder with safetensors"},
	tfliteFile:     {"a TensorFlow Lite file", "attnx does not read it: take the model's Hugging Face folder with safetensors"},
	torchFile:      {"a PyTorch file", "attnx does not read it, because it may run code: save the model as safetensors, in Python model.save_pretrained(FOLDER)"},
	pickleFile:     {"a Python pickle", "attnx does not read it, because it may run code: save the model as safetensors"},
	hdf5File:       {"an HDF5 file, as Keras and TensorFlow write", "attnx does not read it: save the model as safetensors"},
	tensorFlowFile: {"a TensorFlow or other protobuf file", "attnx does not read it: take the model as ONNX or as safetensors"},
	numpyFile:      {"a NumPy file", "attnx does not read it: save the arrays as safetensors"},
	archiveFile:    {"an archive or a compressed file", "unpack it and name the file in it"},
	imageFile:      {"an image", "attnx does not read it"},
	programFile:    {"a program or a library", "attnx does not read it as a model"},
	pdfFile:        {"a PDF file", "attnx does not read it"},
	htmlFile:       {"a web page", "a download went wrong: fetch the file itself"},
	tokenizerFile:  {"a tokenizer", "it belongs beside a model: name the folder that it is in"},
	configFile:     {"a model's configuration", "it belongs beside the weights: name the folder that it is in"},
	indexFile:      {"the index of a model in shards", "name the folder that it is in"},
	jsonFile:       {"a JSON file", "attnx does not read it as a model"},
	plainTextFile:  {"a text", NameModel},
}

// Expect returns the kind of a path if it is one of take. Otherwise the error
// names the actual kind, the wanted one, such as "a checkpoint", and a remedy.
// A file that is named like a checkpoint but is something else counts as
// damaged.
func Expect(path, wanted string, take ...Kind) (Kind, error) {
	kind, err := kindOf(path)
	if err != nil || slices.Contains(take, kind) {
		return kind, err
	}
	if kind == pointerFile {
		if namedCheckpoint(path) {
			return kind, &format.FormatError{File: path, Offset: -1, Reason: format.LFSPointer}
		}
		return kind, fmt.Errorf("%s: %s", path, format.LFSPointer)
	}
	return kind, &KindError{File: path, Kind: kind, Wanted: wanted}
}

// KindError reports that a path leads to something other than expected. For a
// file that is named like a checkpoint, it is a format.FormatError.
type KindError struct {
	File   string
	Kind   Kind
	Wanted string // what was expected, such as "a checkpoint"
}

func (e *KindError) Error() string { return fmt.Sprintf("%s: %s", e.File, e.reason()) }

// Remedy returns what to do instead.
func (e *KindError) Remedy() string {
	if e.Wanted == ONNXFile && (e.Kind == RunFolder || e.Kind == ModelFolder) {
		return kinds[Safetensors].instead
	}
	if e.Wanted == ONNXFile && e.Kind == numpyFile {
		return "name the model, and give the array as one of its inputs"
	}
	return kinds[e.Kind].instead
}

// ONNXFile is what Expect's callers want who run any ONNX file.
const ONNXFile = "an ONNX file"

func (e *KindError) reason() string {
	return fmt.Sprintf("it is %s, not %s: %s", kinds[e.Kind].what, e.Wanted, e.Remedy())
}

func (e *KindError) Unwrap() error {
	if namedCheckpoint(e.File) && (e.Kind == ONNX || e.Kind == GGUF || e.Kind >= emptyFile) {
		return &format.FormatError{File: e.File, Offset: -1, Reason: e.reason()}
	}
	return nil
}

func namedCheckpoint(path string) bool { return strings.HasSuffix(path, ".safetensors") }

// NotText returns an error if the first bytes of a file show that it is not text.
func NotText(path string) error {
	kind, err := kindOf(path)
	if err == nil && (kind == Safetensors || kind == ONNX || kind == GGUF || kind > emptyFile && kind < htmlFile) {
		return &KindError{File: path, Kind: kind, Wanted: "a text"}
	}
	return nil
}

// ExpectModel returns what a path leads to, if a model can be in it.
func ExpectModel(path string) (Kind, error) {
	return Expect(path, "a model", Safetensors, ONNX, GGUF, ModelFolder, RunFolder, OtherFolder)
}

// expectCheckpoint is ExpectModel for callers that need weights, not an ONNX
// file.
func expectCheckpoint(path string) (Kind, error) {
	return Expect(path, "a checkpoint", Safetensors, GGUF, ModelFolder, RunFolder, OtherFolder)
}

// kindOf returns the kind of a path. It looks at the type of the file, then at
// its first bytes, then, if these are broken, at its name, so that the code
// that reads this kind reports what is wrong.
func kindOf(path string) (Kind, error) {
	info, err := os.Stat(path)
	if err != nil {
		return unknownFile, err
	}
	switch mode := info.Mode(); {
	case mode.IsDir():
		return kindOfFolder(path), nil
	case mode&fs.ModeNamedPipe != 0: // opening one would block until it has a writer
		return pipeFile, nil
	case mode&fs.ModeSocket != 0:
		return socketFile, nil
	case !mode.IsRegular():
		return deviceFile, nil
	case info.Size() == 0:
		return emptyFile, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return unknownFile, err
	}
	defer f.Close()
	head := make([]byte, headSize)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return unknownFile, fmt.Errorf("%s: %w", path, err)
	}
	head = head[:n]
	if kind := kindOfHead(head, info.Size()); kind != unknownFile {
		return kind, nil
	}
	switch {
	case onnx.Recognize(f, info.Size()):
		return ONNX, nil
	case filepath.Ext(path) == ".safetensors":
		return Safetensors, nil
	case filepath.Ext(path) == ".onnx":
		return ONNX, nil
	case filepath.Ext(path) == ".pb":
		return tensorFlowFile, nil
	}
	return unknownFile, nil
}

// headSize is the number of bytes from which the kind is recognized.
const headSize = 4096

// magics lists the first bytes of file formats, or the bytes at an offset.
var magics = []struct {
	at    int
	bytes string
	kind  Kind
}{
	{0, "GGUF", GGUF}, {0, "lmgg", ggmlFile}, {0, "fmgg", ggmlFile}, {0, "tjgg", ggmlFile}, {4, "ORTM", ortFile}, {4, "TFL3", tfliteFile},
	{0, "\x89HDF\r\n\x1a\n", hdf5File}, {0, "\x93NUMPY", numpyFile}, {0, "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", torchFile},
	{0, "\x80\x02}", pickleFile}, {0, "\x80\x02c", pickleFile}, {0, "\x80\x02]", pickleFile}, {0, "\x80\x03", pickleFile}, {0, "\x80\x04\x95", pickleFile}, {0, "\x80\x05\x95", pickleFile},
	{0, "\x1f\x8b", archiveFile}, {0, "\x28\xb5\x2f\xfd", archiveFile}, {0, "\xfd7zXZ\x00", archiveFile}, {0, "BZh", archiveFile}, {0, "7z\xbc\xaf", archiveFile}, {257, "ustar", archiveFile},
	{0, "\x89PNG\r\n", imageFile}, {0, "\xff\xd8\xff", imageFile}, {0, "GIF8", imageFile}, {8, "WEBP", imageFile}, {0, "II*\x00", imageFile}, {0, "MM\x00*", imageFile}, {0, "<svg", imageFile},
	{0, "\x7fELF", programFile}, {0, "\xcf\xfa\xed\xfe", programFile}, {0, "MZ\x90\x00", programFile}, {0, "%PDF-", pdfFile},
}

// kindOfHead recognizes a file of size bytes by its first bytes.
func kindOfHead(head []byte, size int64) Kind {
	if format.IsLFSPointer(head) {
		return pointerFile
	}
	for _, m := range magics {
		if len(head) >= m.at && bytes.HasPrefix(head[m.at:], []byte(m.bytes)) {
			return m.kind
		}
	}
	if bytes.HasPrefix(head, []byte("PK\x03\x04")) {
		return kindOfZip(head)
	}
	if len(head) > 8 && head[8] == '{' && !isText(head[:8]) {
		return Safetensors
	}
	if len(head) > 8 && head[8] == '{' && binary.LittleEndian.Uint64(head) <= uint64(size) {
		return Safetensors // with a header so long that its length looks like text
	}
	if isText(head) {
		return kindOfText(head)
	}
	return unknownFile
}

// kindOfZip recognizes an archive by the name of its first file.
func kindOfZip(head []byte) Kind {
	const fixed = 30 // bytes of a local file header before the name
	if len(head) < fixed {
		return archiveFile
	}
	name := head[fixed:min(len(head), fixed+int(binary.LittleEndian.Uint16(head[26:])))]
	switch {
	case bytes.HasSuffix(name, []byte("/data.pkl")):
		return torchFile
	case bytes.HasSuffix(name, []byte(".npy")):
		return numpyFile
	}
	return archiveFile
}

// isText reports whether bytes are the start of a UTF-8 text.
func isText(head []byte) bool {
	if len(head) == headSize { // the last character may be incomplete
		head = head[:len(head)-utf8.UTFMax]
		for len(head) > 0 && !utf8.Valid(head) && len(head) > headSize-3*utf8.UTFMax {
			head = head[:len(head)-1]
		}
	}
	return utf8.Valid(head) && bytes.IndexFunc(head, func(r rune) bool { return r < ' ' && !strings.ContainsRune("\t\n\r\f\x1b", r) }) < 0
}

var (
	tokenizerJSON = regexp.MustCompile(`"(added_tokens|pre_tokenizer|truncation)"\s*:`)
	configJSON    = regexp.MustCompile(`"(model_type|architectures|n_embd|hidden_size)"\s*:`)
	indexJSON     = regexp.MustCompile(`"(weight_map|total_size)"\s*:`)
	beginsJSON    = regexp.MustCompile(`^(\{\s*["}]|\[\s*["{\[\]\d])`)
	webPage       = regexp.MustCompile(`(?i)^<(!doctype html|html)`)
)

// kindOfText recognizes a text by its start.
func kindOfText(head []byte) Kind {
	trimmed := bytes.TrimSpace(head)
	switch {
	case webPage.Match(trimmed):
		return htmlFile
	case !beginsJSON.Match(trimmed):
		return plainTextFile
	case indexJSON.Match(trimmed):
		return indexFile
	case tokenizerJSON.Match(trimmed):
		return tokenizerFile
	case configJSON.Match(trimmed):
		return configFile
	}
	return jsonFile
}

// kindOfFolder recognizes a folder by the names in it.
func kindOfFolder(path string) Kind {
	if huggingface.IsFolder(path) {
		return ModelFolder
	}
	entries, err := os.ReadDir(path)
	if err == nil && slices.ContainsFunc(entries, func(e fs.DirEntry) bool {
		return e.Name() == store.LatestName || strings.HasPrefix(e.Name(), "step-") && strings.HasSuffix(e.Name(), ".safetensors")
	}) {
		return RunFolder
	}
	return OtherFolder
}
