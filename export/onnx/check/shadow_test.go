package check

import (
	"path/filepath"
	"testing"
)

// Subgraphs that redefine a name of a graph around them (fixtures/oracle/shadow_verdicts.py).
func TestShadows(t *testing.T) {
	v := readVerdicts(t, filepath.Join("testdata", "shadows.json"))
	if basic, full := v.compare(t); basic+full > 0 || len(v.Files) < 500 {
		t.Errorf("%d other verdicts of the basic check, %d of the full one", basic, full)
	}
}
