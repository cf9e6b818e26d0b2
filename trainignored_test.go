package attnx_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/format"
	blocks "github.com/attnx/attnx/format/gguf"
	"github.com/attnx/attnx/model/gguf"
	"github.com/attnx/attnx/model/pairs"
	"github.com/attnx/attnx/model/tokens"
	"github.com/attnx/attnx/model/train"
)

// What has no effect on a run, and what would be read as something else, is refused before
// its folder is made.
func TestTrainIgnoresNothing(t *testing.T) {
	dir := torchFiles(t)
	table := func(text string) func(*attnx.TrainOptions) {
		return func(o *attnx.TrainOptions) {
			path := filepath.Join(t.TempDir(), "d.csv")
			check(os.WriteFile(path, []byte(text), 0o666))
			o.Data.Files = []string{path}
		}
	}
	translate := func(change func(*attnx.TrainOptions)) func(*attnx.TrainOptions) {
		return func(o *attnx.TrainOptions) {
			o.Init, o.Loss, o.Data, o.Settings.Best = "", "", attnx.Corpus{}, "bleu"
			for i := range 40 {
				o.Pairs.Pairs = append(o.Pairs.Pairs, pairs.Pair{Source: strings.Repeat("a", i+1), Target: strings.Repeat("b", i+1)})
			}
			change(o)
		}
	}
	file := filepath.Join(t.TempDir(), "t.tokens")
	text := filepath.Join(t.TempDir(), "t.txt")
	check(os.WriteFile(text, []byte(strings.Repeat("abcd efg ", 50)), 0o666))
	must(attnx.WriteTokens(t.Context(), attnx.TokensOptions{Out: file, Data: attnx.Corpus{Files: []string{text}}, Kind: tokens.Char}))
	ids := func(change func(*attnx.TrainOptions)) func(*attnx.TrainOptions) {
		return func(o *attnx.TrainOptions) {
			o.Init, o.Loss, o.Data.Files = "", "", []string{file}
			change(o)
		}
	}
	const row = "a,b,c,d,e,f,g,y\n1,2,3,4,5,6,7,1\n"
	for want, change := range map[string]func(*attnx.TrainOptions){
		"Context is the length of texts, and the examples have none": func(o *attnx.TrainOptions) { o.Context = 5 },
		"Threads 2: the gorgonia engine takes the threads of Go":     func(o *attnx.TrainOptions) { o.EngineOptions.Threads = 2 },
		"Pack joins texts, and a pair is":                            translate(func(o *attnx.TrainOptions) { o.Settings.Pack = true }),
		"Epochs: pairs of similar length are drawn together":         translate(func(o *attnx.TrainOptions) { o.Settings.Steps, o.Settings.Epochs = 0, 1 }),
		"Output is what a Loss is of, and pairs have theirs":         translate(func(o *attnx.TrainOptions) { o.Output = "logits" }),
		"Tokenizer: a token file has its own tokenizer":              ids(func(o *attnx.TrainOptions) { o.Kind = tokens.BPE }),
		"Vocab: a token file has its own tokenizer":                  ids(func(o *attnx.TrainOptions) { o.Vocab = 9 }),
		"labelled examples are not read from standard input":         func(o *attnx.TrainOptions) { o.Data = attnx.Corpus{Reader: strings.NewReader(row)} },
		`row 2: column "c" is empty, and has numbers elsewhere`:      table(row + "1,2,,4,5,6,7,1\n"),
		`row 1: column "y" is empty, and has numbers elsewhere`:      table("a,b,c,d,e,f,g,y\n1,2,3,4,5,6,7,\n1,2,3,4,5,6,7,1\n"),
		`"y" is of texts, the loss mse takes numbers`:                table("a,b,c,d,e,f,g,y\n1,2,3,4,5,6,7,\n1,2,3,4,5,6,7,x\n"),
		"labelled examples are not read from standard input: " + attnx.NameTable: func(o *attnx.TrainOptions) {
			o.Data = attnx.Corpus{Files: []string{train.Stdin}, Reader: strings.NewReader(row)}
		},
	} {
		out := ""
		_, err := tuned(t, dir, func(o *attnx.TrainOptions) {
			change(o)
			out = o.Out
		})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("want %q: %v", want, err)
		}
		if _, err := os.Stat(out); err == nil {
			t.Errorf("%s: the run's folder was written", want)
		}
	}
}

// An operator without a gradient is named before the first step, with the name that its node
// has in the file and the way to the loss.
func TestTrainNoGradient(t *testing.T) {
	at := t.TempDir()
	float := func(name string, dims ...onnx.Dim) onnx.ValueInfo {
		return onnx.ValueInfo{Name: name, DataType: onnx.Float, Dims: dims}
	}
	batch := onnx.Dim{Open: true, Param: "n"}
	m := &onnx.Model{IRVersion: 13, Opsets: []onnx.Opset{{Version: 26}}, Graph: &onnx.Graph{
		Name: "g", Initializers: []*onnx.Tensor{{Name: "w", DataType: onnx.Float, Dims: []int64{2, 1}, Raw: make([]byte, 8)}},
		Nodes: []*onnx.Node{
			{Op: "MatMul", Inputs: []string{"x", "w"}, Outputs: []string{"a"}},
			{Op: "BitCast", Name: "the bits", Inputs: []string{"a"}, Outputs: []string{"b"}, Attributes: []onnx.Attribute{{Name: "to", Type: onnx.AttrInt, Int: 1}}},
			{Op: "Tanh", Inputs: []string{"b"}, Outputs: []string{"y"}},
		},
		Inputs: []onnx.ValueInfo{float("x", batch, onnx.Dim{Value: 2})}, Outputs: []onnx.ValueInfo{float("y", batch, onnx.Dim{Value: 1})},
	}}
	var b bytes.Buffer
	check(m.Encode(&b))
	file, data := filepath.Join(at, "model.onnx"), filepath.Join(at, "d.csv")
	check(errors.Join(os.WriteFile(file, b.Bytes(), 0o666), os.WriteFile(data, []byte("a,b,y\n1,2,3\n2,1,0\n0,1,2\n3,1,1\n"), 0o666)))
	out := ""
	_, err := tuned(t, at, func(o *attnx.TrainOptions) { o.Init, o.Data.Files, out = file, []string{data}, o.Out })
	const want = `Init model.onnx: node "the bits": graph: BitCast "b" has no derivative, and the loss depends on it through "b", "y"`
	if err == nil || !strings.HasPrefix(err.Error(), want) || !strings.HasSuffix(err.Error(), attnx.NameEarlier) {
		t.Errorf("want %q: %v", want, err)
	}
	if _, err := os.Stat(out); err == nil {
		t.Error("the run's folder was written")
	}
	// So are one that the engine does not compute, and what hides the weights from a loss.
	for op, want := range map[string]string{
		"ReduceProd": `Init model.onnx: node "the bits": train: ReduceProd is not supported by the Gorgonia engine (value "b"): ` + attnx.NameEarlier,
		"Hardmax":    `Output "y": model.onnx: it depends on weights through Equal "b.equal_1" alone`,
	} {
		m.Opsets[0].Version, m.IRVersion = 17, 8
		m.Graph.Nodes[1].Op, m.Graph.Nodes[1].Attributes = op, nil
		if op == "ReduceProd" {
			m.Graph.Nodes[1].Attributes = []onnx.Attribute{{Name: "axes", Type: onnx.AttrInts, Ints: []int64{1}}}
		}
		b.Reset()
		check(m.Encode(&b))
		check(os.WriteFile(file, b.Bytes(), 0o666))
		_, err := tuned(t, at, func(o *attnx.TrainOptions) { o.Init, o.Data.Files, out = file, []string{data}, o.Out })
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("want %q: %v", want, err)
		}
		if left, _ := os.ReadDir(out); len(left) > 0 {
			t.Errorf("%s: the folder has %v", op, left)
		}
	}
}

// What a file's numbers become is said before the first step.
func TestTrainSaysFloat32(t *testing.T) {
	at := t.TempDir()
	c := wholeBlocks()
	for name, want := range map[string]string{"Q8_0": attnx.KeepIntegers, "F16": "trained as float32"} {
		file := filepath.Join(at, name+".gguf")
		must(gguf.Write(file, c, must(blocks.ParseWritable(name))))
		for rank := range 2 {
			told := ""
			_, err := overIntegers(t, file, func(o *attnx.TrainOptions) {
				o.LoRA, o.Settings.Steps = 3*rank, 1
				o.Events.Tell = func(_ attnx.Level, line string) { told += line + "\n" }
			})
			check(err)
			switch said := strings.Contains(told, "trained as float32") && strings.Contains(told, want) && strings.Contains(told, " in "+name); {
			case said != (rank == 0 || name == "F16"):
				t.Errorf("%s, rank %d: %s", name, 3*rank, told)
			case rank == 1 && name == "Q8_0" && !strings.Contains(told, "become float32"):
				t.Errorf("%s: the table of the tokens became float32 without a word: %s", name, told)
			}
		}
	}
	folder := filepath.Join(at, "folder")
	plain := filepath.Join(at, "c.safetensors")
	check(c.Save(plain))
	must(attnx.Convert(plain, folder+"/", attnx.ConvertOptions{DType: format.BFloat16}))
	told := ""
	_, err := overIntegers(t, folder, func(o *attnx.TrainOptions) {
		o.LoRA, o.Settings.Steps = 0, 1
		o.Events.Tell = func(_ attnx.Level, line string) { told += line + "\n" }
	})
	check(err)
	if !strings.Contains(told, "trained as float32") || !strings.Contains(told, "in BF16") {
		t.Error(told)
	}
}

// An adapter is not written alone where the run changed more than its form holds, and no
// tokens are added to a table of integers.
func TestAdapterIsNotAll(t *testing.T) {
	for want, at := range map[string]struct {
		change func(*attnx.TrainOptions)
		to     []string
	}{
		"holds the adapter alone":        {func(o *attnx.TrainOptions) { o.AddTokens, o.Tokenizer = []string{"<new>"}, characters(61) }, []string{"a.onnx_adapter"}},
		"was trained beside the adapter": {func(o *attnx.TrainOptions) { o.Settings.Freeze = []string{"!*ln_f*"} }, []string{"adapter/", "a.onnx_adapter"}},
	} {
		run := must(withLoRA(t, func(o *attnx.TrainOptions) {
			o.Settings.Steps = 1
			at.change(o)
		}))
		for _, to := range at.to {
			out := filepath.Join(t.TempDir(), to)
			if _, err := attnx.Convert(run.Run, out, attnx.ConvertOptions{Adapter: true}); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), attnx.MergeTrained) {
				t.Errorf("want %q: %v", want, err)
			}
		}
		must(attnx.Convert(run.Run, filepath.Join(t.TempDir(), "m.safetensors"), attnx.ConvertOptions{Merge: true}))
	}
	file := filepath.Join(t.TempDir(), "q.gguf")
	must(gguf.Write(file, wholeBlocks(), blocks.Q4_0))
	if _, err := overIntegers(t, file, func(o *attnx.TrainOptions) { o.AddTokens = []string{"<new>"} }); err == nil || !strings.Contains(err.Error(), attnx.QuantizeLarger) {
		t.Error(err)
	}
}

// Bytes behind a gzip stream are told from one that is cut.
func TestTrailingBytes(t *testing.T) {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	must(w.Write([]byte("a text")))
	check(w.Close())
	path := filepath.Join(t.TempDir(), "t.gz")
	for _, end := range []string{"x", "more", strings.Repeat("y", 70)} {
		check(os.WriteFile(path, append(bytes.Clone(b.Bytes()), end...), 0o666))
		_, err := train.ReadText(t.Context(), []string{path}, train.Reading{Glob: "*", Limit: 1000})
		if err == nil || !strings.Contains(err.Error(), "bytes that are no gzip follow them") || strings.Contains(err.Error(), "cut off") {
			t.Errorf("%q: %v", end, err)
		}
	}
}
