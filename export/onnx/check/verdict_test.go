package check

import (
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/fixtures"
)

// verdicts are what ONNX's checker says of files (fixtures/oracle/onnx_verdicts.py).
type verdicts struct {
	ONNX  string
	Files []struct {
		File        string
		Model       []byte // instead of a file
		Base        string
		Faults      []string
		Basic, Full bool
		Why         string
		Crashed     bool // ONNX's checker did
	}
}

// compare counts where our verdicts are others, and names some of them.
func (v verdicts) compare(t *testing.T) (basic, full int) {
	t.Helper()
	byFault := map[string]int{}
	shown, crashed := 0, 0
	for _, f := range v.Files {
		if f.Crashed {
			crashed++
			continue
		}
		m, dir, err := (*onnx.Model)(nil), "", error(nil)
		if f.Model != nil {
			m, err = onnx.Decode(f.Model)
		} else {
			m, err = onnx.DecodeFile(f.File)
			dir = filepath.Dir(f.File)
		}
		var foundBasic, foundFull []error
		if err != nil {
			foundBasic, foundFull = []error{err}, []error{err}
		} else {
			foundBasic, foundFull = Basic(m, dir), Full(m, dir)
		}
		what := ""
		switch {
		case (len(foundBasic) == 0) != f.Basic:
			basic++
			what = "basic"
		case (len(foundFull) == 0) != f.Full:
			full++
			what = "full"
		default:
			continue
		}
		byFault[what+" "+strings.Join(f.Faults, "+")]++
		if shown++; what == "basic" || shown <= 20 {
			t.Logf("%s: %s (%s, %v): ONNX: basic %v, full %v, %s; we: %v, %v", what, f.File, f.Base, f.Faults, f.Basic, f.Full, f.Why, foundBasic, foundFull)
		}
	}
	names := slices.SortedFunc(maps.Keys(byFault), func(a, b string) int { return byFault[b] - byFault[a] })
	for _, name := range names[:min(12, len(names))] {
		t.Logf("%4d %s", byFault[name], name)
	}
	t.Logf("%d files, ONNX %s, which crashed on %d: %d other verdicts of the basic check, %d of the full one", len(v.Files), v.ONNX, crashed, basic, full)
	return basic, full
}

func readVerdicts(t testing.TB, path string) (v verdicts) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// made runs the script.
func made(t *testing.T, args ...string) verdicts {
	t.Helper()
	python := os.Getenv("ATTNX_PYTHON")
	if python == "" {
		t.Skip("set ATTNX_PYTHON to a Python with onnx to ask its checker")
	}
	folder := t.TempDir()
	script := filepath.Join("..", "..", "..", "fixtures", "oracle", "onnx_verdicts.py")
	if out, err := exec.Command(python, append([]string{"-B", script, args[0], folder}, args[1:]...)...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out[max(0, len(out)-3000):])
	}
	return readVerdicts(t, filepath.Join(folder, "verdicts.json"))
}

// The verdicts on a few files, asked once: they hold where there is no Python.
func TestGolden(t *testing.T) {
	v := readVerdicts(t, filepath.Join("testdata", "verdicts.json"))
	if basic, full := v.compare(t); basic+full > 0 {
		t.Errorf("%d other verdicts of the basic check, %d of the full one", basic, full)
	}
}

// The same on many, which have faults of each kind. ATTNX_ONNX_VERDICTS names a
// verdicts.json that is there already.
func TestBroken(t *testing.T) {
	count := "2000"
	if fixtures.Exhaustive() {
		count = "6000"
	}
	var v verdicts
	if path := os.Getenv("ATTNX_ONNX_VERDICTS"); path != "" {
		v = readVerdicts(t, path)
	} else {
		v = made(t, "--broken", count, "1")
	}
	// Some of what ONNX's own rules do with broken tensors is not restated:
	// fixtures/MEASURED.md has the count.
	if basic, full := v.compare(t); basic > 0 || full*1000 > len(v.Files) {
		t.Errorf("%d other verdicts of the basic check, %d of the full one", basic, full)
	}
}

// Every model of ONNX's backend suite.
func TestSuite(t *testing.T) {
	if !fixtures.Exhaustive() {
		t.Skip("set ATTNX_EXHAUSTIVE=1 to check every model of ONNX's backend suite")
	}
	v := made(t, "--suite")
	if basic, full := v.compare(t); basic+full > 0 || len(v.Files) < 2000 {
		t.Errorf("%d files, %d and %d other verdicts", len(v.Files), basic, full)
	}
}
