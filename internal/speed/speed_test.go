package speed_test

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/attnx/attnx/internal/speed"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/runtime"
)

// A share is between 0 and 1, or not known.
func TestShare(t *testing.T) {
	for _, c := range []struct {
		speed, peak, share float64 // share NaN: none
		busy               bool
	}{
		{50, 200, 0.25, false}, {200, 200, 1, false}, {0, 200, 0, false},
		{201, 200, math.NaN(), true}, {math.Inf(1), 200, math.NaN(), true},
		{50, 0, math.NaN(), false}, {50, -1, math.NaN(), false}, {math.NaN(), 200, math.NaN(), false}, {math.Inf(1), math.Inf(1), math.NaN(), false},
	} {
		share, busy := speed.Share(c.speed, c.peak)
		if busy != c.busy || (share == nil) != math.IsNaN(c.share) || share != nil && *share != c.share {
			t.Errorf("%g of %g: %v, busy %t", c.speed, c.peak, share, busy)
		}
	}
}

func TestBestOf(t *testing.T) {
	runs := 0
	best, err := speed.BestOf(3, func() error {
		if runs++; runs != 2 {
			time.Sleep(20 * time.Millisecond)
		}
		return nil
	})
	if err != nil || runs != 3 || best < 0 || best >= 0.02 {
		t.Errorf("%d runs, the best took %g s: %v", runs, best, err)
	}
	broken := errors.New("broken")
	if _, err := speed.BestOf(3, func() error { return broken }); err != broken {
		t.Error(err)
	}
}

// device counts what an operator is given.
type device struct {
	runtime.Device
	bytes, inputs, outputs, runs, closed int
}

func (d *device) Alloc(n int) (runtime.Memory, error) { d.bytes += n; return nil, nil }

func (d *device) Write(_ runtime.Memory, _ int, data []byte) error {
	if len(data) != 4*1024*1024 {
		return errors.New("not all of a matrix")
	}
	return nil
}

func (d *device) BindInput(int, runtime.Memory, int, []int) error  { d.inputs++; return nil }
func (d *device) BindOutput(int, runtime.Memory, int, []int) error { d.outputs++; return nil }
func (d *device) Run(int) error                                    { d.runs++; return nil }
func (d *device) Close() error                                     { d.closed++; return nil }

// A product of 1024³ takes two operations for each of its elements, and is run
// several times on a device that is closed then.
func TestProduct(t *testing.T) {
	d := &device{}
	var printed strings.Builder
	g, err := speed.Product(3, func(g *graph.Graph) (runtime.Device, error) { return d, graph.Print(&printed, g) })
	if err != nil || !(g > 0) {
		t.Errorf("%g GFLOP/s, %v", g, err)
	}
	if d.bytes != 3*4*1024*1024 || d.inputs != 2 || d.outputs != 1 || d.runs != 3 || d.closed != 1 {
		t.Errorf("the device got %+v", *d)
	}
	if text := printed.String(); strings.Count(text, "F32(1024,1024)") != 3 || !strings.Contains(text, "Gemm(x, y)") {
		t.Errorf("it runs\n%s", text)
	}
	if _, err := speed.Product(3, func(*graph.Graph) (runtime.Device, error) { return nil, runtime.ErrUnavailable }); !errors.Is(err, runtime.ErrUnavailable) {
		t.Error(err)
	}
}
