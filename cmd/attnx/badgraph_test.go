package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/graph"
)

// badGraphs are ways to spoil the text of a graph, with what is said of each.
var badGraphs = []struct {
	name, says string
	spoil      func(text string) string
}{
	{"truncated", "cut short", func(s string) string { return s[:len(s)/2] }},
	{"huge", "no value is called", func(s string) string {
		head := strings.Join(strings.SplitAfter(s, "\n")[:3], "")
		return head + strings.Repeat("x F32(B,T,32) = Neg(x)\n", 200_000)
	}},
	{"cyclic", "no value is called", func(s string) string { return strings.Replace(s, ", input_ids)", ", logits)", 1) }},
	{"ill-typed", "said to be F64", func(s string) string { return strings.Replace(s, "logits F32", "logits F64", 1) }},
	{"unknown operator", "no operator", func(s string) string { return strings.Replace(s, "= Gather(", "= Frobnicate(", 1) }},
	{"billions of elements", "line", func(s string) string {
		at := strings.Index(s, "wte.weight F32(") + len("wte.weight F32(")
		return s[:at] + "4000000000,4000000000" + s[at+strings.IndexByte(s[at:], ')'):]
	}},
	{"other weights", "wpe.w", func(s string) string { return strings.ReplaceAll(s, "wpe.weight", "wpe.w") }},
	{"another context", "the graph 7", func(s string) string { return strings.Replace(s, "context 8\n", "context 7\n", 1) }},
}

// badgraphs CHECKPOINT MODEL: whatever is wrong with the graph in a checkpoint
// or an ONNX file, every command that reads it ends with exit code 2 and one line
// that names the file, the place and what to do, and writes nothing: in a run
// without its pointers no pointer either. inspect shows what can be read, and says
// that it is not a model.
func badgraphs(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: badgraphs checkpoint model")
	}
	ts.Check(os.MkdirAll(ts.MkAbs("bad/run"), 0o777))
	checkpoint := filepath.Base(args[0])
	uses := map[string][]string{
		"bad/" + checkpoint: {"generate % --prompt w", "export % -o bad/out.onnx", "verify %", "convert % -o bad/out", "attention % --text w"},
		"bad/x.onnx":        {"generate % --prompt w", "convert % -o bad/out"},
	}
	for i, bad := range badGraphs {
		spoilCheckpoint(ts, args[0], "bad/"+checkpoint, bad.spoil)
		spoilCheckpoint(ts, args[0], "bad/run/"+checkpoint, bad.spoil)
		spoilONNX(ts, args[1], "bad/x.onnx", bad.spoil)
		for file, commands := range uses {
			for j, line := range commands {
				if j == 0 || j == 1+i%(len(commands)-1) {
					refusesGraph(ts, strings.ReplaceAll(line, "%", file), file, bad.name, bad.says)
				}
			}
		}
		for file, line := range map[string]string{"bad/" + checkpoint: "not read ", "bad/x.onnx": "attnx cannot run it "} {
			code(ts, false, []string{"0", "attnx", "inspect", file}) // shows what can be read
			if text := ts.ReadFile("stdout"); !strings.Contains(text, line) || !strings.Contains(text, bad.says) {
				ts.Fatalf("%s, attnx inspect %s: it does not say %q, %q: %s", bad.name, file, line, bad.says, text)
			}
		}
		refusesGraph(ts, "train --resume bad/run --data "+ts.Getenv("MODELS")+"/data.txt --steps 9", checkpoint, bad.name, bad.says)
	}
	for _, name := range []string{"bad/out.onnx", "bad/out"} {
		if _, err := os.Lstat(ts.MkAbs(name)); err == nil {
			ts.Fatalf("%s was written", name)
		}
	}
}

// refusesGraph runs a command that must refuse a graph.
func refusesGraph(ts *testscript.TestScript, line, file, name, says string) {
	before := contents(ts, "bad")
	code(ts, false, append([]string{"2", "attnx"}, strings.Fields(line)...))
	text := ts.ReadFile("stderr")
	for _, part := range []string{file, says} {
		if !strings.Contains(text, part) {
			ts.Fatalf("%s, attnx %s: it does not say %q: %s", name, line, part, text)
		}
	}
	if !strings.Contains(text, "take another copy") && !strings.Contains(text, "export the checkpoint again") || len(text) > 900 {
		ts.Fatalf("%s, attnx %s: it says not what to do, or too much: %s", name, line, text)
	}
	if after := contents(ts, "bad"); after != before {
		ts.Fatalf("%s, attnx %s: the files were\n%s, are\n%s", name, line, before, after)
	}
}

// contents lists the files of a folder with their sizes and times.
func contents(ts *testscript.TestScript, folder string) string {
	var sb strings.Builder
	ts.Check(filepath.Walk(ts.MkAbs(folder), func(path string, info os.FileInfo, err error) error {
		if err == nil && !info.IsDir() && info.Name() != "LOCK" {
			fmt.Fprintln(&sb, path, info.Size(), info.ModTime())
		}
		return err
	}))
	return sb.String()
}

// spoilCheckpoint writes the checkpoint from with another text of its graph,
// fingerprint and seal as they belong to it.
func spoilCheckpoint(ts *testscript.TestScript, from, to string, spoil func(string) string) {
	f, err := format.Open(ts.MkAbs(from))
	ts.Check(err)
	defer f.Close()
	meta := f.Metadata()
	var tensors []format.Tensor
	for _, i := range f.Tensors() {
		t, err := f.Tensor(i.Name)
		ts.Check(err)
		if i.Name == format.BlobPrefix+"graph.txt" {
			text := changed(ts, string(t.Data), spoil)
			t = format.FromUint8s(t.Name, []int{len(text)}, []byte(text))
			if g, err := graph.Parse(text); err == nil {
				meta["attnx.fingerprint"] = graph.Fingerprint(g)
			}
		}
		t.Data = slices.Clone(t.Data)
		tensors = append(tensors, t)
	}
	ts.Check(writeTo(ts.MkAbs(to), func(w io.Writer) error { return format.WriteSealed(w, meta, tensors) }))
}

// spoilONNX writes the ONNX file from with another text of its graph.
func spoilONNX(ts *testscript.TestScript, from, to string, spoil func(string) string) {
	m, err := onnx.ReadFile(ts.MkAbs(from))
	ts.Check(err)
	m.Metadata[model.MetaGraph] = changed(ts, m.Metadata[model.MetaGraph], spoil)
	ts.Check(writeTo(ts.MkAbs(to), m.Encode))
}

func changed(ts *testscript.TestScript, text string, spoil func(string) string) string {
	bad := spoil(text)
	if bad == text {
		ts.Check(errors.New("nothing is changed in the graph"))
	}
	return bad
}
