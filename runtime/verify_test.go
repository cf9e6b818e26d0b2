package runtime

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/attnx/attnx/format"
)

const vocab = 11

func oracle() *fake { return &fake{vocab: vocab, double: true} }

// candidate returns a runtime with the given fault, nil for none.
func candidate(name string, fault func([]float64)) Candidate {
	return Candidate{Name: name, Open: func() (Session, error) { return &fake{vocab: vocab, fault: fault}, nil }}
}

func unavailable(name string) Candidate {
	return Candidate{Name: name, Open: func() (Session, error) {
		return nil, &UnavailableError{Runtime: name, Reason: "no library", Remedy: "install it"}
	}}
}

func named(c Candidate) Candidate { c.Named = true; return c }

func in(t format.DType, c Candidate) Candidate { c.DType = t; return c }

func own(c Candidate) Candidate { c.Own = true; return c }

func verify(t *testing.T, candidates ...Candidate) Report {
	t.Helper()
	r, err := Verify(t.Context(), oracle(), candidates, Cases(vocab, 8, 1))
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Results) != len(candidates) || r.Oracle != "ref-float64" || r.Cases != len(Cases(vocab, 8, 1)) {
		t.Fatalf("report %+v", r)
	}
	if (r.Verdict == Fail) != (r.Reason != "") {
		t.Errorf("verdict %s with the reason %q", r.Verdict, r.Reason)
	}
	for i, x := range r.Results {
		if x.Runtime != candidates[i].Name || (x.Status == StatusOK) != (x.Reason == "") {
			t.Errorf("result %+v", x)
		}
	}
	return r
}

// What each candidate does, and what must come of it.
func TestVerdict(t *testing.T) {
	good := candidate("good", nil)
	for _, c := range []struct {
		name       string
		candidates []Candidate
		verdict    Verdict
		status     Status // of the last candidate
		reason     string // in the last candidate's reason or, with status ok, the report's
	}{
		{"agreement", []Candidate{good}, Pass, StatusOK, ""},
		{"an error of half the bound", []Candidate{candidate("near", add(5e-5))}, Pass, StatusOK, ""},
		{"an error of twice the bound", []Candidate{good, candidate("far", add(2e-4))}, Fail, StatusFail, "the oracle says"},
		{"an error of 16 bits, in them", []Candidate{in(format.Float16, candidate("half", add(2e-2)))}, Pass, StatusOK, ""},
		{"an error beyond 16 bits", []Candidate{good, in(format.Float16, candidate("half", add(1)))}, Fail, StatusFail, "the oracle says"},
		{"NaN", []Candidate{good, candidate("nan", add(math.NaN()))}, Fail, StatusFail, "is NaN"},
		{"infinity", []Candidate{good, candidate("inf", add(math.Inf(1)))}, Fail, StatusFail, "is +Inf"},
		{"unavailable and named", []Candidate{good, named(unavailable("gone"))}, Fail, StatusUnavailable, "no library"},
		{"unavailable in the default set", []Candidate{good, unavailable("gone")}, Pass, StatusUnavailable, "no library; install it"},
		{"only unavailable", []Candidate{unavailable("gone")}, Fail, StatusUnavailable, "no library"},
		{"only our own", []Candidate{unavailable("gone"), own(good)}, Fail, StatusOK, "no runtime but our own ran"},
		{"only our own, none other asked for", []Candidate{own(good)}, Fail, StatusOK, "no other was asked for"},
		{"our own is wrong", []Candidate{good, own(candidate("gorgonia", add(1)))}, Fail, StatusFail, "the oracle says"},
		{"nothing", nil, Fail, "", "no runtime but our own ran"},
	} {
		r := verify(t, c.candidates...)
		if r.Verdict != c.verdict {
			t.Errorf("%s: verdict %s (%s)", c.name, r.Verdict, r.Reason)
		}
		reason := r.Reason
		if len(r.Results) > 0 {
			last := r.Results[len(r.Results)-1]
			if last.Status != c.status {
				t.Errorf("%s: status %s (%s)", c.name, last.Status, last.Reason)
			}
			if last.Status != StatusOK {
				reason = last.Reason
			}
		}
		if !strings.Contains(reason, c.reason) {
			t.Errorf("%s: the reason is %q, want %q", c.name, reason, c.reason)
		}
	}
}

func TestMeasures(t *testing.T) {
	r := verify(t, candidate("near", add(5e-5)), candidate("far", func(v []float64) {
		v[0], v[len(v)-1] = v[0]+5, v[len(v)-1]-0.5
	}), unavailable("gone"))
	once := verify(t, candidate("once", func(v []float64) {
		if len(v) == vocab { // the first cases, of one token
			v[0] += 5
		}
	})).Results[0]
	if math.Abs(float64(once.MaxAbs)-5) > 1e-6 {
		t.Errorf("once: %+v", once)
	}
	near, far, gone := r.Results[0], r.Results[1], r.Results[2]
	// float32 rounds the sum: 5e-5 ± 1.2e-7 for logits up to 2.
	if math.Abs(float64(near.MaxAbs)-5e-5) > 1.2e-7 || near.ArgmaxAgreement != 1 || near.ArgmaxChecked == 0 || near.Cases != r.Cases {
		t.Errorf("near: %+v", near)
	}
	if math.Abs(float64(far.MaxAbs)-5) > 1e-6 || far.ArgmaxAgreement >= 1 || far.FirstDifference != "logits[0,0,0]" || far.Cases != r.Cases {
		t.Errorf("far: %+v", far)
	}
	if !math.IsNaN(float64(gone.MaxAbs)) || !math.IsNaN(float64(gone.ArgmaxAgreement)) || gone.Cases != 0 {
		t.Errorf("gone: %+v", gone)
	}
	if !strings.HasPrefix(far.Reason, "batch 1, length 1: logits[0,0,0] is ") {
		t.Errorf("the reason does not name the case: %q", far.Reason)
	}
}

// A session that goes wrong in Run, in every way that one can.
func TestBrokenSessions(t *testing.T) {
	with := func(run func(ids format.Tensor) (format.Tensor, error)) Candidate {
		return Candidate{Name: "broken", Open: func() (Session, error) { return &fake{vocab: vocab, run: run}, nil }}
	}
	wrongShape := func(in format.Tensor) (format.Tensor, error) {
		return format.FromFloat32s("logits", []int{in.Elements(), vocab}, make([]float32, in.Elements()*vocab)), nil
	}
	for _, c := range []struct {
		name      string
		candidate Candidate
		status    Status
		reason    string
	}{
		{"cannot open", Candidate{Name: "broken", Open: func() (Session, error) { return nil, errors.New("bad file") }}, StatusFail, "bad file"},
		{"error", with(func(format.Tensor) (format.Tensor, error) { return format.Tensor{}, errors.New("kernel died") }), StatusFail, "batch 1, length 1: kernel died"},
		{"gone at the first run", with(func(format.Tensor) (format.Tensor, error) { return format.Tensor{}, ErrUnavailable }), StatusUnavailable, "unavailable"},
		{"no logits", Candidate{Name: "broken", Open: func() (Session, error) { return mute{}, nil }}, StatusFail, `no output "logits"`},
		{"wrong shape", with(wrongShape), StatusFail, "logits has shape [1 11], the oracle's has [1 1 11]"},
		{"short data", with(func(format.Tensor) (format.Tensor, error) {
			return format.Tensor{DType: format.Float32, Shape: []int{1, 1, vocab}}, nil
		}), StatusFail, "expects 44 bytes"},
		{"runs no case", Candidate{Name: "broken", Open: candidate("", nil).Open, Runs: func(Case) bool { return false }}, StatusFail, "none of the 16 cases"},
		{"wrong, then an error", with(func(in format.Tensor) (format.Tensor, error) {
			if in.Elements() > 1 {
				return format.Tensor{}, ErrUnavailable
			}
			return wrongShape(in)
		}), StatusFail, "then batch 1, length 8: runtime unavailable"},
	} {
		r := verify(t, candidate("good", nil), c.candidate)
		x := r.Results[1]
		if x.Status != c.status || !strings.Contains(x.Reason, c.reason) || (r.Verdict == Pass) != (c.status == StatusUnavailable) {
			t.Errorf("%s: verdict %s, %+v", c.name, r.Verdict, x)
		}
	}
}

// mute is a session without outputs.
type mute struct{}

func (mute) Run(map[string]format.Tensor) (map[string]format.Tensor, error) { return nil, nil }
func (mute) Close() error                                                   { return nil }

func TestRunsChoosesCases(t *testing.T) {
	c := Candidate{Name: "flat", Runs: func(c Case) bool { return c.Batch == 1 && c.Length == 8 },
		Open: func() (Session, error) { return &fake{vocab: vocab, length: 8}, nil }}
	if r := verify(t, c); r.Verdict != Pass || r.Results[0].Cases != 1 {
		t.Errorf("flat: %+v", r)
	}
}

func TestLocate(t *testing.T) {
	asked := []Case{}
	far := candidate("far", func(v []float64) {
		if len(v) > vocab {
			v[0]++ // the cases of one token are right
		}
	})
	far.Locate = func(c Case, _ Form) (Origin, error) {
		asked = append(asked, c)
		return Origin{Value: "h.0.attn.scores"}, nil
	}
	near := candidate("near", nil)
	near.Locate = far.Locate
	lost := candidate("lost", add(1))
	lost.Locate = func(Case, Form) (Origin, error) { return Origin{}, errors.New("no such output") }
	same := candidate("same", add(1))
	same.Locate = func(Case, Form) (Origin, error) { return Origin{}, nil }
	r := verify(t, far, near, lost, same)
	if got := r.Results[0].FirstDifference; got != "h.0.attn.scores" || len(asked) != 1 || len(asked[0].IDs) != 8 {
		t.Errorf("located %q in %v", got, asked)
	}
	if x := r.Results[2]; x.FirstDifference != "logits[0,0,5]" || !strings.Contains(x.Reason, "no such output") {
		t.Errorf("failing locate: %+v", x)
	}
	if x := r.Results[3]; x.FirstDifference != "logits[0,0,5]" {
		t.Errorf("locate that finds nothing: %+v", x)
	}
}

// What a runtime that takes some models only computes wrongly fails the verdict if it
// was asked for; what has no bound never does.
func TestPartialAndMeasured(t *testing.T) {
	partial := candidate("partial", add(1))
	partial.Partial = true
	if r := verify(t, candidate("good", nil), partial); r.Verdict != Pass || r.Results[1].Status != StatusFail || !strings.Contains(r.Results[1].Reason, "only if the runtime is asked for by name") {
		t.Errorf("%+v", r)
	}
	if r := verify(t, candidate("good", nil), named(partial)); r.Verdict != Fail {
		t.Errorf("%+v", r)
	}
	measured := candidate("measured", add(1))
	measured.Measured = true
	if r := verify(t, candidate("good", nil), measured); r.Verdict != Pass || r.Results[1].Status != StatusMeasured || r.Results[1].MaxAbs < 0.99 {
		t.Errorf("%+v", r)
	}
	if r := verify(t, measured); r.Verdict != Fail {
		t.Errorf("a measurement alone passes: %+v", r)
	}
}

// A candidate that gives up is asked where, with the case unless it did not open.
func TestRefused(t *testing.T) {
	for _, opens := range []bool{true, false} {
		c := candidate("gives up", nil)
		c.Open = func() (Session, error) {
			if opens {
				return &fake{run: func(format.Tensor) (format.Tensor, error) { return format.Tensor{}, errors.New("no kernel") }}, nil
			}
			return nil, errors.New("no kernel")
		}
		c.Refused = func(k *Case, err error) (Origin, error) {
			if (k != nil) != opens || !strings.Contains(err.Error(), "no kernel") {
				t.Errorf("%v, %v", k, err)
			}
			return Origin{Value: "y", Node: "n (Softmax)", Note: "alone too"}, nil
		}
		if x := verify(t, c).Results[0]; x.FirstDifference != "y" || x.Node != "n (Softmax)" || !strings.HasSuffix(x.Reason, "no kernel; alone too") {
			t.Errorf("%+v", x)
		}
	}
}

// A runtime without a kernel for a valid file is unavailable, which is no pass, and is not asked where
// it gave up. An error of a run is a failure, whatever its type.
func TestMissingKernels(t *testing.T) {
	lacking := fmt.Errorf("model: %w", &NoKernelError{Runtime: "R", Device: "cpu", Node: "MatMul(13)"})
	opening, running := candidate("lacks a kernel", nil), candidate("gives up", nil)
	opening.Open = func() (Session, error) { return nil, lacking }
	opening.Refused = func(*Case, error) (Origin, error) {
		t.Error("it is asked where")
		return Origin{}, nil
	}
	running.Open = func() (Session, error) {
		return &fake{run: func(format.Tensor) (format.Tensor, error) { return format.Tensor{}, lacking }}, nil
	}
	const reason = "R has no kernel for MatMul(13) in the types that it has there (cpu): take another runtime or device, or another element type"
	r := verify(t, candidate("good", nil), opening)
	if x := r.Results[1]; r.Verdict != Pass || x.Status != StatusUnavailable || x.Reason != reason {
		t.Errorf("%s, %+v", r.Verdict, x)
	}
	if r := verify(t, opening); r.Verdict != Fail || !strings.Contains(r.Reason, "has the kernels of the file") {
		t.Errorf("%s %s", r.Verdict, r.Reason)
	}
	opening.Named = true
	if r := verify(t, candidate("good", nil), opening); r.Verdict != Fail || !strings.Contains(r.Reason, "was asked for and is unavailable") {
		t.Errorf("%s %s", r.Verdict, r.Reason)
	}
	if r := verify(t, candidate("good", nil), running); r.Verdict != Fail || r.Results[1].Status != StatusFail {
		t.Errorf("%s, %+v", r.Verdict, r.Results[1])
	}
}

func TestVerifyErrors(t *testing.T) {
	good, cases := []Candidate{candidate("good", nil)}, Cases(vocab, 4, 1)
	if _, err := Verify(t.Context(), oracle(), good, nil); err == nil {
		t.Error("no cases is no error")
	}
	if _, err := Verify(t.Context(), &fake{vocab: vocab}, good, cases); err == nil || !strings.Contains(err.Error(), "F32, not F64") {
		t.Errorf("a float32 oracle: %v", err)
	}
	broken := &fake{run: func(format.Tensor) (format.Tensor, error) { return format.Tensor{}, errors.New("id out of range") }}
	if _, err := Verify(t.Context(), broken, good, cases); err == nil || !strings.Contains(err.Error(), "the oracle on batch 1, length 1: id out of range") {
		t.Errorf("a failing oracle: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Verify(ctx, oracle(), good, cases); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end of its context: %v", err)
	}
}

func TestEmptyLogitsAreNoPass(t *testing.T) {
	empty := func() (Session, error) { return &fake{}, nil }
	r, err := Verify(t.Context(), &fake{double: true}, []Candidate{{Name: "empty", Open: empty}}, Cases(vocab, 4, 1))
	if err != nil || r.Verdict != Fail || r.Results[0].Reason != "the outputs are empty" {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestVerifyClosesWhatItOpened(t *testing.T) {
	o, good, bad := oracle(), &fake{vocab: vocab}, &fake{vocab: vocab, run: func(format.Tensor) (format.Tensor, error) { return format.Tensor{}, ErrUnavailable }}
	open := func(f *fake) Candidate { return Candidate{Name: "x", Open: func() (Session, error) { return f, nil }} }
	if _, err := Verify(t.Context(), o, []Candidate{open(good), open(bad)}, Cases(vocab, 4, 1)); err != nil {
		t.Fatal(err)
	}
	if o.closed != 0 || good.closed != 1 || bad.closed != 1 || bad.runs != 1 {
		t.Errorf("closed: oracle %d, good %d, bad %d times; bad ran %d times", o.closed, good.closed, bad.closed, bad.runs)
	}
}

func TestReportJSON(t *testing.T) {
	r := verify(t, candidate("good", nil), candidate("nan", add(math.NaN())), unavailable("gone"))
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var raw struct {
		Verdict string
		Oracle  string
		Results []map[string]any
	}
	if err := json.Unmarshal(b, &raw); err != nil {
		t.Fatal(err)
	}
	if raw.Verdict != "fail" || raw.Oracle != "ref-float64" || len(raw.Results) != 3 {
		t.Errorf("%s", b)
	}
	for i, status := range []string{"ok", "fail", "unavailable"} {
		x := raw.Results[i]
		for _, key := range []string{"runtime", "status", "reason", "max_abs", "max_rel", "argmax_agreement", "first_difference"} {
			if _, ok := x[key]; !ok {
				t.Errorf("result %d has no %q: %v", i, key, x)
			}
		}
		if x["status"] != status || (x["max_abs"] == nil) != (status != "ok") {
			t.Errorf("result %d: %v", i, x)
		}
	}
	var back Report
	if err := json.Unmarshal(b, &back); err != nil {
		t.Fatal(err)
	}
	if !math.IsNaN(float64(back.Results[2].MaxAbs)) || back.Results[0].MaxAbs != r.Results[0].MaxAbs {
		t.Errorf("read back: %+v", back)
	}
}

// A table has at most 80 columns, whatever its files and values are called, and
// says the same as a wide one.
func TestReportWidth(t *testing.T) {
	long := strings.Repeat("folder/", 30) + "model.onnx"
	r := Report{Verdict: Fail, Oracle: OracleName, Cases: 24,
		Checks: []Check{
			{File: long, Part: "initializers", Status: StatusFail, Compared: 10000, Total: 10000, Reason: "they differ", FirstDifference: "h.0.attn.probabilities"},
			{File: "größe.json", Part: "contents", Status: StatusOK, Compared: 1, Total: 1},
		},
		Results: []Result{{Runtime: "ort-cuda-cache (disabled)", Status: StatusUnavailable, Cases: 24, MaxAbs: 3e-4, MaxRel: 2e-4, ArgmaxAgreement: 0.93361, FirstDifference: "h.0.attn.probabilities", Reason: "far off"}},
	}
	var b strings.Builder
	if err := r.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	text := b.String()
	for line := range strings.Lines(text) {
		if n := utf8.RuneCountInString(line) - 1; n > 80 && !strings.HasPrefix(line, long+": initializers: ") {
			t.Errorf("%d columns: %s", n, line)
		}
	}
	for _, want := range []string{
		"folder/model.onnx  initializers", "\ngröße.json ", long + ": initializers: first difference: h.0.attn.probabilities\n", long + ": initializers: they differ\n",
		"\nort-cuda-cache (disabled): first difference: h.0.attn.probabilities\n", "\nort-cuda-cache (disabled): far off\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("it does not have %q:\n%s", want, text)
		}
	}
}

// Results of other files, and against something else, have tables of their own.
func TestReportGroups(t *testing.T) {
	var b strings.Builder
	r := Report{Verdict: Fail, Oracle: OracleName, Cases: 4, Kept: "kept", Results: []Result{
		{Runtime: "ort-cpu", Status: StatusOK, Cases: 4}, {Runtime: "ref-float64", Status: StatusOK, Cases: 4, Against: "the recorded outputs"},
		{File: "b.onnx", Runtime: "ort-cpu", Status: StatusFail, Cases: 4, Against: "a.onnx", FirstDifference: "y", Node: "n (Add)", Reason: "far"},
	}}
	if err := r.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"\n\nagainst the recorded outputs\nruntime ", "\n\nb.onnx against a.onnx\nruntime ", " y of node n (Add)\n", "\nort-cpu: far\n", "\nkept: the smallest model"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("it does not have %q:\n%s", want, b.String())
		}
	}
}

func TestReportText(t *testing.T) {
	var b bytes.Buffer
	r := verify(t, candidate("good", nil), candidate("long-name", add(math.NaN())), unavailable("gone"))
	if err := r.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	if len(lines) != 8 || lines[7] != "fail against ref-float64: long-name failed" {
		t.Fatalf("text:\n%s", b.String())
	}
	columns := regexp.MustCompile(`\S+( \S+)*`)
	var starts []int
	for i, line := range lines[:4] {
		var at []int
		for _, m := range columns.FindAllStringIndex(line, 7) {
			at = append(at, m[0])
		}
		if i == 0 {
			starts = at
		} else if !slices.Equal(at, starts) {
			t.Errorf("line %q has its columns at %v, the header at %v", line, at, starts)
		}
	}
	for i, want := range []string{"good .* ok .* 16/16 .* 100%", "long-name .*fail .* not finite .*  logits\\[0,0,5\\]$", "gone .*unavailable .* 0/16 .* - ", "^long-name: .*batch 1, length 1.*", "^gone: .*no library"} {
		if !regexp.MustCompile(want).MatchString(lines[i+1]) {
			t.Errorf("line %q, want %q", lines[i+1], want)
		}
	}
	for _, at := range []string{"good", "fail against"} {
		if err := r.WriteText(full(at)); err == nil {
			t.Errorf("a disk that is full at %q is not reported", at)
		}
	}
}

// full is a writer that has no room for one text.
type full string

func (f full) Write(b []byte) (int, error) {
	if strings.Contains(string(b), string(f)) {
		return 0, errors.New("no space left")
	}
	return len(b), nil
}

func TestUnavailableError(t *testing.T) {
	_, err := unavailable("ort-cuda").Open()
	if !errors.Is(err, ErrUnavailable) || err.Error() != "ort-cuda is unavailable: no library; install it" {
		t.Errorf("%v", err)
	}
}

// A ratio of many digits does not widen the table.
func TestRatioCell(t *testing.T) {
	for n, want := range map[Number]string{3.21: "3.2", 9999: "9999.0", 1.2e9: "1e+09", Number(math.NaN()): "-"} {
		r := Report{Results: []Result{{Runtime: "a", BoundRatio: n}}}
		var text strings.Builder
		if err := r.WriteText(&text); err != nil || !strings.Contains(text.String(), " "+want+" ") {
			t.Errorf("%g: %s, expected %s", float64(n), text.String(), want)
		}
	}
}
