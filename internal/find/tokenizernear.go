package find

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/tokens"
)

const (
	tokenizerName = "tokenizer.json"
	maxTokenizer  = 256 << 20 // bytes, several times those of the largest real one
)

// NameTokenizer is the remedy for a model without a tokenizer.
const NameTokenizer = "name a tokenizer.json, or the folder or checkpoint of its model"

// NoTokenizerError reports that there is no tokenizer for a text.
type NoTokenizerError struct {
	Path   string
	Reason string
}

func (e *NoTokenizerError) Error() string { return e.Path + ": " + e.Reason + ": " + e.Remedy() }

// Remedy returns what to do.
func (*NoTokenizerError) Remedy() string { return NameTokenizer }

// TokenizerNear returns the tokenizer for an ONNX file of any tool, and where it is: in
// the file's metadata, or as tokenizer.json in its folder or the one above, where
// optimum and transformers.js have it.
func TokenizerNear(path string, m *onnx.Model) (*tokens.Tokenizer, string, error) {
	if text := m.Metadata[model.MetaTokenizer]; text != "" {
		return parsed([]byte(text), path)
	}
	dir, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return nil, "", err
	}
	for _, folder := range []string{filepath.Dir(path), filepath.Join(filepath.Dir(path), "..")} {
		file := filepath.Join(folder, tokenizerName)
		data, err := readTokenizer(file)
		if errors.Is(err, fs.ErrNotExist) {
			if filepath.Base(dir) != "onnx" {
				break // the folder above is the model's only then
			}
			continue
		}
		if err != nil {
			return nil, "", err
		}
		return parsed(data, file)
	}
	return nil, "", &NoTokenizerError{path, "there is no tokenizer.json beside it"}
}

// TokenizerAt returns the tokenizer that a path leads to: a tokenizer.json, or a folder
// or checkpoint with one. It returns the file too.
func TokenizerAt(path string, tell Tell) (*tokens.Tokenizer, string, error) {
	file := path
	if IsFolder(path) {
		file = filepath.Join(path, tokenizerName)
	}
	switch kind, err := kindOf(file); {
	case err != nil || kind == Safetensors:
	case kind == ONNX:
		m, err := ReadModelAs(path, onnx.CheckStructure)
		if err != nil {
			return nil, "", err
		}
		return TokenizerNear(path, m)
	default:
		data, err := readTokenizer(file)
		if err != nil {
			return nil, "", err
		}
		return parsed(data, file)
	}
	if _, err := ExpectModel(path); err != nil {
		return nil, "", err
	}
	c, from, err := Load(path, tell, model.LoadModel)
	if err != nil {
		return nil, "", err
	}
	if len(c.Tokenizer) == 0 {
		return nil, "", &NoTokenizerError{from, "it has no tokenizer"}
	}
	return parsed(c.Tokenizer, from)
}

func parsed(data []byte, where string) (*tokens.Tokenizer, string, error) {
	t, err := tokens.Parse(data)
	if err != nil {
		return nil, "", fmt.Errorf("%s: tokenizer: %w", where, err)
	}
	return t, where, nil
}

func readTokenizer(path string) ([]byte, error) {
	info, err := os.Stat(path) // before opening: opening a pipe would block
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, &NoTokenizerError{path, "it is not a regular file"}
	case info.Size() > maxTokenizer:
		return nil, &NoTokenizerError{path, fmt.Sprintf("it has more than %d bytes", maxTokenizer)}
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxTokenizer))
}
