package tokens

import (
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// maxNested bounds the nesting of Sequences: each level is copied once.
const maxNested = 8

// maxParts is more parts than the Sequence of any real tokenizer has.
const maxParts = 100

// sequence returns the parts of a Sequence.
func sequence(n node, list string) (parts []node, err error) {
	o, err := n.object("type", list)
	if err != nil {
		return nil, err
	}
	err = o[list].elements(func(i int, value node) error {
		if i == maxParts {
			return unsupported(o[list].path, "a Sequence of more than %d parts", maxParts)
		}
		parts = append(parts, node{path: o[list].at(i), raw: value.raw.Clone()})
		return nil
	})
	return parts, err
}

// batching is how a Python program once made batches of texts.
type batching struct {
	truncation, padding jsontext.Value // as in the file; empty: null
	longest             int32          // ids of a text, with the special ones; 0: any
	left                bool           // the begin of a longer text is cut off, not its end
	pad                 int32          // the id that pads texts
}

func (b *batching) parse(truncation, padding node) error {
	for _, n := range []node{truncation, padding} {
		if !n.isNull() {
			if err := n.want("an object or null", '{'); err != nil {
				return err
			}
		}
	}
	if !truncation.isNull() {
		o, err := truncation.object("direction", "max_length", "strategy", "stride")
		if err != nil {
			return err
		}
		if err := o["max_length"].want("a number of tokens", '0'); err != nil {
			return err
		}
		if n, err := strconv.ParseInt(string(o["max_length"].raw), 10, 32); err == nil {
			b.longest = int32(max(n, 0)) // beyond, no text is that long
		}
		if side := o["direction"]; !side.isNull() { // older files have none
			name, err := side.str()
			if err != nil {
				return err
			}
			b.left = name == "Left"
		}
		b.truncation, err = compact(truncation)
		if err != nil {
			return err
		}
	}
	if padding.isNull() {
		return nil
	}
	o, err := padding.object("strategy", "direction", "pad_to_multiple_of", "pad_id", "pad_type_id", "pad_token")
	if err != nil {
		return err
	}
	if b.pad, err = o["pad_id"].id(); err != nil {
		return err
	}
	b.padding, err = compact(padding)
	return err
}

// Truncation returns how many ids a text has at most by the file's truncation, with
// the special ones, and whether the begin of a longer text is cut off instead of its
// end. The most is 0 if there is no such limit. Encode does not cut.
func (t *Tokenizer) Truncation() (most int, left bool) {
	return int(t.batch.longest), t.batch.left
}

// Padding returns the id by which the file's padding makes the texts of a batch
// equally long.
func (t *Tokenizer) Padding() (id int64, ok bool) {
	return int64(t.batch.pad), len(t.batch.padding) > 0
}

func compact(n node) (jsontext.Value, error) {
	text := n.raw.Clone()
	return text, text.Compact()
}

// text returns a part as JSON.
func (batching) text(part jsontext.Value) string {
	if len(part) == 0 {
		return "null"
	}
	return string(part)
}
