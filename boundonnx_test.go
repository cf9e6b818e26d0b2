package attnx

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/format"
	attnxruntime "github.com/attnx/attnx/runtime"
	"github.com/attnx/attnx/runtime/ort"
)

// impatient sets patience for a test.
func impatient(t *testing.T) {
	before := patience
	patience = 50 * time.Millisecond
	t.Cleanup(func() { patience = before })
}

// A loop that goes on for as long as data say is ended in ONNX Runtime, and the session
// runs again.
func TestPatientInORT(t *testing.T) {
	if err := ort.Runtime.Available(attnxruntime.Options{}); err != nil {
		t.Skip(err)
	}
	impatient(t)
	body := bodyOf("n", hostileNode("Neg", "n", nil, "n_s"), hostileNode("ReduceSum", "sum", []onnx.Attribute{onnx.IntAttr("keepdims", 0)}, "n_s"), hostileNode("Equal", "same", nil, "sum", "sum"))
	body.Outputs[0].Name = "same" // false for NaN only
	path := filepath.Join(t.TempDir(), "model.onnx")
	f, err := os.Create(path)
	if err == nil {
		err = hostileModel(nil, loopOf("y", "", "x", body)).Encode(f)
	}
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	x, err := OpenONNX(path, Options{Runtime: "ort"})
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	run := func(v float64) error {
		in, _, err := format.FromFloat64s("x", []int{2, 2}, []float64{1, 2, 3, v}).Convert(format.Float32)
		if err != nil {
			t.Fatal(err)
		}
		_, err = x.Run(map[string]format.Tensor{"x": in})
		return err
	}
	for range 2 {
		var late *TimeError
		if err := run(4); !errors.As(err, &late) || !strings.Contains(err.Error(), path) {
			t.Errorf("got %v", err)
		}
	}
	patience = time.Hour
	zero := 0.0
	if err := run(zero / zero); err != nil { // a sum that is not equal to itself
		t.Error(err)
	}
}

// A runtime that cannot be stopped is left behind.
func TestPatientLeavesBehind(t *testing.T) {
	impatient(t)
	s := &stuck{until: make(chan struct{})}
	defer close(s.until)
	p := &patient{Session: s}
	for range 2 {
		var late *TimeError
		if _, err := p.Run(nil); !errors.As(err, &late) {
			t.Errorf("got %v", err)
		}
	}
	if err := p.Close(); err != nil || s.closed {
		t.Errorf("closed below a run: %v", err)
	}
	_, err := openedInTime(func(attnxruntime.File, attnxruntime.Options) (attnxruntime.Session, error) {
		<-s.until
		return nil, nil
	})(attnxruntime.File{}, attnxruntime.Options{})
	if late := new(TimeError); !errors.As(err, &late) {
		t.Errorf("opening: %v", err)
	}
}

// stuck is a session whose runs do not end.
type stuck struct {
	until  chan struct{}
	closed bool
}

func (s *stuck) Run(map[string]format.Tensor) (map[string]format.Tensor, error) {
	<-s.until
	return nil, nil
}

func (s *stuck) Close() error {
	s.closed = true
	return nil
}

// Beyond some nodes a runtime runs at its lowest level, and beyond more if it is named.
func TestLeftOut(t *testing.T) {
	for _, c := range []struct {
		nodes         int
		lowest, named bool
		out           bool
	}{
		{mostOptimized, false, false, false}, {mostOptimized + 1, false, true, true}, {mostOptimized + 1, true, false, false},
		{mostOpened + 1, true, false, true}, {mostOpened + 1, true, true, false}, {mostOpened + 1, false, true, true},
	} {
		x := &ONNX{File: &onnx.Model{Graph: &onnx.Graph{Nodes: make([]*onnx.Node, c.nodes)}}}
		if err := x.leftOut("ort", c.lowest, c.named); (err != nil) != c.out || err != nil && !errors.Is(err, attnxruntime.ErrUnavailable) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// A loop of more rounds than attnx reads as nodes is a runtime's to run, within the limit of
// time; one of more rounds than any runtime makes is nobody's.
func TestRoundsOfRuntimes(t *testing.T) {
	body := bodyOf("n")
	body.Outputs[1].Name = "n_s"
	for rounds, refused := range map[int64]bool{300_000: false, 1 << 40: true} {
		count := hostileInts("count", rounds)
		count.Dims = nil
		x, err := readONNX(written(t, hostileModel([]*onnx.Tensor{count}, loopOf("y", "count", "x", body))))
		if err != nil {
			t.Fatal(err)
		}
		if err := x.bounded(nil); (err != nil) != refused {
			t.Errorf("%d rounds: %v", rounds, err)
		}
		if !x.mayGoOn() {
			t.Errorf("%d rounds: no limit of time", rounds)
		}
	}
}
