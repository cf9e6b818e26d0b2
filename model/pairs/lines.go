package pairs

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// readTSV reads a pair in each line: the source, a tab, the target. Further columns are
// an error, because nobody says which ones are meant.
func readTSV(c *collector, data []byte) error {
	if err := c.checkText(data); err != nil {
		return err
	}
	n := 0
	for line := range strings.Lines(string(data)) {
		n++
		line = strings.TrimRight(line, "\r\n")
		if line == "" {
			continue
		}
		source, target, ok := strings.Cut(line, "\t")
		switch {
		case !ok:
			return c.fail(n, "it has no tab", "write a source, a tab and its translation in each line")
		case strings.Contains(target, "\t"):
			return c.fail(n, fmt.Sprintf("it has %d columns", strings.Count(line, "\t")+1), "keep two: a source and its translation")
		}
		c.add(source, target)
	}
	return nil
}

// Fields are the members of a line of JSON with the two sides: of each pair, the first
// that are there.
var Fields = [][2]string{{"source", "target"}, {"src", "tgt"}, {"input", "output"}}

// readJSONL reads an object with one of Fields in each line.
func readJSONL(c *collector, data []byte) error {
	if err := c.checkText(data); err != nil {
		return err
	}
	n := 0
	for line := range bytes.Lines(data) {
		n++
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		var object map[string]json.RawMessage
		if err := json.Unmarshal(line, &object); err != nil {
			return c.fail(n, fmt.Sprintf("it is no JSON object: %.200v", err), "write an object with a source and its translation in each line")
		}
		found := false
		for _, f := range Fields {
			if object[f[0]] == nil || object[f[1]] == nil {
				continue
			}
			var sides [2]string
			for i, name := range f {
				if err := json.Unmarshal(object[name], &sides[i]); err != nil {
					return c.fail(n, fmt.Sprintf("%.20q is no string", name), "put the text in quotation marks")
				}
			}
			c.add(sides[0], sides[1])
			found = true
			break
		}
		if !found {
			return c.fail(n, fmt.Sprintf("it has no members %.20q and %.20q", Fields[0][0], Fields[0][1]), "give each line both")
		}
	}
	return nil
}
