package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/attnx/attnx/cmd/attnx/internal/console"
	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/export/bundle"
	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/export/precision"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/tokens"
)

// jsonFields FILE PATH[=VALUE]...: the file (or stdout) is JSON, has something
// at each path, such as results.0.runtime, and there the value if one is given.
func jsonFields(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: json file path[=value]...")
	}
	var doc any
	if err := json.Unmarshal([]byte(ts.ReadFile(args[0])), &doc); err != nil {
		ts.Fatalf("%s is no JSON: %v", args[0], err)
	}
	for _, arg := range args[1:] {
		path, want, compare := strings.Cut(arg, "=")
		at := doc
		for _, part := range strings.Split(path, ".") {
			ok := false
			switch x := at.(type) {
			case map[string]any:
				at, ok = x[part]
			case []any:
				i, err := strconv.Atoi(part)
				if ok = err == nil && i < len(x); ok {
					at = x[i]
				}
			}
			if !ok {
				ts.Fatalf("%s has nothing at %s", args[0], path)
			}
		}
		if got := fmt.Sprint(at); compare && got != want {
			ts.Fatalf("%s: %s is %s, want %s", args[0], path, got, want)
		}
	}
}

// editJSON FILE NAME=JSON...: changes members of the JSON object in a file; an
// empty JSON takes one away.
func editJSON(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: editjson file name=json...")
	}
	members := map[string]json.RawMessage{}
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &members))
	for _, arg := range args[1:] {
		name, value, _ := strings.Cut(arg, "=")
		if members[name] = json.RawMessage(value); value == "" {
			delete(members, name)
		}
	}
	text, err := json.Marshal(members)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), text, 0o666))
}

// broken KIND FROM TO writes TO: the file FROM, spoiled in one way.
func broken(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: broken kind from to")
	}
	kind, to := args[0], ts.MkAbs(args[2])
	data, err := os.ReadFile(ts.MkAbs(args[1]))
	ts.Check(err)
	if spoil, ok := spoiledBytes[kind]; ok {
		spoiled := spoil(data)
		if bytes.Equal(spoiled, data) {
			ts.Fatalf("%s: nothing to spoil in %s", kind, args[1])
		}
		ts.Check(os.WriteFile(to, spoiled, 0o666))
		return
	}
	if n, err := strconv.Atoi(kind); err == nil { // so many bytes of it
		ts.Check(os.WriteFile(to, data[:min(n, len(data)-1)], 0o666))
		return
	}
	if kind == "large-tokenizer" {
		c, err := model.Load(ts.MkAbs(args[1]))
		ts.Check(err)
		c.Tokenizer, err = largeTokenizer(c.Vocab() + 1)
		ts.Check(err)
		ts.Check(c.Save(to))
		return
	}
	if kind == "eval-batches" {
		c, err := model.Load(ts.MkAbs(args[1]))
		ts.Check(err)
		c.Train.Options = bytes.Replace(c.Train.Options, []byte(`"eval_batches":8`), []byte(`"eval_batches":1000000000000000000`), 1)
		ts.Check(c.Save(to))
		return
	}
	spoil, ok := spoiledModels[kind]
	if !ok {
		ts.Fatalf("no way to break a file is called %q", kind)
	}
	m, err := onnx.Decode(data)
	ts.Check(err)
	spoil(m)
	ts.Check(writeTo(to, m.Encode))
}

// spoiledBytes are ways to spoil any file by its bytes.
var spoiledBytes = map[string]func([]byte) []byte{
	"fingerprint": func(b []byte) []byte { // of another network
		return regexp.MustCompile(`("attnx.fingerprint":")....`).ReplaceAll(b, []byte("${1}0000"))
	},
	"vocabulary-of-one": func(b []byte) []byte {
		return regexp.MustCompile(`(vocab_size\\":)\d\d`).ReplaceAll(b, []byte("${1} 1"))
	},
	"one-bit": func(b []byte) []byte { // in the middle, where the moments are
		b = bytes.Clone(b)
		b[len(b)/2] ^= 0x10
		return b
	},
	"one-bit-of-a-weight": func(b []byte) []byte {
		b = bytes.Clone(b)
		b[len(b)/6] ^= 0x10
		return b
	},
	"header-length": func(b []byte) []byte { // 2^62 bytes of header
		return append([]byte{0, 0, 0, 0, 0, 0, 0, 0x40}, b[8:]...)
	},
	"field-length": func([]byte) []byte { // an ONNX graph of 4 GiB in a file of 8 bytes
		return []byte{0x08, 0x08, 0x3a, 0xff, 0xff, 0xff, 0xff, 0x0f}
	},
	"noise": func(b []byte) []byte {
		b = bytes.Clone(b)
		for i := 16; i < len(b); i += 16 {
			b[i] ^= 0xff
		}
		return b
	},
}

// megabyte is a text that no message may hold: a megabyte, with commands for the
// terminal.
var megabyte = strings.Repeat("\x1b[2J\nendless ", 1<<20/13)

// spoiledModels are ways to spoil an ONNX model that keep it readable.
var spoiledModels = map[string]func(*onnx.Model){
	"cycle": func(m *onnx.Model) {
		nodes := m.Graph.Nodes
		nodes[0].Inputs[0] = nodes[len(nodes)-1].Outputs[0]
	},
	"unknown-op": func(m *onnx.Model) { m.Graph.Nodes[3].Op = "Frobnicate" },
	"dangling":   func(m *onnx.Model) { m.Graph.Nodes[3].Inputs[0] = "nowhere" },
	"size":       func(m *onnx.Model) { m.Graph.Initializers[0].Dims = []int64{1 << 40, 1 << 20} },
	"overflow":   func(m *onnx.Model) { m.Graph.Initializers[0].Dims = []int64{1 << 62, 1 << 62} },
	"contract": func(m *onnx.Model) { // an input that no decode loop knows
		const mask, other = "attention_mask", "padding"
		m.Graph.Inputs[slices.IndexFunc(m.Graph.Inputs, func(v onnx.ValueInfo) bool { return v.Name == mask })].Name = other
		for _, n := range m.Graph.Nodes {
			if i := slices.Index(n.Inputs, mask); i >= 0 {
				n.Inputs[i] = other
			}
		}
	},
	"longer-context": func(m *onnx.Model) {
		config := strings.Replace(m.Metadata[model.MetaConfig], `"n_positions":8`, `"n_positions":64`, 1)
		m.Metadata[model.MetaConfig] = config
	},
	"endless-metadata": func(m *onnx.Model) {
		for key := range m.Metadata {
			m.Metadata[key] = megabyte
		}
	},
	"endless-profile": func(m *onnx.Model) { m.Metadata[export.MetaProfile] = megabyte },
	"endless-names": func(m *onnx.Model) {
		m.Graph.Name, m.ProducerName, m.DocString = megabyte, megabyte, megabyte
		m.Graph.Nodes[0].Inputs[0], m.Graph.Nodes[2].Name, m.Graph.Nodes[2].Op = megabyte, megabyte, megabyte
		m.Graph.Inputs[0].Name = megabyte + "x"
	},
	"own-head":           ownHead,
	"hidden-head":        hiddenHead,
	"equal-head":         func(m *onnx.Model) { headNamed(m, "lm_head.weight") },
	"folded-head":        func(m *onnx.Model) { foldedHead(m) },
	"gemm-head":          gemmHead,
	"scaled-head":        scaledHead,
	"two-names":          twoNames,
	"head-bias":          headBias,
	"own-embedding":      ownEmbedding,
	"pytorch-names":      pytorchNames,
	"computed-embedding": computedEmbedding,
	"no-metadata":        func(m *onnx.Model) { m.Metadata = nil },
	"swapped-tokens": func(m *onnx.Model) {
		text := m.Metadata[model.MetaTokenizer]
		text = regexp.MustCompile(`"w": ?(\d+)`).ReplaceAllString(text, `"@":$1`)
		text = regexp.MustCompile(`"x": ?(\d+)`).ReplaceAllString(text, `"w":$1`)
		m.Metadata[model.MetaTokenizer] = strings.Replace(text, `"@"`, `"x"`, 1)
	},
	"many-layers": func(m *onnx.Model) {
		config := regexp.MustCompile(`("n_layer":)\d+`).ReplaceAllString(m.Metadata[model.MetaConfig], "${1}1000000000")
		m.Metadata[model.MetaConfig] = config
	},
	"other-length":    func(m *onnx.Model) { m.Metadata[export.MetaLength] = "7" },
	"says-bfloat16":   func(m *onnx.Model) { m.Metadata[precision.MetaDType] = "bfloat16" },
	"table-off":       scaled("wte.weight", 1.05, 0),
	"weights-off":     scaled(".weight", 1+1e-7, 0),
	"no-weights-hash": func(m *onnx.Model) { delete(m.Metadata, bundle.MetaWeightsSHA256) },
	"one-integer": func(m *onnx.Model) {
		i := slices.IndexFunc(m.Graph.Initializers, func(t *onnx.Tensor) bool { return t.DataType == onnx.Int8 || t.DataType == onnx.Uint8 })
		m.Graph.Initializers[i].Raw[7]++
	},
	"outside":         external("../secret.bin"),
	"outside-by-path": external("/etc/passwd"),
	"outside-by-link": external("link.bin"),
	"missing-data":    external("not-there.bin"),
}

// scaled multiplies the initializers whose names end so, and adds to them.
func scaled(suffix string, by, plus float32) func(*onnx.Model) {
	return func(m *onnx.Model) {
		for _, t := range m.Graph.Initializers {
			if !strings.HasSuffix(t.Name, suffix) {
				continue
			}
			t.Raw = bytes.Clone(t.Raw)
			for i := 0; i < len(t.Raw); i += 4 {
				x := math.Float32frombits(binary.LittleEndian.Uint32(t.Raw[i:]))
				binary.LittleEndian.PutUint32(t.Raw[i:], math.Float32bits(x*by+plus))
			}
		}
	}
}

// replace FILE OLD NEW replaces the first OLD in FILE, which must be there.
func replace(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: replace file old new")
	}
	before := ts.ReadFile(args[0])
	after := strings.Replace(before, args[1], args[2], 1)
	if before == after {
		ts.Fatalf("%s does not hold %q:\n%s", args[0], args[1], before)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(after), 0o666))
}

func external(location string) func(*onnx.Model) {
	return func(m *onnx.Model) {
		t := m.Graph.Initializers[0]
		t.External = &onnx.External{Location: location, Length: int64(len(t.Raw))}
		t.Raw = nil
	}
}

func largeTokenizer(n int) ([]byte, error) {
	var text strings.Builder
	for i := range n {
		fmt.Fprintf(&text, "w%d ", i)
	}
	t, err := tokens.Train(tokens.Word, text.String(), 0)
	if err != nil {
		return nil, err
	}
	return t.MarshalJSON()
}

// externalize FROM TO writes TO and TO_data: the ONNX file FROM with its
// weights beside it.
func externalize(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: externalize from to")
	}
	m, err := onnx.ReadFile(ts.MkAbs(args[0]))
	ts.Check(err)
	to := ts.MkAbs(args[1])
	files, err := bundle.Split(m, filepath.Base(to)+"_data").Files(filepath.Base(to))
	ts.Check(err)
	for _, f := range files {
		ts.Check(writeTo(filepath.Join(filepath.Dir(to), f.Name), f.Write))
	}
}

// unseal FROM TO writes TO: the checkpoint FROM as a tool that knows of no seal
// writes it.
func unseal(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: unseal from to")
	}
	f, err := format.Open(ts.MkAbs(args[0]))
	ts.Check(err)
	defer f.Close()
	h := format.Header{Metadata: f.Metadata(), Tensors: f.Tensors()}
	slices.Reverse(h.Tensors)
	ts.Check(writeTo(ts.MkAbs(args[1]), func(w io.Writer) error {
		fw := format.NewWriter(w, h)
		for _, i := range h.Tensors {
			t, err := f.Tensor(i.Name)
			if err != nil {
				return err
			}
			fw.Add(t)
		}
		return fw.Close()
	}))
}

func writeTo(path string, write func(io.Writer) error) error {
	var b bytes.Buffer
	if err := write(&b); err != nil {
		return err
	}
	return os.WriteFile(path, b.Bytes(), 0o666)
}

// examples COMMAND...: the examples in the help of these commands work as they
// stand; 1, which says that a check did not pass, is an answer too.
func examples(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: examples command...")
	}
	root := command(console.New(nil, io.Discard, io.Discard))
	for _, name := range args {
		cmd, _, err := root.Find(strings.Fields(name))
		ts.Check(err)
		for _, line := range strings.Split(strings.ReplaceAll(cmd.Example, "\\\n", " "), "\n") {
			ts.Logf("%s", line)
			err := ts.Exec("sh", "-c", "echo the | "+line) // one of them reads its prompt
			if exit := new(exitError); errors.As(err, exit) && (*exit).ExitCode() == exitMismatch {
				continue
			}
			ts.Check(err)
		}
	}
}

var nextSteps = regexp.MustCompile(`(?m)^ *(attnx .*)$`)

// shell FILE runs the attnx commands that a text (a file, stdout or README)
// names for a user to type, but for the first N, in a shell. Training takes two
// steps of the two hundred: what the commands do is the same.
func shell(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: shell file skip")
	}
	var text string
	if args[0] == "README" {
		b, err := os.ReadFile(readme)
		ts.Check(err)
		text = string(b)
	} else {
		text = ts.ReadFile(args[0])
	}
	skip, err := strconv.Atoi(args[1])
	ts.Check(err)
	if blocks := strings.Split(text, "```"); len(blocks) > 1 { // of code, between others of prose
		text = ""
		for i := 1; i < len(blocks); i += 2 {
			text += blocks[i]
		}
	}
	lines := nextSteps.FindAllStringSubmatch(text, -1)
	if len(lines) < skip+3 {
		ts.Fatalf("%s has %d commands to type, want 3 after the first %d", args[0], len(lines), skip)
	}
	for _, line := range lines[skip:] {
		if strings.HasSuffix(line[1], "install --cuda") { // 250 MB that no test here uses
			continue
		}
		ts.Logf("%s", line[1])
		err := ts.Exec("sh", "-c", strings.ReplaceAll(line[1], "--steps 200", "--steps 2"))
		if exit := new(exitError); errors.As(err, exit) && (*exit).ExitCode() == exitMismatch && strings.HasPrefix(line[1], "attnx diff ") {
			continue // they differ, which it reports
		}
		ts.Check(err)
	}
}
