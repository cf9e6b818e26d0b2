package playground

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/cmd/attnx/internal/console"
	page "github.com/attnx/attnx/export/playground"
	"github.com/attnx/attnx/fixtures"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/tokens"
	"github.com/attnx/attnx/model/train"
	"github.com/attnx/attnx/runtime"
	"github.com/attnx/attnx/runtime/ort"
)

// trained returns the folder of a short run.
func trained(t *testing.T, arch string, kind tokens.Kind, steps int) string {
	t.Helper()
	dir := t.TempDir()
	text := filepath.Join(dir, "notes.txt")
	if err := os.WriteFile(text, []byte(fixtures.Notes()), 0o644); err != nil {
		t.Fatal(err)
	}
	settings := train.DefaultOptions(steps)
	settings.Batch = 4
	_, err := attnx.Train(t.Context(), attnx.TrainOptions{Out: filepath.Join(dir, "run"), Data: attnx.Corpus{Files: []string{text}}, Arch: arch, Kind: kind, Context: 16, Settings: settings, Engine: "gorgonia"})
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "run")
}

// files of a server answer this machine only, with types that browsers take.
func TestServe(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"index.html": "<p>", "a.mjs": "0", "b.wasm": "0", ".hidden": "0"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	h := handler(dir)
	for _, c := range []struct {
		method, host, path string
		status             int
		kind               string
	}{
		{"GET", "127.0.0.1:8080", "/", 200, "text/html; charset=utf-8"},
		{"GET", "localhost", "/a.mjs", 200, "text/javascript"},
		{"GET", "localhost:1", "/b.wasm", 200, "application/wasm"},
		{"GET", "localhost", "/nothing", 404, ""},
		{"GET", "localhost", "/.hidden", 404, ""},
		{"GET", "localhost", "/../secret", 400, ""},
		{"GET", "evil.example", "/", 403, ""},
		{"GET", "127.0.0.1.evil.example", "/", 403, ""},
		{"POST", "localhost", "/", 405, ""},
	} {
		r := httptest.NewRequest(c.method, "http://"+c.host+c.path, nil)
		r.URL.Path = c.path
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != c.status && (c.status != 400 || w.Code == 200) || c.kind != "" && w.Header().Get("Content-Type") != c.kind {
			t.Errorf("%s %s%s: %d, %s", c.method, c.host, c.path, w.Code, w.Header().Get("Content-Type"))
		}
		if w.Code == 200 && (w.Header().Get("Cross-Origin-Opener-Policy") == "" || w.Header().Get("Cross-Origin-Embedder-Policy") == "") {
			t.Errorf("%s: without the headers that threads need", c.path)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- serve(ctx, l, dir) }()
	if r, err := http.Get("http://" + l.Addr().String() + "/"); err != nil || r.StatusCode != 200 {
		t.Errorf("over the network: %v", err)
	} else {
		r.Body.Close()
	}
	stop()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("it ended with %v", err)
	}
	for want, args := range map[string][]string{
		"no such file":           {filepath.Join(dir, "nothing")},
		"it is a file":           {filepath.Join(dir, "index.html")},
		"must be from 1 to 6553": {dir, "--port", "70000"},
		"cannot be used":         {dir, "--port", busy(t)},
	} {
		cmd := Serve(console.New(nil, io.Discard, io.Discard))
		cmd.SetArgs(args)
		cmd.SilenceErrors, cmd.SilenceUsage = true, true
		if err := cmd.ExecuteContext(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, expected %q", args, err, want)
		}
	}
}

// busy returns a port that is in use.
func busy(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// What the page must not do is nowhere in it, and what cannot be exported is refused
// before anything is fetched or written.
func TestPlaygroundRefuses(t *testing.T) {
	files, err := page.Files(page.Manifest{})
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		for _, bad := range []string{"innerHTML", "eval(", "http://", "https://", "unsafe-inline"} {
			if bytes.Contains(text, []byte(bad)) {
				t.Errorf("%s contains %s", name, bad)
			}
		}
	}
	run := trained(t, "", tokens.Word, 1)
	for want, o := range map[string]attnx.PlaygroundOptions{
		"Length is 17 and Batch 4":    {Length: 17},
		"Length is 16 and Batch -1":   {Batch: -1},
		"npm package onnxruntime-web": {Runtime: t.TempDir()},
	} {
		to := filepath.Join(t.TempDir(), "page")
		if _, err := attnx.ExportPlayground(t.Context(), run, to, o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, expected %q", err, want)
		}
		if _, err := os.Stat(to); err == nil {
			t.Errorf("%s: a folder is left", want)
		}
	}
	if _, err := attnx.ExportPlayground(t.Context(), t.TempDir(), filepath.Join(t.TempDir(), "page"), attnx.PlaygroundOptions{}); err == nil {
		t.Error("a folder without a run is exported")
	}
	if _, err := attnx.ExportPlayground(t.Context(), run, run, attnx.PlaygroundOptions{}); err == nil {
		t.Error("a page is written into the run")
	}
}

// numbers are those of the page: Mulberry32.
func numbers(a uint32) func() float64 {
	return func() float64 {
		a += 0x6d2b79f5
		t := (a ^ a>>15) * (a | 1)
		t ^= t + (t^t>>7)*(t|61)
		return float64(t^t>>14) / 4294967296
	}
}

// batches draws as the page does.
func batches(t *testing.T, dir string, m page.Manifest) func() (ids, labels []int64) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, page.DataName))
	if err != nil {
		t.Fatal(err)
	}
	var all []int64
	for i := 0; i < len(data); i += 2 {
		all = append(all, int64(binary.LittleEndian.Uint16(data[i:])))
	}
	var starts []int
	if m.Lines {
		lines, err := os.ReadFile(filepath.Join(dir, page.LinesName))
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(lines); i += 4 {
			starts = append(starts, int(binary.LittleEndian.Uint32(lines[i:])))
		}
	}
	random := numbers(m.Seed)
	return func() (ids, labels []int64) {
		for range m.Batch {
			at, end := 0, len(all)
			if m.Lines {
				line := int(random() * float64(len(starts)-1))
				at, end = starts[line], starts[line+1]
			} else {
				at = int(random() * float64(len(all)-m.Length))
			}
			for i := at; i < at+m.Length; i++ {
				id, label := int64(0), m.Ignore
				if i < end {
					id = all[i]
				}
				if i+1 < end {
					label = all[i+1]
				}
				ids, labels = append(ids, id), append(labels, label)
			}
		}
		return ids, labels
	}
}

// natively trains with ONNX Runtime on this machine: the same step, weights and
// batches.
func natively(t *testing.T, dir string, m page.Manifest, steps int) (map[string]format.Tensor, float64) {
	t.Helper()
	s, err := ort.Open(filepath.Join(dir, page.StepName), ort.Options{})
	if errors.Is(err, runtime.ErrUnavailable) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	c, err := model.LoadModel(filepath.Join(dir, page.ModelName))
	if err != nil {
		t.Fatal(err)
	}
	state := map[string]format.Tensor{}
	for _, w := range c.Weights {
		state[w.Name] = w
		for _, prefix := range []string{m.Names.First, m.Names.Second} {
			state[prefix+w.Name] = format.FromFloat32s(prefix+w.Name, w.Shape, make([]float32, w.Elements()))
		}
	}
	draw := batches(t, dir, m)
	loss := 0.0
	for k := range steps {
		inputs := map[string]format.Tensor{}
		for name, x := range map[string]float64{
			m.Names.Rate: m.LR, m.Names.FirstRate: m.LR / (1 - math.Pow(m.Beta1, float64(k+1))), m.Names.SecondRoot: 1 / math.Sqrt(1-math.Pow(m.Beta2, float64(k+1))),
		} {
			inputs[name] = format.FromFloat32s(name, []int{1}, []float32{float32(x)})
		}
		for name, x := range state {
			inputs[name] = x.WithName(name)
		}
		ids, labels := draw()
		inputs[m.Names.Ids] = format.FromInt64s(m.Names.Ids, []int{m.Batch, m.Length}, ids)
		inputs[m.Names.Labels] = format.FromInt64s(m.Names.Labels, []int{m.Batch, m.Length}, labels)
		out, err := s.Run(inputs)
		if err != nil {
			t.Fatal(err)
		}
		for name := range state {
			state[name] = out[m.Names.Next+name].WithName(name)
		}
		x, err := out[m.Names.Loss].Float32s()
		if err != nil {
			t.Fatal(err)
		}
		loss = float64(x[0])
	}
	return state, loss
}

// In a browser the page trains 50 steps with a falling loss, and what it gives is the
// checkpoint that ONNX Runtime trains on this machine.
func TestPlaygroundInChromium(t *testing.T) {
	if os.Getenv("ATTNX_CHROMIUM") == "" || os.Getenv("ATTNX_NODE_MODULES") == "" {
		t.Skip("set ATTNX_CHROMIUM to a Chromium, and ATTNX_NODE_MODULES to a folder with the npm package puppeteer-core")
	}
	for _, c := range []struct {
		arch string
		kind tokens.Kind
	}{{"llama", tokens.Word}, {"gpt2", tokens.Char}} {
		t.Run(c.arch, func(t *testing.T) {
			run := trained(t, c.arch, c.kind, 20)
			dir := filepath.Join(t.TempDir(), "page")
			_, err := attnx.ExportPlayground(t.Context(), run, dir, attnx.PlaygroundOptions{Runtime: os.Getenv("ATTNX_ORT_WEB")})
			if errors.Is(err, runtime.ErrUnavailable) {
				t.Skip(err)
			}
			if err != nil {
				t.Fatal(err)
			}
			var m page.Manifest
			text, err := os.ReadFile(filepath.Join(dir, page.ManifestName))
			if err == nil {
				err = json.Unmarshal(text, &m)
			}
			if err != nil {
				t.Fatal(err)
			}
			server := httptest.NewServer(handler(dir))
			defer server.Close()
			downloads := t.TempDir()
			args := []string{"../../../../fixtures/oracle/drive_playground.mjs", server.URL + "/", downloads}
			if pictures := os.Getenv("ATTNX_PICTURES"); pictures != "" {
				args = append(args, pictures)
			}
			cmd := exec.CommandContext(t.Context(), "node", args...)
			cmd.Stderr = os.Stderr
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("node: %v", err)
			}
			var d struct {
				Complaints, Requests          []string
				Isolated, Notice              bool
				First, Last, Loss             float64
				Paused, Overflow              int
				Steps, Answer, State, Without string
			}
			if err := json.Unmarshal(out, &d); err != nil {
				t.Fatal(err)
			}
			if len(d.Complaints)+len(d.Requests) > 0 || !d.Isolated || d.Notice || d.Overflow > 0 || d.State != "" {
				t.Errorf("%+v", d)
			}
			if !(d.Last < d.First-0.3) || d.Paused == 0 || d.Steps != "50" {
				t.Errorf("the loss falls from %g to %g", d.First, d.Last)
			}
			if !strings.Contains(d.Without, "no WebAssembly") {
				t.Errorf("without WebAssembly the page says %q", d.Without)
			}
			if !strings.HasPrefix(d.Answer, m.Prompt) || len(d.Answer) < len(m.Prompt)+10 {
				t.Errorf("%q is continued as %q", m.Prompt, d.Answer)
			}
			got, err := model.LoadModel(filepath.Join(downloads, "playground.safetensors"))
			if err != nil {
				t.Fatal(err)
			}
			want, loss := natively(t, dir, m, 50)
			if fmt.Sprintf("%.3f", loss) != fmt.Sprintf("%.3f", d.Loss) && math.Abs(loss-d.Loss) > 2e-3 {
				t.Errorf("the last loss is %g, ONNX Runtime's %g", d.Loss, loss)
			}
			worst, where := 0.0, ""
			for _, w := range got.Weights {
				x, err := w.Float32s()
				if err != nil {
					t.Fatal(err)
				}
				y, err := want[w.Name].Float32s()
				if err != nil {
					t.Fatal(err)
				}
				for i := range x {
					// The softmax of a row does not change when all its scores do, so the
					// gradient of a key's bias is 0. What is computed is rounding, which
					// AdamW makes as large as any other step: no two runtimes agree.
					if n := len(x) / 3; strings.HasSuffix(w.Name, "c_attn.bias") && i/n == 1 {
						continue
					}
					if d := math.Abs(float64(x[i] - y[i])); d > worst {
						worst, where = d, w.Name
					}
				}
			}
			t.Logf("weights differ by at most %.2g, in %s", worst, where)
			if !(worst <= 1e-5) {
				t.Errorf("weights differ from ONNX Runtime's by up to %g, in %s", worst, where)
			}
			before, err := model.LoadModel(filepath.Join(dir, page.ModelName))
			if err != nil {
				t.Fatal(err)
			}
			if got.Step != m.Step+50 || got.Loss == nil || !slices.Equal(got.Tokenizer, before.Tokenizer) || slices.Equal(got.Weights[0].Data, before.Weights[0].Data) {
				t.Errorf("the checkpoint is of step %d, expected %d", got.Step, m.Step+50)
			}
		})
	}
}
