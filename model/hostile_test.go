package model

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/internal/memory"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/nn"
)

// badGraphs are texts that no file may have in the place of good, the graph of
// a GPT-2, each with what is said of it.
func badGraphs(good string) map[string][2]string {
	lines := strings.SplitAfter(good, "\n")
	header, inputs := lines[0], lines[0]+lines[1]+lines[2]
	long := new(strings.Builder)
	long.WriteString(inputs)
	for range 200_000 {
		long.WriteString("x F32(B,T,32) = Neg(x)\n")
	}
	return map[string][2]string{
		"empty":                {"", "cut short"},
		"cut within a line":    {good[:len(good)/2], "cut short"},
		"cut between lines":    {strings.Join(lines[:len(lines)/2], ""), "no outputs"},
		"noise":                {strings.Repeat("\x00\xff\x1b[2J", 1<<10) + "\n", "line 1"},
		"another version":      {strings.Replace(good, header, "attnx graph 9\n", 1), "line 1"},
		"a cycle":              {strings.Replace(good, "(wte.weight, input_ids)", "(wte.weight, embeddings)", 1), "no value is called"},
		"itself":               {strings.Replace(good, "Gather(wte.weight", "Gather(token_embeddings", 1), "no value is called"},
		"another type":         {strings.Replace(good, "logits F32", "logits F64", 1), "said to be F64"},
		"another shape":        {strings.Replace(good, "logits F32(B,T,31)", "logits F32(B,T,32)", 1), "said to be"},
		"an unknown operator":  {strings.Replace(good, "= Gather(", "= Frobnicate(", 1), `no operator "Frobnicate"`},
		"no end":               {long.String(), "no value is called"},
		"a huge name":          {inputs + strings.Repeat("x", 10<<20) + " F32(2) = Neg(y)\n", "line 4"},
		"a huge rank":          {inputs + "x F32(1" + strings.Repeat(",1", 1<<20) + ") = Neg(y)\n", "line 4"},
		"a constant of exa":    {inputs + "c F32(1000000000,1000000000) = Const value=[1]\noutput logits = c role=logits\n", "line 4"},
		"a weight of exabytes": {strings.Replace(good, "wte.weight F32(31,32)", "wte.weight F32(4000000000,4000000000)", 1), "line"},
		"other weights":        {strings.ReplaceAll(strings.ReplaceAll(good, "(31,32)", "(37,32)"), ",31)", ",37)"), "wte.weight"},
		"another name":         {strings.ReplaceAll(good, "wpe.weight", "wpe.w"), "wpe.w"},
		"another context":      {strings.Replace(good, "context 16\n", "context 8\n", 1), "the graph 8"},
		"a huge context":       {strings.Replace(good, "context 16\n", "context 4000000000\n", 1), "the graph 4000000000"},
	}
}

// The graph in a file is foreign input: what is none, or not that of the model
// beside it, is a *GraphError in little memory, with the file's name and what to
// do.
func TestBadGraphs(t *testing.T) {
	dir := t.TempDir()
	c := tinyCheckpoint(t, "gpt2")
	good := filepath.Join(dir, "good")
	if err := c.Save(good); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	text, _, err := c.graphText()
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range badGraphs(string(text)) {
		if bad[0] == string(text) {
			t.Fatalf("%s: nothing is changed", name)
		}
		path := filepath.Join(dir, "bad")
		rewrite(t, good, path, func(meta map[string]string, tensors []format.Tensor) []format.Tensor {
			if g, err := graph.Parse(bad[0]); err == nil { // whoever changes one changes the other
				meta[metaFingerprint] = graph.Fingerprint(g)
			}
			for i, x := range tensors {
				if x.Name == blobGraph {
					tensors[i] = format.FromUint8s(x.Name, []int{len(bad[0])}, []byte(bad[0]))
				}
			}
			return tensors
		})
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err = Load(path)
		runtime.ReadMemStats(&after)
		wantGraphError(t, name, err, bad[1], path)
		if used, most := after.TotalAlloc-before.TotalAlloc, uint64(1<<20+40*info.Size()); used > most {
			t.Errorf("%s: %d bytes for a file of %d", name, used, info.Size())
		}

		// An ONNX file has the text in its metadata, and its weights elsewhere.
		if strings.Contains("other weights, another name", name) {
			continue
		}
		meta, err := c.Metadata()
		if err != nil {
			t.Fatal(err)
		}
		meta[MetaGraph] = bad[0]
		runtime.ReadMemStats(&before)
		_, err = FromMetadata(meta, len(c.Weights))
		runtime.ReadMemStats(&after)
		wantGraphError(t, name+", in metadata", err, bad[1])
		if used, most := after.TotalAlloc-before.TotalAlloc, uint64(1<<20+40*len(bad[0])); used > most {
			t.Errorf("%s: %d bytes for a text of %d", name, used, len(bad[0]))
		}
	}
	if now, err := os.ReadFile(good); err != nil || !bytes.Equal(now, whole) {
		t.Errorf("the good file is another: %v", err)
	}
}

func wantGraphError(t *testing.T, name string, err error, says ...string) {
	t.Helper()
	var typed *GraphError
	if !errors.As(err, &typed) {
		t.Errorf("%s: %v is not a *GraphError", name, err)
		return
	}
	for _, text := range append(says, "take another copy") {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v does not say %q", name, err, text)
		}
	}
	if text := err.Error(); len(text) > 700 || strings.ContainsAny(text, "\n\x1b") {
		t.Errorf("%s: the message has %d bytes, or more than a line: %.300q", name, len(text), text)
	}
}

// Where the weights are those of the configuration and the wiring is another,
// the graph is the model: it is read as it is.
func TestGraphIsTheModel(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c")
	c := tinyCheckpoint(t, "gpt2")
	text, _, err := c.graphText()
	if err != nil {
		t.Fatal(err)
	}
	other, err := graph.Parse(strings.ReplaceAll(string(text), `approximate="tanh"`, `approximate="none"`))
	if err != nil {
		t.Fatal(err)
	}
	before := graph.Fingerprint(c.Graph)
	c.Graph = other
	if err := c.Save(path); err != nil {
		t.Fatal(err)
	}
	back, err := Load(path)
	if err != nil || graph.Fingerprint(back.Graph) != graph.Fingerprint(other) || graph.Fingerprint(other) == before {
		t.Errorf("%v: read back is another graph", err)
	}
}

// other is a network that takes the name of one that attnx ships.
type other struct{ Width int }

func (other) Architecture() string { return "gpt2" }

func (n other) Forward(b *nn.Builder) {
	b.Logits(b.Project("head", b.Embedding("wte", b.Tokens(4), 5, n.Width, graph.Normal(1)), n.Width, 5, graph.Normal(1)))
}

// A checkpoint that could not be read again is not written: its weights would
// be lost.
func TestSaveRefusesWhatLoadWould(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c")
	taken, err := New(other{3}, 1)
	if err != nil {
		t.Fatal(err)
	}
	renamed := tinyCheckpoint(t, "gpt2")
	renamed.Arch = "mine"
	for says, c := range map[string]*Checkpoint{
		"rename your network":                             taken,
		`the architecture of the configuration is "gpt2"`: renamed,
	} {
		if err := c.Save(path); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, expected %q", err, says)
		}
		if _, err := os.Lstat(path); err == nil {
			t.Error("a file was left behind")
		}
	}
}

// A network of more weights than any machine holds is an error and not the end
// of the program.
func TestNewIsBounded(t *testing.T) {
	widths := []int{1 << 36, 1 << 61}
	if memory.Free() > 0 {
		widths = append(widths, int(memory.Free()/5)) // four times what is free
	}
	for _, width := range widths {
		if _, err := New(large{width}, 1); !errors.As(err, new(*nn.Error)) {
			t.Errorf("%d: %v", width, err)
		}
	}
}

// A configuration that panics is an error too, and one that has no JSON.
func TestConfigurationThatFails(t *testing.T) {
	if _, err := New(panicking{}, 1); !errors.As(err, new(*nn.Error)) || !strings.Contains(err.Error(), "no configuration today") {
		t.Error(err)
	}
	if _, err := New(unwritten{F: func() {}}, 1); err == nil || !strings.Contains(err.Error(), "func()") {
		t.Error(err)
	}
}

type (
	panicking struct{ large }
	unwritten struct {
		large
		F func()
	}
)

func (panicking) MarshalJSON() ([]byte, error) { panic("no configuration today") }

// A damaged file is named once.
func TestDamagedGraphNamesTheFile(t *testing.T) {
	data, err := os.ReadFile("../fixtures/compat/b43e5ea/gpt2/step-00000006.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "damaged.safetensors")
	if err := os.WriteFile(path, bytes.Replace(data, []byte("= Gather("), []byte("= Gathex("), 1), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path); err == nil || strings.Count(err.Error(), path) != 1 {
		t.Error(err)
	}
}

type large struct{ Width int }

func (large) Architecture() string { return "large" }

func (n large) Forward(b *nn.Builder) {
	b.Logits(b.Embedding("e", b.Tokens(4), 5, n.Width, graph.Normal(1)))
}
