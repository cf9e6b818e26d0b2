package settings_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/attnx/attnx/cmd/attnx/internal/settings"
	"github.com/attnx/attnx/model/train"
)

// flagsOf returns flags as train has them, with the given command line.
func flagsOf(t *testing.T, line ...string) (*pflag.FlagSet, *settings.Settings) {
	t.Helper()
	fl := pflag.NewFlagSet("train", pflag.ContinueOnError)
	fl.StringArray("data", nil, "")
	fl.Float64("lr", 1e-3, "")
	fl.Bool("json", false, "")
	fl.String(settings.FileFlag, "", "")
	s := &settings.Settings{}
	s.Flags(fl)
	if err := fl.Parse(line); err != nil {
		t.Fatal(err)
	}
	return fl, s
}

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// The command line counts more than the file, and what is written gives the
// same again.
func TestConfig(t *testing.T) {
	fl, s := flagsOf(t, "--layers", "3")
	path := write(t, "# a comment\nlayers: 9\nschedule: linear\nlr: 3e-4\ndata:\n  - a b.txt\n  - 'x: #y'\njson: true\npatience: 7\n")
	if err := settings.ReadConfig(path, fl); err != nil {
		t.Fatal(err)
	}
	data, _ := fl.GetStringArray("data")
	lr, _ := fl.GetFloat64("lr")
	o := train.DefaultOptions(10)
	s.Apply(&o)
	if s.Sizes.Layers != 3 || lr != 3e-4 || strings.Join(data, "|") != "a b.txt|x: #y" || o.Schedule != train.Linear || o.Patience != 7 || o.WeightDecay != 0.1 {
		t.Errorf("the flags are %+v, lr %g, data %q, options %+v", s.Sizes, lr, data, o)
	}
	text := settings.WriteConfig(fl, "json")
	again, _ := flagsOf(t)
	if err := settings.ReadConfig(write(t, text), again); err != nil {
		t.Fatal(err)
	}
	if got := settings.WriteConfig(again); got != text || strings.Contains(text, "json") || !strings.Contains(text, "layers: 3") {
		t.Errorf("it writes\n%sand then\n%s", text, got)
	}
}

func TestConfigRefused(t *testing.T) {
	for text, want := range map[string]string{
		"layers: 1\nlayers: 2":         "line 2: layers is given twice, first in line 1",
		"lr: 1\nlerning: 2":            `line 2: "lerning" is not a setting`,
		"config: other.yaml":           `"config" is not a setting`,
		"? [a, b]\n: 1":                `"" is not a setting`,
		"layers: many":                 `line 1: layers: "many" is no int`,
		"layers: 2.5":                  "is no int",
		"layers: [1]":                  "it takes one value, not a list",
		"layers:":                      "it has no value",
		"layers: {a: 1}":               "expected a number",
		"data: [[a]]":                  "expected a number",
		"schedule: &a x\nlr: *a":       "line 2: lr: expected a number",
		"- layers":                     "line 1: expected the names of flags",
		"just words":                   "line 1: expected the names of flags",
		"layers: {":                    "line 1",
		"layers: 1\n---\nlayers: 2":    "a second document",
		"layers: 1\n\tlr: 2":           "line 2",
		strings.Repeat("#", 1<<20+1):   "at most 1048576 bytes",
		"data: \xff":                   "yaml",
		"<<: {layers: 3}\nschedule: x": `"<<" is not a setting`,
	} {
		fl, _ := flagsOf(t)
		err := settings.ReadConfig(write(t, text), fl)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%.40q: %v, expected %s", text, err, want)
		}
	}
	fl, _ := flagsOf(t)
	for _, text := range []string{"", "# nothing\n", "---\n"} {
		if err := settings.ReadConfig(write(t, text), fl); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
	if err := settings.ReadConfig(t.TempDir(), fl); err == nil || !strings.Contains(err.Error(), "regular file") {
		t.Errorf("a folder: %v", err)
	}
}
