package ort

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/attnx/attnx/runtime/ort/library"
)

func TestDiagnose(t *testing.T) {
	names := func(checks []library.Check) (s []string) {
		for _, c := range checks {
			s = append(s, c.Name)
			if (c.Status == library.OK) != (c.Remedy == "") || c.Detail == "" || strings.Contains(c.Detail+c.Remedy, "\n") {
				t.Errorf("a check that is not ok has a remedy, every check a detail of one line: %+v", c)
			}
		}
		return s
	}
	all := Diagnose("")
	for _, want := range []string{"cgo", "onnxruntime library", "cpu", "cuda", "onnxruntime cache", "package client"} {
		if !slices.Contains(names(all), want) {
			t.Errorf("nothing is said about %s: %v", want, names(all))
		}
	}
	find := func(checks []library.Check, name string) int {
		return slices.IndexFunc(checks, func(c library.Check) bool { return c.Name == name })
	}
	if all[find(all, "cpu")].Status == library.OK {
		if i := find(all, "providers"); i < 0 || !strings.Contains(all[i].Detail, "CPUExecutionProvider") {
			t.Errorf("every build has the CPU's provider: %+v", all)
		}
	}
	none := filepath.Join(t.TempDir(), "none.so")
	bad := Diagnose(none)
	names(bad)
	i := find(bad, "onnxruntime library")
	if bad[i].Status != library.NotFound || !strings.Contains(bad[i].Detail, none) {
		t.Errorf("a named library that is not there: %+v", bad[i])
	}
	if i = find(bad, "cpu"); bad[i].Status != library.Unavailable {
		t.Errorf("and yet: %+v", bad[i])
	}
}
