package arch_test

import (
	"testing"

	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/nn"
)

func TestTmp(t *testing.T) {
	for _, a := range arch.Names() {
		for _, p := range arch.Presets() {
			s, err := arch.Preset(p)
			if err != nil {
				t.Fatal(err)
			}
			n, err := arch.New(a, s, 100)
			if err != nil {
				t.Fatal(err)
			}
			g, err := nn.Build(n)
			if err != nil {
				t.Fatal(err)
			}
			c, err := model.Preset(p, a, 100)
			if err != nil {
				t.Fatal(err)
			}
			old, err := model.Build(c)
			if err != nil {
				t.Fatal(err)
			}
			if graph.Fingerprint(g) != graph.Fingerprint(old) {
				t.Error(a, p)
			}
		}
	}
}
