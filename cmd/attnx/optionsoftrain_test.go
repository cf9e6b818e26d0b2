package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/cmd/attnx/internal/console"
	"github.com/attnx/attnx/fixtures"
	"github.com/attnx/attnx/runtime/ort/library"
)

// trial is a value of an option that is not the default, and what else is given with and
// without it.
type trial struct {
	value, with string
	says        string // what a refusal calls it; "": its name
	only        string // why the numbers of a run need not change; "": they must
}

// trials are all options of train but those that every run has.
var trials = map[string]trial{
	"accumulate": {value: "2"}, "arch": {value: "llama"}, "batch": {value: "3"}, "batch-statistics": {value: "true"}, "beta1": {value: "0.5"}, "beta2": {value: "0.7"},
	"clip": {value: "0.01"}, "context": {value: "7", says: "context"}, "decay": {value: "2", with: "--schedule wsd"}, "dropout": {value: "0.3"}, "epochs": {value: "1"},
	"epsilon": {value: "0.1"}, "eval-batches": {value: "1"}, "eval-every": {value: "2"}, "freeze": {value: "*0*"}, "heads": {value: "1"}, "inner": {value: "24"}, "keep": {value: "1", with: "--save-every 1"},
	"kv-heads": {value: "1", says: "heads of keys and values"}, "label-smoothing": {value: "0.2"}, "layers": {value: "1"}, "lora": {value: "1"}, "lora-alpha": {value: "5", with: "--lora 1"}, "lora-target": {value: "3.weight", with: "--lora 1"},
	"loss": {value: "mae"}, "lr": {value: "0.02"}, "min-lr": {value: "0.00002"}, "pack": {value: "true"}, "preset": {value: "nano"}, "quantize": {value: "int8", with: "--lora 1"}, "save-every": {value: "2"},
	"schedule": {value: "constant"}, "seed": {value: "7"}, "separate-vocabularies": {value: "true"}, "target": {value: "TARGET"}, "text": {value: "text", says: `column "text"`}, "labels": {value: "labels2", says: `column is called "labels2"`},
	"tokenizer": {value: "word"}, "val": {value: "VAL"}, "vocab": {value: "11", says: "vocabulary size 11"}, "warmup": {value: "3"}, "weight-decay": {value: "0.9"}, "width": {value: "16"}, "add-token": {value: "<new>", says: "tokenizer"},
	"output": {value: "other", says: `output "other"`}, "glob": {value: "*.x"}, "dtype": {value: "bfloat16"}, "device": {value: "cuda", says: "ort-cuda is unavailable"}, "task": {value: "other"},

	"best":      {value: "chrf", only: "which checkpoint is the best"},
	"patience":  {value: "3", with: "--eval-every 1", only: "when a run ends early"},
	"recompute": {value: "true", only: "memory and time"},
	"threads":   {value: "1", only: "time"},
}

// given by every run here, or by none.
var structural = []string{"data", "out", "init", "resume", "config", "json", "steps", "engine", "against", "help"}

// No option of train is ignored without a word: each changes the numbers or the files of a
// run, or is refused by its name, for each task and engine.
func TestOptionsOfTrain(t *testing.T) {
	trainCommand(console.Streams{}).Flags().VisitAll(func(f *pflag.Flag) {
		if _, tried := trials[f.Name]; tried == slices.Contains(structural, f.Name) {
			t.Errorf("--%s is in both lists or in none", f.Name)
		}
	})
	dir := t.TempDir()
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		must(os.WriteFile(path, []byte(text), 0o666))
		return path
	}
	from, err := fs.Sub(fixtures.FS, "train_onnx/mlp")
	must(err)
	must(os.CopyFS(filepath.Join(dir, "mlp"), from))
	var pairs, other strings.Builder
	for i := range 240 {
		fmt.Fprintf(&pairs, "%s\t%s\n", strings.Repeat("a b ", i%7+1)+fmt.Sprint(i), strings.Repeat("c ", i%7+1)+fmt.Sprint(i))
		fmt.Fprintf(&other, "x y %d\tz %d\n", i, i)
	}
	table := "a,b,c,d,e,f,g,labels\n" + strings.Repeat("1,2,3,4,5,6,7,1\n2,0,1,4,0,6,1,2\n0,0,1,1,0,2,1,0\n", 40)
	tasks := map[string]struct{ args, val string }{
		"text":      {"--data " + write("t.txt", strings.Repeat("the quick brown fox jumps over the lazy dog\n", 40)), write("v.txt", strings.Repeat("a dog and a fox jump\n", 20))},
		"tables":    {"--init " + filepath.Join(dir, "mlp", "model.onnx") + " --loss mse --data " + write("t.csv", table), write("v.csv", table)},
		"translate": {"--task translate --width 16 --heads 2 --layers 1 --data " + write("t.tsv", pairs.String()), write("v.tsv", other.String())},
	}
	runs := 0
	outcome := func(args string) (result, refused string) {
		runs++
		out := filepath.Join(dir, fmt.Sprint("run", runs))
		var errs bytes.Buffer
		if code := run(append([]string{"train"}, strings.Fields(args+" --out "+out)...), strings.NewReader(""), &errs, &errs); code != 0 {
			return "", errs.String()
		}
		names, err := os.ReadDir(out)
		must(err)
		for _, n := range names {
			if !strings.Contains(n.Name(), "tfevents") {
				result += n.Name() + " "
			}
		}
		c, err := attnx.Load(out, nil)
		must(err)
		result += c.Weights.Hash()
		lines, err := os.ReadFile(filepath.Join(out, "metrics.jsonl"))
		must(err)
		for _, line := range bytes.Fields(lines) {
			var m struct {
				Loss float64
				Val  *float64 `json:"val_loss"`
			}
			if json.Unmarshal(line, &m) == nil {
				result += fmt.Sprint(" ", m.Loss)
				if m.Val != nil {
					result += fmt.Sprint("/", *m.Val)
				}
			}
		}
		return result, ""
	}
	names := []string{"context", "glob", "threads", "epochs", "pack", "min-lr"} // those that were ignored once
	if fixtures.Exhaustive() {
		names = names[:0]
		for name := range trials {
			names = append(names, name)
		}
		slices.Sort(names)
	}
	engines := []string{"gorgonia"}
	if fixtures.Exhaustive() {
		if _, err := library.Find("", "cpu"); err == nil {
			engines = append(engines, "ort")
		}
	}
	type trained struct{ task, engine string }
	cases := map[trained]struct{ args, val string }{}
	for task, of := range tasks {
		for _, engine := range engines {
			cases[trained{task, engine}] = of
		}
	}
	for c, of := range cases {
		without := map[string]string{}
		for _, name := range names {
			try := trials[name]
			common := of.args + " --engine " + c.engine + " --batch 4 --eval-batches 2"
			if name != "epochs" {
				common += " --steps 3"
			}
			for _, has := range []string{"batch", "eval-batches", "width", "heads", "layers", "loss", "task"} {
				if name == has || name == "preset" && slices.Contains([]string{"width", "heads", "layers"}, has) {
					common = leftOut(common, has)
				}
			}
			base := common + " " + try.with
			if _, done := without[base]; !done {
				result, refused := outcome(base + map[bool]string{true: " --steps 3"}[name == "epochs"])
				without[base] = result
				if refused != "" {
					without[base] = "refused: " + refused
				}
				if refused != "" && try.with == "" && !strings.Contains(refused, "--"+name) { // one that must be given is named
					t.Errorf("%s on %s: the command without --%s is refused: %s", c.task, c.engine, name, refused)
				}
			}
			value := strings.NewReplacer("VAL", of.val, "TARGET", of.val).Replace(try.value)
			result, refused := outcome(base + " --" + name + "=" + value)
			switch {
			case refused != "" && !strings.Contains(refused, cmp.Or(try.says, "--"+name)) && !strings.Contains(refused, "--"+name) && !strings.Contains(without[base], "refused"):
				t.Errorf("%s on %s: --%s is refused without its name: %s", c.task, c.engine, name, refused)
			case refused == "" && try.only == "" && result == without[base]:
				t.Errorf("%s on %s: --%s changes nothing", c.task, c.engine, name)
			}
		}
	}
}

// leftOut leaves an option out of a command line.
func leftOut(args, name string) string {
	words := strings.Fields(args)
	if i := slices.Index(words, "--"+name); i >= 0 {
		words = slices.Delete(words, i, i+2)
	}
	return strings.Join(words, " ")
}
