package ort

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestTable holds api.h against the header of ONNX Runtime's C API, version
// 24, which the binding's module carries: the place of every function, its
// name, and how many arguments it takes.
func TestTable(t *testing.T) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/yalue/onnxruntime_go").Output()
	if err != nil {
		t.Skipf("the binding's source is not here: %v", err)
	}
	theirs, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(out)), "onnxruntime_c_api.h"))
	if err != nil {
		t.Fatal(err)
	}
	ours, err := os.ReadFile("api.h")
	if err != nil {
		t.Fatal(err)
	}
	version := regexp.MustCompile(`#define (?:ATTNX_ORT|ORT_API)_VERSION (\d+)`)
	if a, b := version.FindSubmatch(ours), version.FindSubmatch(theirs); a == nil || b == nil || string(a[1]) != string(b[1]) {
		t.Fatalf("api.h is of another version of the API: %s and %s", a, b)
	}
	table := tableOf(t, string(theirs))
	if len(table) < 400 {
		t.Fatalf("the header's table has %d functions", len(table))
	}
	lines := regexp.MustCompile(`(?m)^\tF\((\d+), (\w+), [^(]*?, \((.*)\)\)`).FindAllStringSubmatch(string(ours), -1)
	if len(lines) < 40 || len(lines) != strings.Count(string(ours), "\tF(") {
		t.Fatalf("%d lines of api.h are read", len(lines))
	}
	last := -1
	for _, line := range lines {
		place, _ := strconv.Atoi(line[1])
		if place <= last || place >= len(table) {
			t.Fatalf("%s at %d: after %d, of %d", line[2], place, last, len(table))
		}
		last = place
		want := table[place]
		if n := countArguments(line[3]); want.name != line[2] || want.arguments != n {
			t.Errorf("place %d is %s with %d arguments in api.h, %s with %d in ONNX Runtime's header", place, line[2], n, want.name, want.arguments)
		}
	}
}

type entry struct {
	name      string
	arguments int
}

// tableOf reads struct OrtApi: each of its members is a function pointer, and
// each is written in one of four ways.
func tableOf(t *testing.T, header string) []entry {
	t.Helper()
	_, body, ok := strings.Cut(header, "struct OrtApi {")
	if !ok {
		t.Fatal("the header has no struct OrtApi")
	}
	body, _, _ = strings.Cut(body, "\n};")
	body = regexp.MustCompile(`(?s:/\*.*?\*/)|(?m://.*$|^\s*#.*$)`).ReplaceAllString(body, "")
	status := regexp.MustCompile(`^ORT_API2_STATUS\((\w+), (.*)\)`)
	release := regexp.MustCompile(`^ORT_CLASS_RELEASE\((\w+)\)`)
	value := regexp.MustCompile(`^ORT_API_T\([^,]+, (\w+), (.*)\)`)
	plain := regexp.MustCompile(`\(ORT_API_CALL ?\* ?(\w+)\) ?\(([^)]*)\)`)
	var all []entry
	for declaration := range strings.SplitSeq(body, ";") {
		declaration = strings.Join(strings.Fields(declaration), " ")
		if declaration == "" {
			continue
		}
		if m := release.FindStringSubmatch(declaration); m != nil {
			all = append(all, entry{"Release" + m[1], 1})
			continue
		}
		m := status.FindStringSubmatch(declaration)
		for _, form := range []*regexp.Regexp{value, plain} {
			if m == nil {
				m = form.FindStringSubmatch(declaration)
			}
		}
		if m == nil {
			t.Fatalf("the header declares %q", declaration)
		}
		all = append(all, entry{m[1], countArguments(m[2])})
	}
	return all
}

// countArguments counts the commas outside parentheses, such as those of
// _In_reads_(n).
func countArguments(list string) int {
	if list = strings.TrimSpace(list); list == "void" {
		return 0
	}
	depth, n := 0, 1
	for _, c := range list {
		switch {
		case c == '(':
			depth++
		case c == ')':
			depth--
		case c == ',' && depth == 0:
			n++
		}
	}
	return n
}
