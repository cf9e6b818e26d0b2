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

// writeTable writes the table of fixtures/onnx-suite.md: an operator a row.
func writeTable(t *testing.T, all []verdict) {
	rows := map[string]map[string]*count{}
	var versions []string
	for _, v := range all {
		if v.kind != "node" {
			continue
		}
		if !slices.Contains(versions, v.version) {
			versions = append(versions, v.version)
		}
		if rows[v.operator] == nil {
			rows[v.operator] = map[string]*count{}
		}
		if rows[v.operator][v.version] == nil {
			rows[v.operator][v.version] = &count{}
		}
		rows[v.operator][v.version].add(v)
	}
	var sb strings.Builder
	sb.WriteString("# ONNX's backend suite in the oracle\n\nWritten by `ATTNX_WRITE_SUITE=1 go test -run TestSuite .`: the node tests by the operator of their first node.\n" +
		"A cell is right / counted; tests that hold sequences, optional values, strings, complex numbers or random draws are apart.\n\n| operator |")
	for _, v := range versions {
		sb.WriteString(" onnx " + v + " | apart |")
	}
	sb.WriteString("\n|---|" + strings.Repeat("---|", 2*len(versions)) + "\n")
	for _, op := range slices.Sorted(maps.Keys(rows)) {
		sb.WriteString("| " + op + " |")
		for _, version := range versions {
			c := rows[op][version]
			if c == nil {
				c = &count{}
			}
			fmt.Fprintf(&sb, " %d / %d | %d |", c.right, c.counted(), c.apart)
		}
		sb.WriteString("\n")
	}
	if err := os.WriteFile(filepath.Join("fixtures", "onnx-suite.md"), []byte(sb.String()), 0o666); err != nil {
		t.Fatal(err)
	}
}
