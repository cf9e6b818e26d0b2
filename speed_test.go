package attnx

import (
	"testing"

	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/model/train"
)

// On a GPU, and in pure Go, there is no product to take a share of; none is run.
func TestSpeedometerWithoutAProduct(t *testing.T) {
	network, err := arch.New("gpt2", arch.Sizes{Layers: 1, Heads: 2, Width: 8, Context: 4}, 9)
	if err != nil {
		t.Fatal(err)
	}
	c, err := train.Start(network, nil, 1)
	if err != nil {
		t.Fatal(err)
	}
	d, err := train.NewText(make([]int64, 100), 4)
	if err != nil {
		t.Fatal(err)
	}
	for _, on := range [][2]string{{"ort", "cuda"}, {"gorgonia", "cpu"}} {
		s, err := newSpeedometer(c, d, on[0], on[1])
		if err != nil {
			t.Fatal(err)
		}
		if m := s.metric(train.Event{TokensPerSecond: 1e6}); m.GEMMShare != nil || m.GFLOPS <= 0 {
			t.Errorf("%s on %s: %+v", on[0], on[1], m)
		}
	}
	// What is faster than the product is no share of it.
	s := speedometer{flop: 1e9, peak: 2}
	if m := s.metric(train.Event{TokensPerSecond: 3}); m.GEMMShare != nil || s.overPeak != 3 {
		t.Errorf("%+v, %+v", m, s)
	}
}
