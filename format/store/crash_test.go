package store

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/attnx/attnx/fixtures"
	"github.com/attnx/attnx/format"
)

// checkpoint returns the file of a step: sealed, with its score.
func checkpoint(t testing.TB, step int, score float64) []byte {
	t.Helper()
	var b bytes.Buffer
	values := make([]float32, 300)
	for i := range values {
		values[i] = float32(step*1000 + i)
	}
	err := format.WriteSealed(&b, map[string]string{"score": fmt.Sprint(score)}, []format.Tensor{format.FromFloat32s("w", []int{300}, values)})
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// whole is a Check by the seal.
func whole(_ string, r io.ReaderAt, size int64) (float64, error, error) {
	f, err := format.NewReader(r, size)
	if err == nil {
		err = f.Verify()
	}
	var bad *format.FormatError
	var seal *format.SealError
	if errors.As(err, &bad) || errors.As(err, &seal) {
		return math.NaN(), err, nil
	}
	if err != nil {
		return math.NaN(), nil, err
	}
	score, err := strconv.ParseFloat(f.Metadata()["score"], 64)
	return score, err, nil
}

// scenario is a folder before a save, and that save.
type scenario struct {
	name   string
	keep   int
	scores []float64 // of steps 1, 2, ...: all but the last are saved before
}

var scenarios = []scenario{
	{"the first", 1, []float64{3}},
	{"the second, of which one is kept", 1, []float64{3, 2}},
	{"a worse one", 1, []float64{2, 3}},
	{"one without a score", 2, []float64{2, 3, math.NaN()}},
	{"the oldest goes", 2, []float64{5, 4, 3, 2}},
	{"the oldest is the best", 2, []float64{1, 4, 3, 2}},
	{"two that are the best", 1, []float64{2, 2}},
}

const crashDir = "/run"

// before returns the folder of a scenario, and what each step's file holds.
func (s scenario) before(t *testing.T) (*faulty, map[int][]byte) {
	d := newFaulty()
	contents := map[int][]byte{}
	for i, score := range s.scores {
		contents[i+1] = checkpoint(t, i+1, score)
	}
	for i := range len(s.scores) - 1 {
		if err := s.save(d, i+1, contents); err != nil {
			t.Fatal(err)
		}
	}
	d.op, d.trace = 0, nil
	return d, contents
}

// save opens the folder and saves a step, as a run does.
func (s scenario) save(d *faulty, step int, contents map[int][]byte) error {
	f, err := recoverFolder(d, crashDir, Options{Keep: s.keep, Check: whole})
	if err != nil {
		return err
	}
	return f.Save(step, int64(len(contents[step])), s.scores[step-1], func(w io.Writer) error {
		b := contents[step]
		for len(b) > 0 { // several writes
			n := min(len(b), 5000)
			if _, err := w.Write(b[:n]); err != nil {
				return err
			}
			b = b[n:]
		}
		return nil
	})
}

// survive checks what the next run finds.
func (s scenario) survive(t *testing.T, what string, d *faulty, contents map[int][]byte, saved error) {
	t.Helper()
	last := len(s.scores)
	// A reader that has no lock.
	path, broken, err := newest(d, crashDir, whole)
	if err == nil && !bytes.Equal(d.names[path].data, contents[mustStep(t, path)]) {
		t.Errorf("%s, %s: a reader takes %s, which is none that was saved", s.name, what, path)
	}
	_ = broken

	f, err := recoverFolder(d, crashDir, Options{Keep: s.keep, Check: whole})
	if err != nil {
		t.Errorf("%s, %s: the folder cannot be opened again: %v", s.name, what, err)
		return
	}
	newestStep := 0
	if path, ok := f.Latest(); ok {
		newestStep = mustStep(t, path)
	}
	switch {
	case newestStep != last && newestStep != last-1:
		t.Errorf("%s, %s: the newest is step %d, want %d or %d", s.name, what, newestStep, last-1, last)
	case saved == nil && newestStep != last:
		t.Errorf("%s, %s: step %d was saved, and is gone", s.name, what, last)
	}
	for path, n := range d.names {
		base := filepath.Base(path)
		if step, ok := stepOf(base); ok {
			if !bytes.Equal(n.data, contents[step]) {
				t.Errorf("%s, %s: %s is not what was saved as step %d", s.name, what, base, step)
			}
		} else if base != LatestName && base != BestName && filepath.Ext(base) != corruptSuffix {
			t.Errorf("%s, %s: %s is left", s.name, what, base)
		}
	}
	if newestStep > 0 {
		if step, err := readPointer(d, filepath.Join(crashDir, LatestName)); err != nil || step != newestStep {
			t.Errorf("%s, %s: latest names step %d (%v), the newest is %d", s.name, what, step, err, newestStep)
		}
	}
	// The best of what was kept stays.
	if best, score := bestOf(s.scores[:newestStep]); best > 0 {
		if f.best != best || s.scores[f.best-1] > score {
			t.Errorf("%s, %s: the best is step %d, want %d", s.name, what, f.best, best)
		}
	}
	// And the run goes on.
	if newestStep < last {
		if err := f.Save(last, 1, s.scores[last-1], func(w io.Writer) error { _, err := w.Write(contents[last]); return err }); err != nil {
			t.Errorf("%s, %s: the next save: %v", s.name, what, err)
		}
	}
}

func mustStep(t *testing.T, path string) int {
	step, ok := stepOf(filepath.Base(path))
	if !ok {
		t.Fatalf("%s is no checkpoint's name", path)
	}
	return step
}

func bestOf(scores []float64) (step int, score float64) {
	score = math.Inf(1)
	for i, s := range scores {
		if s < score {
			step, score = i+1, s
		}
	}
	return step, score
}

// run saves and returns whether the power went.
func (s scenario) run(d *faulty, contents map[int][]byte) (err error, crashed bool) {
	defer func() {
		switch p := recover(); p.(type) {
		case nil:
		case crash:
			crashed = true
		default:
			panic(p)
		}
	}()
	return s.save(d, len(s.scores), contents), false
}

// TestEveryCrash lets every operation of a save fail in every way, and looks at
// every state that can be left: right away, by a process that is started again,
// and after a power cut at that moment.
func TestEveryCrash(t *testing.T) {
	states, cases, stride := 0, 0, fixtures.Stride(5)
	for _, s := range scenarios {
		d, contents := s.before(t)
		clean := d.clone()
		if err, _ := s.run(clean, contents); err != nil {
			t.Fatal(err)
		}
		ops := slices.Clone(clean.trace)
		for i := range ops {
			for j, fault := range faults {
				if fault.torn && ops[i].what != "write" || fault.dropPage && ops[i].what != "fsync" {
					continue
				}
				if cases++; cases%stride != 0 {
					continue
				}
				d := d.clone()
				d.at, d.fault = i, fault
				err, crashed := s.run(d, contents)
				what := fmt.Sprintf("operation %d (%s %s), fault %d", i, ops[i].what, ops[i].path, j)
				if crashed {
					err = errors.New("no answer")
				} else if err == nil && fault.err != nil && mustFail(ops[i], fault) {
					t.Errorf("%s, %s: it failed, and the save did not say so", s.name, what)
				}
				d.afterPowerCut(func(left string, state *faulty) {
					states++
					s.survive(t, what+", power cut, "+left, state, contents, err)
				})
				states++
				s.survive(t, what+", started again", d.clone(), contents, err)
				if t.Failed() {
					t.Fatal("and so on")
				}
			}
		}
	}
	t.Logf("%d states", states)
}

// mustFail reports whether a failing operation must make the save fail: all but
// the clearing away of what is not needed.
func mustFail(op operation, f fault) bool {
	return op.what != "lstat" || op.path != LatestName && op.path != BestName
}

// TestCrashWhileRecovering cuts the power once more while the folder is put in
// order.
func TestCrashWhileRecovering(t *testing.T) {
	s := scenario{"torn", 2, []float64{3, 2, 1}}
	d, contents := s.before(t)
	torn := &node{contents[3][:5000], contents[3][:5000]}
	d.names[filepath.Join(crashDir, stepName(3))] = torn
	d.names[filepath.Join(crashDir, stepName(4))] = &node{}
	d.names[filepath.Join(crashDir, ".attnx-x.tmp")] = torn
	d.durable = maps.Clone(d.names)
	again := func(d *faulty) (err error, crashed bool) {
		defer func() {
			if p := recover(); p != nil {
				crashed = p == crash{}
			}
		}()
		_, err = recoverFolder(d, crashDir, Options{Keep: 2, Check: whole})
		return err, false
	}
	clean := d.clone()
	if err, _ := again(clean); err != nil {
		t.Fatal(err)
	}
	for i := range clean.op {
		for _, fault := range faults {
			if fault.torn || fault.dropPage {
				continue
			}
			d := d.clone()
			d.at, d.fault = i, fault
			again(d)
			d.afterPowerCut(func(left string, state *faulty) {
				f, err := recoverFolder(state, crashDir, Options{Keep: 2, Check: whole})
				if err != nil {
					t.Fatalf("operation %d: %v", i, err)
				}
				if path, _ := f.Latest(); mustStep(t, path) != 2 {
					t.Errorf("operation %d, %s: the newest is %s", i, left, path)
				}
				aside := 0
				for name, n := range state.names {
					if filepath.Ext(name) == corruptSuffix {
						aside++
						if !bytes.Equal(n.data, torn.data) && len(n.data) > 0 {
							t.Errorf("operation %d: %s was changed", i, name)
						}
					}
				}
				if aside != 2 {
					t.Errorf("operation %d, %s: %d set aside, want 2: %v", i, left, aside, slices.Sorted(maps.Keys(state.names)))
				}
			})
		}
	}
}
