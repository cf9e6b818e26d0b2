package decode

import (
	"fmt"
	"slices"
)

// The cache of kind role.CacheConcat. A run computes one rectangle, in which
// shorter prompts are padded on the left. A 0 in a row of the mask hides that
// column from the sequence.

// prefillPadded runs the prompts in pieces of the padded rectangle. from is the
// number of columns that the cache has: 0, or those of the only sequence.
func (d *Decoder) prefillPadded(prompts [][]int64, from int) ([]float32, error) {
	width := d.longest()
	d.columns, d.padded = from, slices.Min(d.lengths) < width
	if !d.padded && from == 0 { // ones have the same bytes in any shape: sending them once serves all later runs
		ones(d.mask.values)
		if err := d.mask.send(d.device, 0, len(d.mask.values)); err != nil {
			return nil, fmt.Errorf("%s: %w", maskName, err)
		}
	}
	tokens := 0
	for d.columns < width {
		from := d.columns
		to := min(from+d.chunk, width)
		tokens = to - from
		for b, prompt := range prompts {
			pad := width - len(prompt)
			ids := d.text.values[b*tokens:][:tokens]
			positions := d.text.values[(d.batch+b)*tokens:][:tokens]
			for i := range ids {
				ids[i], positions[i] = 0, 0
				if at := from + i - pad; at >= 0 {
					ids[i], positions[i] = prompt[at], int64(at)
				}
			}
			if d.padded {
				row := d.mask.values[b*to:][:to]
				ones(row)
				clear(row[:min(pad, to)])
			}
		}
		if err := d.runPadded(tokens); err != nil {
			return nil, err
		}
	}
	return d.read(0, d.batch, tokens)
}

// stepPadded adds a column. It is hidden from idle sequences.
func (d *Decoder) stepPadded(ids []int64) ([]float32, error) {
	d.padded = d.padded || slices.Contains(ids, Idle)
	if d.padded { // rows get longer: the last one must move first
		was, m := d.columns, d.mask.values
		for b, id := range slices.Backward(ids) {
			at := b * (was + 1)
			copy(m[at:], m[b*was:][:was])
			m[at+was] = 1
			if id == Idle {
				m[at+was] = 0
			}
		}
	}
	if err := d.runPadded(1); err != nil {
		return nil, err
	}
	return d.read(0, d.batch, 1)
}

// runPadded runs the next columns of all sequences, whose ids, positions and
// mask are ready. Its output becomes the past of the next run.
func (d *Decoder) runPadded(tokens int) error {
	to := d.columns + tokens
	if err := d.sendText(d.batch * tokens); err != nil {
		return err
	}
	if err := d.bindText(d.batch, tokens); err != nil {
		return err
	}
	if d.padded {
		if err := d.mask.send(d.device, 0, d.batch*to); err != nil {
			return fmt.Errorf("%s: %w", maskName, err)
		}
	}
	if err := d.bindMask(d.batch, to); err != nil {
		return err
	}
	if err := d.bindCache(0, d.batch, d.columns, to); err != nil {
		return err
	}
	if err := d.device.Run(0); err != nil {
		return err
	}
	d.columns, d.turn = to, 1-d.turn
	return nil
}
