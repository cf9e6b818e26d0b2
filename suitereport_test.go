package attnx

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/attnx/attnx/runtime"
)

// count is how many tests of something became what.
type count struct{ right, refused, wrong, apart int }

func (c *count) add(v verdict) {
	switch {
	case v.apart != "":
		c.apart++
	case v.right:
		c.right++
	case v.wrong != "":
		c.wrong++
	default:
		c.refused++
	}
}

func (c count) counted() int { return c.right + c.refused + c.wrong }

func (c count) String() string {
	return fmt.Sprintf("%d of %d right (%.1f %%), %d refused, %d wrong, %d apart", c.right, c.counted(), 100*float64(c.right)/float64(max(1, c.counted())), c.refused, c.wrong, c.apart)
}

// report logs what is right and what is refused, asserts the share, and writes the
// table.
func report(t *testing.T, all []verdict) {
	kinds, refused, reasons := map[string]*count{}, map[string]int{}, map[string]map[string]int{}
	nodes := &count{}
	for _, v := range all {
		key := v.version + " " + v.kind
		if kinds[key] == nil {
			kinds[key] = &count{}
		}
		kinds[key].add(v)
		if v.kind == "node" {
			nodes.add(v)
		}
		if v.refused != "" {
			refused[v.refused]++
			if reasons[v.refused] == nil {
				reasons[v.refused] = map[string]int{}
			}
			reasons[v.refused][v.reason[strings.Index(v.reason, ": ")+2:]]++
		}
	}
	for _, key := range slices.Sorted(maps.Keys(kinds)) {
		t.Logf("%s: %s", key, kinds[key])
	}
	byCount := slices.SortedFunc(maps.Keys(refused), func(a, b string) int {
		return cmp.Or(cmp.Compare(refused[b], refused[a]), cmp.Compare(a, b))
	})
	var lines []string
	for _, name := range byCount {
		lines = append(lines, fmt.Sprintf("%s %d", name, refused[name]))
	}
	t.Logf("refused: %s", strings.Join(lines, ", "))
	if share := 100 * nodes.right / max(1, nodes.counted()); share < rightNodes && nodes.counted() > 1000 {
		t.Errorf("%d %% of the node tests are right, expected %d", share, rightNodes)
	}
	if os.Getenv("ATTNX_WRITE_SUITE") == "1" {
		writeTable(t, all)
	}
}

// tally is the number of tests of each column and row of the table.
type tally map[string]map[string]*count

func (t tally) add(row, column string, v verdict) {
	if t[row] == nil {
		t[row] = map[string]*count{}
	}
	if t[row][column] == nil {
		t[row][column] = &count{}
	}
	t[row][column].add(v)
}

// of returns a count, which is 0 where there are no tests.
func (t tally) of(row, column string) count {
	if c := t[row][column]; c != nil {
		return *c
	}
	return count{}
}

// writeTable writes fixtures/onnx-suite.md: the tests by their kind and by the
// operator of their first node, in the oracle and in the runtimes.
func writeTable(t *testing.T, oracle []verdict) {
	columns, results := []string{"oracle"}, map[string][]verdict{"oracle": oracle}
	for _, r := range suiteRuntimes {
		if err := r.Available(runtime.Options{}); err != nil {
			t.Fatal(err) // a table without it would be written over one with it
		}
		columns, results[r.Name] = append(columns, r.Name), inRuntime(t, r.Name, suites(t))
	}
	kinds, operators := tally{}, tally{}
	wrong := map[string]map[string][]string{}
	var versions []string
	for _, column := range columns {
		wrong[column] = map[string][]string{}
		for _, v := range results[column] {
			if !slices.Contains(versions, v.version) {
				versions = append(versions, v.version)
			}
			kinds.add(v.version+" | "+v.kind, column, v)
			if v.kind == "node" {
				operators.add(v.operator, v.version+" "+column, v)
			}
			if v.wrong != "" {
				wrong[column][v.operator] = append(wrong[column][v.operator], v.version+" "+strings.TrimPrefix(v.name, "test_"))
			}
		}
	}
	var sb strings.Builder
	sb.WriteString("# ONNX's backend suite in the oracle and in the runtimes\n\nWritten by `ATTNX_WRITE_SUITE=1 go test -timeout 60m -run 'TestSuite$' .`, with the suite's own tolerances. " +
		"The files of 1.17.0, 1,437 models, are those of PyPI's wheel onnx-1.17.0-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl (`onnx==1.17.0`, SHA-256 4a183c6178be001bf398260e5ac2c927dc43e7746e8638d6c05c20e321f8c949); " +
		"those of 1.23.2 are what that package generates (`fixtures/oracle/onnx_suite.py`). " +
		"Tests that hold sequences, optional values, strings, complex numbers or random draws are apart. " +
		"Refused is what a runtime, or attnx before it, answers with an error. OpenVINO computes in float32 here.\n\n## By kind\n\n" +
		"| onnx | kind | in | right | refused | wrong | apart |\n|---|---|---|---|---|---|---|\n")
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		for _, column := range columns {
			c := kinds.of(kind, column)
			fmt.Fprintf(&sb, "| %s | %s | %d | %d | %d | %d |\n", kind, column, c.right, c.refused, c.wrong, c.apart)
		}
	}
	sb.WriteString("\n## Node tests, by the operator of their first node\n\nA cell is right / counted, and how many are wrong. Those in `apart` are not counted.\n\n| operator |")
	for _, version := range versions {
		sb.WriteString(" onnx " + version + " | apart |")
		for _, column := range columns[1:] {
			sb.WriteString(" " + column + " |")
		}
	}
	sb.WriteString("\n|---|" + strings.Repeat("---|", len(versions)*(len(columns)+1)) + "\n")
	for _, op := range slices.Sorted(maps.Keys(operators)) {
		sb.WriteString("| " + op + " |")
		for _, version := range versions {
			for _, column := range columns {
				c := operators.of(op, version+" "+column)
				fmt.Fprintf(&sb, " %d / %d", c.right, c.counted())
				if c.wrong > 0 {
					fmt.Fprintf(&sb, ", %d wrong", c.wrong)
				}
				sb.WriteString(" |")
				if column == columns[0] {
					fmt.Fprintf(&sb, " %d |", c.apart)
				}
			}
		}
		sb.WriteString("\n")
	}
	for _, column := range columns[1:] {
		fmt.Fprintf(&sb, "\n## What %s gets wrong\n\n", column)
		for _, op := range slices.Sorted(maps.Keys(wrong[column])) {
			fmt.Fprintf(&sb, "- %s: %s\n", op, strings.Join(wrong[column][op], ", "))
		}
	}
	if err := os.WriteFile(filepath.Join("fixtures", "onnx-suite.md"), []byte(sb.String()), 0o666); err != nil {
		t.Fatal(err)
	}
}
