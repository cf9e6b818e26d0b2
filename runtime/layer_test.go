package runtime

import (
	"bytes"
	"strings"
	"testing"
)

// A file that nothing proves and nothing runs is no pass, nor one that is not certified; what
// a runtime computes wrongly that takes some models only proves nothing.
func TestJudged(t *testing.T) {
	for name, c := range map[string]struct {
		file    FileVerdict
		results []Result
		verdict Verdict
		layer   Layer
		says    string
	}{
		"not run":       {FileVerdict{}, nil, Fail, OpenLayer, "f is not verified: structure does not prove it, and nothing ran it"},
		"of another":    {FileVerdict{}, []Result{{Runtime: "r", File: "g", Status: StatusOK, Cases: 1}}, Fail, OpenLayer, "nothing ran it"},
		"no case":       {FileVerdict{}, []Result{{Runtime: "r", File: "f", Status: StatusOK}}, Fail, OpenLayer, "nothing ran it"},
		"unavailable":   {FileVerdict{}, []Result{{Runtime: "r", File: "f", Status: StatusUnavailable}}, Fail, OpenLayer, "nothing ran it"},
		"not certified": {FileVerdict{}, []Result{{Runtime: "r", File: "f", Status: StatusUncertified, Cases: 1}}, Fail, OpenLayer, "f is not verified: r ran it and is not certified"},
		"run":           {FileVerdict{}, []Result{{Runtime: "r", File: "f", Status: StatusOK, Cases: 1}}, Pass, SamplesLayer, "pass against"},
		"partial":       {FileVerdict{}, []Result{{Runtime: "r", File: "f", Status: StatusOK, Cases: 1}, {Runtime: "p", File: "f", Status: StatusFail, Cases: 1, partial: true}}, Pass, SamplesLayer, "pass against"},
		"proved":        {FileVerdict{Layer: IdenticalLayer}, nil, Pass, IdenticalLayer, "identical by structure"},
		"different":     {FileVerdict{Layer: DifferentLayer, Reason: "has Where"}, []Result{{Runtime: "r", File: "f", Status: StatusOK, Cases: 1}}, Fail, DifferentLayer, "f: different: has Where"},
	} {
		t.Run(name, func(t *testing.T) {
			c.file.File = "f"
			r := Report{Verdict: Pass, Oracle: OracleName, Results: c.results}.Judged([]FileVerdict{c.file}, "1 case")
			var text bytes.Buffer
			if err := r.WriteText(&text); err != nil {
				t.Fatal(err)
			}
			if out := text.String(); r.Verdict != c.verdict || r.Files[0].Layer != c.layer || !strings.Contains(out, c.says) {
				t.Errorf("%s, %s:\n%s", r.Verdict, r.Files[0].Layer, out)
			}
		})
	}
}
